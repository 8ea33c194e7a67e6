"""Who may sign in and from which browsers, whence a job came, and which workers are to take nothing more."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAME = sa.String(length=100)


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("name", NAME, nullable=False),
        sa.Column("role", NAME, nullable=False),
        sa.Column("password", sa.String(length=200), nullable=True),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("removed_at", sa.Float(53), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", NAME, nullable=False),
        sa.Column("user", NAME, nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("used_at", sa.Float(53), nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name=op.f("fk_sessions_user_users"), ondelete="CASCADE"),
    )
    op.create_index(op.f("ix_sessions_user"), "sessions", ["user"])
    op.create_table(
        "links",
        sa.Column("id", NAME, nullable=False),
        sa.Column("user", NAME, nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_links")),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name=op.f("fk_links_user_users"), ondelete="CASCADE"),
    )
    op.create_index(op.f("ix_links_user"), "links", ["user"])
    op.add_column("jobs", sa.Column("source", NAME, nullable=True))
    op.create_index(op.f("ix_jobs_owner_state"), "jobs", ["owner", "state"])
    op.create_index(op.f("ix_jobs_source_state"), "jobs", ["source", "state"])
    op.add_column("workers", sa.Column("is_drain_requested", sa.Boolean(), nullable=False, server_default=sa.false()))
