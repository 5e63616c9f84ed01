"""Rollouts with their transitions, devices and time blocks; the table that nobody wrote to goes."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

ID = sa.String(length=64)
STARTED = sa.text("number > 0")


def _of_rollout(table: str, key: list[str], *columns: sa.Column[Any]) -> None:
    """Create a table of rows that belong to a rollout."""
    op.create_table(
        table,
        sa.Column("tenant", ID, nullable=False),
        sa.Column("rollout", ID, nullable=False),
        *columns,
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=op.f(f"fk_{table}_tenant")),
        sa.ForeignKeyConstraint(
            ["tenant", "rollout"],
            ["rollouts.tenant", "rollouts.rollout"],
            name=op.f(f"fk_{table}_tenant_rollout"),
        ),
        sa.PrimaryKeyConstraint("tenant", "rollout", *key, name=op.f(f"pk_{table}")),
    )


def upgrade() -> None:
    """Create the tables."""
    op.drop_table("rollouts")
    op.create_table(
        "rollouts",
        sa.Column("tenant", ID, nullable=False),
        sa.Column("rollout", ID, nullable=False),
        sa.Column("row_version", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("state", ID, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=op.f("fk_rollouts_tenant")),
        sa.PrimaryKeyConstraint("tenant", "rollout", name=op.f("pk_rollouts")),
    )
    op.create_index(
        "uq_rollouts_tenant_number",
        "rollouts",
        ["tenant", "number"],
        unique=True,
        sqlite_where=STARTED,
        postgresql_where=STARTED,
    )
    version = sa.Column("row_version", sa.BigInteger(), autoincrement=False, nullable=False)
    _of_rollout("rollout_transitions", ["row_version"], version)
    _of_rollout(
        "rollout_devices",
        ["device"],
        sa.Column("device", ID, nullable=False),
        sa.Column("row_version", sa.BigInteger(), nullable=False),
    )
    _of_rollout(
        "rollout_blocks",
        ["block", "stage", "device"],
        sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stage", ID, nullable=False),
        sa.Column("device", ID, nullable=False),
    )
