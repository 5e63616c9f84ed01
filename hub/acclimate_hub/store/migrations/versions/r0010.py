"""Sessions of people at the pages, and an index of the versions that they ask for first."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0003"

NOTABLE = sa.text("kind NOT IN ('commit', 'release')")


def upgrade() -> None:
    """Create the table and the index."""
    op.create_table(
        "sessions",
        sa.Column("session", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("expires_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=op.f("fk_sessions_tenant")),
        sa.ForeignKeyConstraint(["token"], ["api_tokens.token"], name=op.f("fk_sessions_token")),
        sa.PrimaryKeyConstraint("session", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_token_created_s"), "sessions", ["token", "created_s"], unique=False)
    op.create_index(op.f("ix_sessions_expires_s"), "sessions", ["expires_s"], unique=False)
    op.create_index(
        "ix_lineage_versions_notable",
        "lineage_versions",
        ["tenant", "time_s"],
        unique=False,
        sqlite_where=NOTABLE,
        postgresql_where=NOTABLE,
    )
