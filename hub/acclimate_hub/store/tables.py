"""The tables of the hub. The migrations create them; a test holds both together.

Times are seconds since 1970, digests 64 hex digits, ids those of the messages. A row that people or workers may change
at the same time has ``row_version``, and is only written by compare-and-set.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID = String(64)
#: Counts itself up on both databases; SQLite does so only for its INTEGER.
SERIAL = BigInteger().with_variant(Integer, "sqlite")
#: Versions that people ask for first; commits are a thousand times as many.
NOTABLE = text("kind NOT IN ('commit', 'release')")
#: Rollouts that have a number of their own.
STARTED = text("number > 0")


def _tenant(*, key: bool = False) -> Column[str]:
    return Column("tenant", ID, ForeignKey("tenants.tenant"), nullable=False, primary_key=key)


# -- identity ---------------------------------------------------------------------------------------------------------

tenants = Table(
    "tenants",
    metadata,
    Column("tenant", ID, primary_key=True),
    Column("created_s", Double, nullable=False),
    Column("ca_certificate", Text, nullable=False),
    Column("ca_key", Text, nullable=False),  # encrypted with the secret of the hub
    Column("crl_number", BigInteger, nullable=False),
)

cohorts = Table(
    "cohorts",
    metadata,
    _tenant(key=True),
    Column("cohort", ID, primary_key=True),
    Column("created_s", Double, nullable=False),
    Column("criticality", Integer, nullable=False),  # less critical cohorts come first in a rollout
)

devices = Table(
    "devices",
    metadata,
    Column("device", ID, primary_key=True),
    _tenant(),
    Column("cohort", ID, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("enrolled_s", Double, nullable=False),
    Column("revoked_s", Double),
    Column("seen_s", Double),
    Column("online", Boolean, nullable=False),
    Column("reported_boot", ID),  # boot and sequence of the newest state; the state itself as it came
    Column("reported_sequence", BigInteger),
    Column("reported", LargeBinary),
    Column("running", ID, nullable=False),  # digest of the base that serves, empty if none
    Column("head", ID, nullable=False),  # digest of the record of the version that serves
    ForeignKeyConstraint(["tenant", "cohort"], ["cohorts.tenant", "cohorts.cohort"]),
    Index(None, "tenant", "device"),
    Index(None, "tenant", "cohort", "device"),
)

claims = Table(
    "claims",
    metadata,
    Column("claim", ID, primary_key=True),
    _tenant(),
    Column("secret_hash", ID, nullable=False),
    Column("cohort", ID, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("max_uses", Integer, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("expires_s", Double, nullable=False),
    Column("revoked_s", Double),
    Column("allowed", Text, nullable=False),  # JSON list of devices, empty list: all
    ForeignKeyConstraint(["tenant", "cohort"], ["cohorts.tenant", "cohorts.cohort"]),
    Index(None, "tenant", "claim"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial", ID, primary_key=True),
    _tenant(),
    Column("name", ID, nullable=False),  # the common name: a device, or a service of the hub
    Column("key_digest", ID, nullable=False),  # SHA-256 of the public key, so that a repeated request gives the same
    Column("claim", ID, nullable=False),  # that paid for it, empty for a renewal
    Column("pem", Text, nullable=False),
    Column("issued_s", Double, nullable=False),
    Column("expires_s", Double, nullable=False),
    Column("revoked_s", Double),
    Index(None, "tenant", "name"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("token", ID, primary_key=True),
    _tenant(),
    Column("name", ID, nullable=False),
    Column("secret_hash", ID, nullable=False),
    Column("scope", ID, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("expires_s", Double, nullable=False),
    Column("revoked_s", Double),
    Index(None, "tenant", "token"),
)

audit = Table(
    "audit",
    metadata,
    _tenant(key=True),
    Column("place", BigInteger, primary_key=True, autoincrement=False),  # from 1, without gaps
    Column("time_s", Double, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("action", ID, nullable=False),
    Column("object", String(128), nullable=False),
    Column("detail", Text, nullable=False),  # JSON, never a secret
    Column("previous", ID, nullable=False),
    Column("digest", ID, nullable=False),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    _tenant(key=True),
    Column("place", BigInteger, nullable=False),
    Column("digest", ID, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("owner", ID, primary_key=True),  # who asked, as the audit log names it
    Column("key", String(128), primary_key=True),
    Column("request", ID, nullable=False),  # digest of method, path and body
    Column("status", Integer, nullable=False),
    Column("answer", Text),  # null where the answer was a secret
    Column("time_s", Double, nullable=False),
    Index(None, "time_s"),
)

#: Sessions of people at the pages: only the hash of what their cookie holds.
sessions = Table(
    "sessions",
    metadata,
    Column("session", ID, primary_key=True),  # SHA-256 of the cookie's secret
    _tenant(),
    Column("token", ID, ForeignKey("api_tokens.token"), nullable=False),  # whose scope counts, at every request
    Column("created_s", Double, nullable=False),
    Column("expires_s", Double, nullable=False),
    Index(None, "token", "created_s"),
    Index(None, "expires_s"),
)

# -- what came from devices -------------------------------------------------------------------------------------------

events = Table(
    "events",
    metadata,
    Column("device", ID, ForeignKey("devices.device"), primary_key=True),
    Column("boot", ID, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", ID, nullable=False),
    Column("message", ID, nullable=False),
    Column("kind", ID, nullable=False),
    Column("time_s", Double, nullable=False),
    Column("received_s", Double, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index(None, "tenant", "device", "received_s"),
    Index(None, "received_s"),
)

#: Below it, the events of a boot were committed and have been forgotten.
event_floors = Table(
    "event_floors",
    metadata,
    Column("device", ID, ForeignKey("devices.device"), primary_key=True),
    Column("boot", ID, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
)

metrics = Table(
    "metrics",
    metadata,
    Column("device", ID, ForeignKey("devices.device"), primary_key=True),
    Column("width_s", Integer, primary_key=True, autoincrement=False),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("measure", String(64), primary_key=True),
    Column("subject", ID, primary_key=True),  # a candidate, a detector, a feature; empty for the device
    Column("tenant", ID, nullable=False),
    Column("weight", Double, nullable=False),
    Column("total", Double, nullable=False),
    Column("least", Double, nullable=False),
    Column("most", Double, nullable=False),
    Index(None, "tenant", "measure", "width_s", "start_s"),
    Index(None, "width_s", "start_s"),
)

lineage_versions = Table(
    "lineage_versions",
    metadata,
    _tenant(key=True),
    Column("digest", ID, primary_key=True),  # of a device's record, or of a release
    Column("device", ID, nullable=False),  # empty for a release
    Column("kind", ID, nullable=False),
    Column("version", ID, nullable=False),
    Column("model", ID, nullable=False),
    Column("time_s", Double, nullable=False),
    Column("labels", BigInteger, nullable=False),
    Column("cpu_s", Double, nullable=False),
    Column("gain", Double),
    Index(None, "tenant", "device", "time_s"),
    Index("ix_lineage_versions_notable", "tenant", "time_s", sqlite_where=NOTABLE, postgresql_where=NOTABLE),
)

lineage_edges = Table(
    "lineage_edges",
    metadata,
    _tenant(key=True),
    Column("child", ID, primary_key=True),
    Column("parent", ID, primary_key=True),
    Index(None, "tenant", "parent"),
)

#: Which releases a version descends from, so that the question costs no walk over all devices.
lineage_bases = Table(
    "lineage_bases",
    metadata,
    _tenant(key=True),
    Column("base", ID, primary_key=True),  # before the digest: the question is asked by base
    Column("digest", ID, primary_key=True),
    Index(None, "tenant", "digest"),
)

# -- releases and rollouts --------------------------------------------------------------------------------------------

blobs = Table(
    "blobs",
    metadata,
    Column("digest", ID, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("created_s", Double, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    _tenant(key=True),
    Column("digest", ID, primary_key=True),
    Column("name", ID, nullable=False),
    Column("version", ID, nullable=False),
    Column("manifest", LargeBinary, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("withdrawn_s", Double),
    Index(None, "tenant", "name", "version", unique=True),
)

release_blobs = Table(
    "release_blobs",
    metadata,
    Column("tenant", ID, primary_key=True),
    Column("release", ID, primary_key=True),
    Column("path", String(128), primary_key=True),
    Column("blob", ID, ForeignKey("blobs.digest"), nullable=False),
    ForeignKeyConstraint(["tenant", "release"], ["releases.tenant", "releases.digest"]),
)

#: What an alias has meant; the newest row is what it means.
aliases = Table(
    "aliases",
    metadata,
    _tenant(key=True),
    Column("name", ID, primary_key=True),
    Column("row_version", BigInteger, primary_key=True, autoincrement=False),
    Column("release", ID, nullable=False),
    Column("time_s", Double, nullable=False),
    Column("actor", String(128), nullable=False),
    ForeignKeyConstraint(["tenant", "release"], ["releases.tenant", "releases.digest"]),
)

# -- rollouts: documents of ``rollout.records``, with what is asked of them beside -------------------------------------

rollouts = Table(
    "rollouts",
    metadata,
    _tenant(key=True),
    Column("rollout", ID, primary_key=True),
    Column("row_version", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("state", ID, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Index("uq_rollouts_tenant_number", "tenant", "number", unique=True, sqlite_where=STARTED, postgresql_where=STARTED),
)

rollout_transitions = Table(
    "rollout_transitions",
    metadata,
    _tenant(key=True),
    Column("rollout", ID, primary_key=True),
    Column("row_version", BigInteger, primary_key=True, autoincrement=False),
    Column("document", LargeBinary, nullable=False),
    ForeignKeyConstraint(["tenant", "rollout"], ["rollouts.tenant", "rollouts.rollout"]),
)

rollout_devices = Table(
    "rollout_devices",
    metadata,
    _tenant(key=True),
    Column("rollout", ID, primary_key=True),
    Column("device", ID, primary_key=True),
    Column("row_version", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
    ForeignKeyConstraint(["tenant", "rollout"], ["rollouts.tenant", "rollouts.rollout"]),
)

rollout_blocks = Table(
    "rollout_blocks",
    metadata,
    _tenant(key=True),
    Column("rollout", ID, primary_key=True),
    Column("block", BigInteger, primary_key=True, autoincrement=False),
    Column("stage", ID, primary_key=True),
    Column("device", ID, primary_key=True),
    Column("document", LargeBinary, nullable=False),
    ForeignKeyConstraint(["tenant", "rollout"], ["rollouts.tenant", "rollouts.rollout"]),
)

# -- outgoing, workers ------------------------------------------------------------------------------------------------

outbox = Table(
    "outbox",
    metadata,
    Column("place", SERIAL, primary_key=True, autoincrement=True),
    _tenant(),
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("retained", Boolean, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("expires_s", Double, nullable=False),
    Column("sent_s", Double),
    Index(None, "sent_s", "place"),
)

workers = Table(
    "workers",
    metadata,
    _tenant(key=True),
    Column("worker", ID, primary_key=True),
    Column("expires_s", Double, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    _tenant(key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("worker", ID, nullable=False),
    Column("expires_s", Double, nullable=False),
)
