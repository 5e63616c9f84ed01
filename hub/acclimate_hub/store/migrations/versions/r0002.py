"""Events, metrics, lineage."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables."""
    _events()
    _event_floors()
    _metrics()
    _lineage_versions()
    _lineage_edges()
    _lineage_bases()


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("boot", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("message", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("time_s", sa.Double(), nullable=False),
        sa.Column("received_s", sa.Double(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.device"], name=op.f("fk_events_device")),
        sa.PrimaryKeyConstraint("device", "boot", "sequence", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_received_s"), "events", ["received_s"], unique=False)
    op.create_index(
        op.f("ix_events_tenant_device_received_s"), "events", ["tenant", "device", "received_s"], unique=False
    )


def _event_floors() -> None:
    op.create_table(
        "event_floors",
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("boot", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.device"], name=op.f("fk_event_floors_device")),
        sa.PrimaryKeyConstraint("device", "boot", name=op.f("pk_event_floors")),
    )


def _metrics() -> None:
    op.create_table(
        "metrics",
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("width_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("measure", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("total", sa.Double(), nullable=False),
        sa.Column("least", sa.Double(), nullable=False),
        sa.Column("most", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.device"], name=op.f("fk_metrics_device")),
        sa.PrimaryKeyConstraint("device", "width_s", "start_s", "measure", "subject", name=op.f("pk_metrics")),
    )
    op.create_index(
        op.f("ix_metrics_tenant_measure_width_s_start_s"),
        "metrics",
        ["tenant", "measure", "width_s", "start_s"],
        unique=False,
    )
    op.create_index(op.f("ix_metrics_width_s_start_s"), "metrics", ["width_s", "start_s"], unique=False)


def _lineage_versions() -> None:
    op.create_table(
        "lineage_versions",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("time_s", sa.Double(), nullable=False),
        sa.Column("labels", sa.BigInteger(), nullable=False),
        sa.Column("cpu_s", sa.Double(), nullable=False),
        sa.Column("gain", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=op.f("fk_lineage_versions_tenant")),
        sa.PrimaryKeyConstraint("tenant", "digest", name=op.f("pk_lineage_versions")),
    )
    op.create_index(
        op.f("ix_lineage_versions_tenant_device_time_s"),
        "lineage_versions",
        ["tenant", "device", "time_s"],
        unique=False,
    )


def _lineage_edges() -> None:
    op.create_table(
        "lineage_edges",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("child", sa.String(length=64), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=op.f("fk_lineage_edges_tenant")),
        sa.PrimaryKeyConstraint("tenant", "child", "parent", name=op.f("pk_lineage_edges")),
    )
    op.create_index(op.f("ix_lineage_edges_tenant_parent"), "lineage_edges", ["tenant", "parent"], unique=False)


def _lineage_bases() -> None:
    op.create_table(
        "lineage_bases",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("base", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=op.f("fk_lineage_bases_tenant")),
        sa.PrimaryKeyConstraint("tenant", "base", "digest", name=op.f("pk_lineage_bases")),
    )
    op.create_index(op.f("ix_lineage_bases_tenant_digest"), "lineage_bases", ["tenant", "digest"], unique=False)
