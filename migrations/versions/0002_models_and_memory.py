"""What each worker has, holds and can do; what a job needs, and why it waits."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("load_key", sa.Text(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("work_tokens", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("waiting_reason", sa.Text(), nullable=False, server_default=""))
    op.add_column("measurements", sa.Column("predicted", sa.Float(precision=53), nullable=True))
    op.add_column("workers", sa.Column("card", sa.String(length=100), nullable=False, server_default=""))
    op.add_column("workers", sa.Column("place", sa.String(length=100), nullable=False, server_default=""))
    op.add_column("workers", sa.Column("abilities", JSON, nullable=True))
    op.drop_column("workers", "resident")
    op.create_table(
        "holdings",
        sa.Column("worker", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=800), nullable=False),
        sa.Column("card", sa.String(length=100), nullable=False),
        sa.Column("model", sa.String(length=500), nullable=False),
        sa.Column("revision", sa.String(length=200), nullable=True),
        sa.Column("precision", sa.String(length=100), nullable=False),
        sa.Column("attention", sa.String(length=100), nullable=False),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        sa.Column("work_bytes", sa.BigInteger(), nullable=False),
        sa.Column("is_loading", sa.Boolean(), nullable=False),
        sa.Column("users", JSON, nullable=False),
        sa.Column("used_at", sa.Float(precision=53), nullable=False),
        sa.Column("is_pinned", sa.Boolean(), nullable=False),
        sa.Column("is_release_requested", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["worker"], ["workers.id"], name=op.f("fk_holdings_worker_workers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("worker", "key", name=op.f("pk_holdings")),
    )
    op.create_index(op.f("ix_holdings_card"), "holdings", ["card"])
    op.create_table(
        "models",
        sa.Column("place", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("revision", sa.String(length=200), nullable=False),
        sa.Column("body", JSON, nullable=False),
        sa.Column("reported_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("place", "name", "revision", name=op.f("pk_models")),
    )
