"""Every limit of the hub, with its unit."""

from dataclasses import dataclass

DAY_S = 86_400.0

BUSY_S = 10.0  # how long a transaction waits for another one
GROUP_EVENTS = 256  # events in one transaction of the ingest
GROUP_WAIT_S = 0.05  # how long the first event of a group waits for more
QUEUE_WANTS = 256  # questions for chunks that may wait; one more is asked again
QUEUE_EVENTS = 4096  # events that may wait for their transaction; beyond, the broker has to wait
PAGE_ROWS = 50  # rows of one answer if nobody says otherwise
MAX_PAGE_ROWS = 500
MAX_BODY_BYTES = 64 * 1024  # of one request to the API, but for bundles and signed metadata
MAX_METADATA_BYTES = 8 << 20  # of one file of signed metadata
MAX_RELEASE_BYTES = 2 * MAX_METADATA_BYTES  # of all that come with one release
BACKUP_ROWS = 1000  # rows held in memory while copying
LEASE_S = 30.0  # how long a worker owns a shard without renewing
SHUT_OUT_EVERY_S = 10.0  # between two looks for revoked devices: they are out within a minute
RETURN_AGAIN_S = 20.0  # between two commands to return to one device
MAX_CLAIM_USES = 100_000  # devices that one claim token may enrol

DEVICE_CERT_S = 90 * DAY_S  # life of a device's certificate; renewed at half of it
BROKER_CERT_S = 825 * DAY_S
CA_CERT_S = 3650 * DAY_S
CRL_S = 7 * DAY_S
CLOCK_SKEW_S = 300.0  # certificates start a little earlier than now

IDEMPOTENCY_S = DAY_S  # how long an idempotency key is remembered

SESSION_S = DAY_S / 2  # life of a session at the pages; never longer than its token's
MAX_SESSIONS = 20  # of one API token; the oldest ends when one more begins
MAX_FORM_BYTES = 8 * 1024  # of a form of the pages
AUDIT_CHECK_ROWS = 5000  # of an audit log that a page checks unasked
SILENT_S = DAY_S  # after which a device that says nothing is called silent
REFRESH_S = 5.0  # between two looks of a page that is open


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long what came from devices is kept.

    Attributes:
        fine_s: width of a fine bucket of metrics, kept for ``fine_keep_s``; ``coarse_s`` and its life alike.
        events_s: life of an event as it came; it must be longer than a device stores and forwards (30 days).
    """

    fine_s: int = 300
    fine_keep_s: float = 7 * DAY_S
    coarse_s: int = 3600
    coarse_keep_s: float = 400 * DAY_S
    events_s: float = 90 * DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A token bucket: ``burst`` at once, then ``per_s`` a second."""

    burst: int
    per_s: float


API_RATE = Rate(burst=200, per_s=50.0)  # of one API token
CLAIM_RATE = Rate(burst=50, per_s=5.0)  # of one claim token
REFUSED_RATE = Rate(burst=20, per_s=0.2)  # of refused credentials from one place
LOGIN_RATE = Rate(burst=10, per_s=0.1)  # of attempts to sign in from one place
