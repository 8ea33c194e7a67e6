"""When a waiting job was said to start, so that the error of such sayings is known; and what is asked of ended jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("expected_at", sa.Float(53), nullable=True))
    op.add_column("jobs", sa.Column("expected_from", sa.Float(53), nullable=True))
    op.create_index(op.f("ix_jobs_expected_at"), "jobs", ["expected_at"])
    op.create_index(op.f("ix_jobs_kind_state_id"), "jobs", ["kind", "state", "id"])
    op.create_index(op.f("ix_jobs_owner_finished_at"), "jobs", ["owner", "finished_at"])
