"""Which pipeline a job is a step of, and by what a step that was done before is found again."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("pipeline_id", sa.String(length=26), nullable=True))
    op.add_column("jobs", sa.Column("step", sa.String(length=100), nullable=True))
    op.add_column("jobs", sa.Column("round", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("fingerprint", sa.String(length=100), nullable=True))
    op.create_index(op.f("ix_jobs_pipeline_id_step_round"), "jobs", ["pipeline_id", "step", "round"], unique=True)
    op.create_index(op.f("ix_jobs_owner_fingerprint"), "jobs", ["owner", "fingerprint"])
