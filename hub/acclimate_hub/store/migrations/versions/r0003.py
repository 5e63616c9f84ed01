"""Releases, rollouts, the outbox, leases."""

import sqlalchemy as sa
from alembic import op

#: Counts itself up on both databases.
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables."""
    _blobs()
    _releases()
    _release_blobs()
    _aliases()
    _rollouts()
    _outbox()
    _workers()
    _leases()


def _blobs() -> None:
    op.create_table(
        "blobs",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_blobs")),
    )


def _releases() -> None:
    op.create_table(
        "releases",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("withdrawn_s", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=op.f("fk_releases_tenant")),
        sa.PrimaryKeyConstraint("tenant", "digest", name=op.f("pk_releases")),
    )
    op.create_index(op.f("ix_releases_tenant_name_version"), "releases", ["tenant", "name", "version"], unique=True)


def _release_blobs() -> None:
    op.create_table(
        "release_blobs",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("release", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=128), nullable=False),
        sa.Column("blob", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["blob"], ["blobs.digest"], name=op.f("fk_release_blobs_blob")),
        sa.ForeignKeyConstraint(
            ["tenant", "release"], ["releases.tenant", "releases.digest"], name=op.f("fk_release_blobs_tenant_release")
        ),
        sa.PrimaryKeyConstraint("tenant", "release", "path", name=op.f("pk_release_blobs")),
    )


def _aliases() -> None:
    op.create_table(
        "aliases",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("row_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("release", sa.String(length=64), nullable=False),
        sa.Column("time_s", sa.Double(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "release"], ["releases.tenant", "releases.digest"], name=op.f("fk_aliases_tenant_release")
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=op.f("fk_aliases_tenant")),
        sa.PrimaryKeyConstraint("tenant", "name", "row_version", name=op.f("pk_aliases")),
    )


def _rollouts() -> None:
    op.create_table(
        "rollouts",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("rollout", sa.String(length=64), nullable=False),
        sa.Column("row_version", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("release", sa.String(length=64), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("changed_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "release"], ["releases.tenant", "releases.digest"], name=op.f("fk_rollouts_tenant_release")
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=op.f("fk_rollouts_tenant")),
        sa.PrimaryKeyConstraint("tenant", "rollout", name=op.f("pk_rollouts")),
    )
    op.create_index(op.f("ix_rollouts_tenant_state"), "rollouts", ["tenant", "state"], unique=False)


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("place", SERIAL, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("retained", sa.Boolean(), nullable=False),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("expires_s", sa.Double(), nullable=False),
        sa.Column("sent_s", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=op.f("fk_outbox_tenant")),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_sent_s_place"), "outbox", ["sent_s", "place"], unique=False)


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("expires_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=op.f("fk_workers_tenant")),
        sa.PrimaryKeyConstraint("tenant", "worker", name=op.f("pk_workers")),
    )


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("expires_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=op.f("fk_leases_tenant")),
        sa.PrimaryKeyConstraint("tenant", "shard", name=op.f("pk_leases")),
    )
