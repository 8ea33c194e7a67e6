"""Alembic's entry: migrates the connection that `core.migrate` hands over, else the database of the settings."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from core.migrate import migration_connection
from core.models import Base
from core.settings import read_settings


def run(connection: Connection) -> None:
    """Run whatever Alembic was asked for on one connection."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        transaction_per_migration=True,
        compare_type=True,
        version_table_schema=None,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with migration_connection(read_settings().database) as own:
        run(own)
