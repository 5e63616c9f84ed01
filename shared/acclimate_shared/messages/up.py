"""What a device may say: its state, metrics, lineage, evidence for a rollout, how an update goes.

No type has a field for a feature value. What is said about features is a count for each bin, over edges that the schema
of the bundle fixes (named by its digest, never sent), of at least ``MIN_COUNTED`` events.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from acclimate_shared.lineage_record import Record
from acclimate_shared.messages import fields as f
from acclimate_shared.messages import limits
from acclimate_shared.rollout_reports import MAX_LABELS, REPORTED, DeviceState
from acclimate_shared.waves import Stage

LineageKind = Literal["start", "commit", "promote", "rollback", "override", "merge", "surgery", "forget", "import"]


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A part of a message; a field that is not declared is refused, for it could carry anything."""


class State(Part, frozen=True, kw_only=True, tag="state"):
    """Birth and last will, retained: what the device is and what it runs (the reported half of its twin).

    Attributes:
        online: False only in the last will.
        agent: version of the agent.
        running: digest of the base model that serves, ``previous`` that of the other slot.
        version: of the model that serves, in the device's lineage; ``head`` is the digest of its record.
        schema: digest of the columns.
        wanted: digest that the hub last pointed to; ``differs`` why it does not run.
        memory_bytes: free for a model.
    """

    online: bool
    agent: f.Program
    cohort: f.Name
    running: f.NoDigest = ""
    previous: f.NoDigest = ""
    version: f.NoVersion = ""
    head: f.NoDigest = ""
    schema: f.NoDigest = ""
    wanted: f.NoDigest = ""
    differs: f.NoReason = ""
    memory_bytes: f.Bytes = 0


class CandidateScore(Part, frozen=True, kw_only=True):
    """The mean score of one candidate over the labels of a window."""

    candidate: f.Name
    role: Literal["champion", "challenger", "anchor", "baseline"]
    measure: Literal["accuracy", "kappa", "log-loss", "absolute-error", "squared-error", "bounded-loss"]
    labels: f.Labels
    mean: f.Score


class TestState(Part, frozen=True, kw_only=True):
    """Where a test of a challenger stands."""

    challenger: f.Name
    outcome: Literal["running", "promote", "reject", "equivalent"]
    plan: f.Digest
    labels: f.Count
    log_e: f.LogE
    threshold: f.LogE
    low: f.Score
    high: f.Score


class Drift(Part, frozen=True, kw_only=True):
    """What one detector saw in a window: how often it looked and how often it raised an alarm."""

    detector: f.Name
    signal: Literal["loss", "inputs", "answers"]
    looks: f.Count
    alarms: f.Count


class FeatureCounts(Part, frozen=True, kw_only=True):
    """How many events of a window fell into each bin of one feature, numbered as in the release that declares it."""

    feature: f.FeatureIndex
    counts: Annotated[tuple[f.Count, ...], Meta(min_length=2, max_length=limits.MAX_BINS)]

    def __post_init__(self) -> None:
        """Refuse counts of so few events that single ones could be seen.

        Raises:
            ValueError: that is so.
        """
        if sum(self.counts) < limits.MIN_COUNTED:
            raise ValueError(f"counts of a feature stand for at least {limits.MIN_COUNTED} events")


class Resources(Part, frozen=True, kw_only=True):
    """What a window cost, and how well the device is."""

    predictions: f.Count = 0
    rejects: f.Count = 0
    crashes: f.Count = 0
    latency_p50_s: f.Seconds = 0.0
    latency_p99_s: f.Seconds = 0.0
    cpu_s: f.Seconds = 0.0
    memory_bytes: f.Bytes = 0
    disk_bytes: f.Bytes = 0
    written_bytes: f.Bytes = 0
    outbox_bytes: f.Bytes = 0


class Metrics(Part, frozen=True, kw_only=True, tag="metrics"):
    """Everything measured in a window of time, from ``start_s`` to ``end_s``.

    Attributes:
        schema: digest of the inputs.
        bins: digest of the release whose constraints declare the edges behind ``features``; None if there are none.
    """

    start_s: f.Time
    end_s: f.Time
    schema: f.Digest
    scores: Annotated[tuple[CandidateScore, ...], Meta(max_length=limits.MAX_SCORES)] = ()
    tests: Annotated[tuple[TestState, ...], Meta(max_length=limits.MAX_TESTS)] = ()
    drift: Annotated[tuple[Drift, ...], Meta(max_length=limits.MAX_DETECTORS)] = ()
    features: Annotated[tuple[FeatureCounts, ...], Meta(max_length=limits.MAX_FEATURES)] = ()
    bins: f.Digest | None = None
    resources: Resources = Resources()

    def __post_init__(self) -> None:
        """Refuse a window that ends before it starts, and counts over bins that nobody has declared.

        Raises:
            ValueError: that is so.
        """
        if self.end_s < self.start_s:
            raise ValueError("a window does not end before it starts")
        if self.features and self.bins is None:
            raise ValueError("counts of features name the release that declares their bins")


class LineageRecord(Part, frozen=True, kw_only=True, tag="lineage"):
    """A record of the device's lineage without what may name events (windows, people, reasons).

    Attributes:
        digest: of the whole record, which stays on the device; ``previous`` and ``parents`` name others by theirs.
        bundle: digest of the release that an import or a merge brought in.
        labels: learned since the parent.
    """

    digest: f.Digest
    previous: f.NoDigest = ""
    kind: LineageKind
    version: f.Version
    model: f.Digest
    graph: f.Digest
    schema: f.Digest
    parents: Annotated[tuple[f.Digest, ...], Meta(max_length=2)] = ()
    bundle: f.NoDigest = ""
    plan: f.NoDigest = ""
    evidence: f.NoDigest = ""
    labels: f.Count = 0
    cpu_s: f.Seconds = 0.0
    gain: f.Score | None = None
    time_s: f.Time

    @classmethod
    def of(cls, record: Record, *, bundle: str = "") -> "LineageRecord":
        """Return what may leave the device of a record.

        Args:
            record: of the device's lineage.
            bundle: digest of the release that it imports or merges, if it does.
        """
        return cls(
            digest=record.digest,
            previous=record.previous,
            kind=record.kind,
            version=record.version,
            model=record.model,
            graph=record.graph,
            schema=record.schema,
            parents=record.parents,
            bundle=bundle,
            plan=record.plan,
            evidence=record.evidence.digest if record.evidence else "",
            labels=record.window.labels if record.window else 0,
            cpu_s=record.cpu_s,
            gain=record.gain,
            time_s=record.time_s,
        )


class RolloutReport(Part, frozen=True, kw_only=True, tag="rollout-report"):
    """Where the device stands in a rollout, by its own account; the fields of `rollout_reports.Report`.

    Whose report it is, and which of two is the later, says the envelope. The state "running" means: the device was
    served by ``digest`` through its probation.

    Attributes:
        digest: of the base model that answers now; `waves.NO_BASE` where it came with the agent.
        chunks: of the bundle that are here, of ``chunks_total``, while it is downloaded.
    """

    rollout: f.Name
    attempt: f.Count
    stage: Stage
    state: DeviceState
    digest: f.Digest
    served_s: f.Seconds = 0.0
    warm: bool = False
    reason: f.NoReason = ""
    revision: f.Count = 0
    chunks: f.Count = 0
    chunks_total: f.Count = 0

    def __post_init__(self) -> None:
        """Refuse a state that only the hub can give.

        Raises:
            ValueError: that is so.
        """
        if self.state not in REPORTED:
            raise ValueError(f"a device does not say {self.state}")


class RolloutBlock(Part, frozen=True, kw_only=True, tag="rollout-block"):
    """Evidence for a rollout from one block of time: sums alone; the fields of `rollout_reports.BlockReport`.

    Attributes:
        gain: over ``labels``, the sum of loss(champion) - loss(new base, learning alike), each in [-1, 1].
    """

    rollout: f.Name
    stage: Stage
    block: f.Count
    labels: Annotated[int, Meta(ge=0, le=MAX_LABELS, extra={"kind": "count"})] = 0
    gain: f.Score = 0.0
    asked: Annotated[int, Meta(ge=0, le=MAX_LABELS, extra={"kind": "count"})] = 0
    crashes: f.Count = 0
    rejects: f.Count = 0
    latency: f.Ratio = 0.0
    memory: f.Ratio = 0.0

    def __post_init__(self) -> None:
        """Refuse sums that are larger than their addends allow.

        Raises:
            ValueError: that is so.
        """
        if abs(self.gain) > self.labels * (1 + 1e-9):
            raise ValueError("the sum of n differences is at most n")
        if max(self.crashes, self.rejects) > self.asked:
            raise ValueError("no more crashes or rejects than predictions that were asked for")


class Thinned(Part, frozen=True, kw_only=True, tag="thinned"):
    """Sequence numbers that will never come: a long time offline, metrics were thinned. Lineage and evidence never.

    Attributes:
        thinned: the boot that had given the numbers ``first`` to ``last``.
        metrics: messages that were thinned; what they said is in coarser ones.
    """

    thinned: f.BootId
    first: f.Sequence
    last: f.Sequence
    metrics: f.Count

    def __post_init__(self) -> None:
        """Refuse an empty range.

        Raises:
            ValueError: that is so.
        """
        if self.last < self.first:
            raise ValueError("the last is not before the first")


class Renew(Part, frozen=True, kw_only=True, tag="renew"):
    """A device asks for its next certificate, over the connection that its present one opened."""

    request: f.Pem


class EnrolRequest(Part, frozen=True, kw_only=True, tag="enrol"):
    """A new device asks for its first certificate; the key stays with it."""

    claim: f.Token
    request: f.Pem


class Want(Part, frozen=True, kw_only=True, tag="want"):
    """A device asks for chunks of the bundle of the topic; they come on its ``rx`` topic, see ``pieces``."""

    chunks: Annotated[tuple[f.Count, ...], Meta(min_length=1, max_length=limits.MAX_WANTED)]


Event = Metrics | LineageRecord | RolloutReport | RolloutBlock | Thinned | Renew
