"""One record of a lineage: what happened, its place in the chain, and the line that it is on disk; sums of records.

The canonical form is JSON with sorted keys and no spaces; fields that have their default are left out, so that a field
added later changes no old digest. Fields of a newer minor format are kept and written again; under a format that is
known they are refused, as is a newer major one. A line is the canonical form beside its digest, and no byte else.

Example:
    >>> facts = {"kind": "start", "model": "a" * 64, "graph": "b" * 64, "schema": "c" * 64, "time_s": 0.0}
    >>> record = Record(**facts, format=FORMAT, version="1.0")
    >>> opened(line(record.digest, record)) == record.canonical(), decoded(record.canonical()) == record
    (True, True)
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from acclimate_shared.errors import StateError, StateMismatchError

FORMAT = "1.1"  # the newest that is read; a record names the oldest that has all its fields
FIRST_FORMAT = "1.0"
MAX_BYTES = 1 << 16  # of one record
_OPEN, _MIDDLE, _CLOSE = b'{"digest":"', b'","record":', b"}"
_REMEDY = "restore the lineage from a copy"

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
NoDigest = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Numbers = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})\Z")]
Kind = Literal["start", "commit", "promote", "rollback", "override", "merge", "surgery", "forget", "import"]

#: Least and most parents of each kind.
PARENTS = dict.fromkeys(("commit", "promote", "rollback", "override", "surgery", "forget"), (1, 1))
PARENTS |= {"start": (0, 0), "merge": (2, 2), "import": (0, 1)}


class Window(Struct, frozen=True, kw_only=True, gc=False):
    """The labelled events that a version learned from since its parent: ids or rows, both ends included."""

    first: Number | str
    last: Number | str
    labels: Number

    @property
    def in_order(self) -> bool:
        """Whether the first is not after the last, where they are rows."""
        return not (isinstance(self.first, int) and isinstance(self.last, int)) or self.first <= self.last


class Proof(Struct, frozen=True, kw_only=True, gc=False):
    """The judgement that a version rests on, by digest, with the numbers that people ask for."""

    digest: Digest
    outcome: str
    log_e: float
    threshold: float
    alpha: float
    index: Number  # of the test in the account
    labels: Number
    low: float
    high: float


class Fold(Struct, frozen=True, kw_only=True, gc=False):
    """Says that a record stands for a run of commits, each the only child of the one before: how many, and the last."""

    records: Annotated[int, Meta(ge=2, le=2**63 - 1)]
    last: Digest


class Change(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What happened.

    Attributes:
        model: digest of the state, or of the procedure where that is what serves.
        parents: digests of records of this lineage; of a merge the first decides the version.
        origin: of an import: digest of the record that it was in its own lineage.
        gates: whether each was passed, by name.
        cpu_s: processor seconds spent since the parent.
        gain: mean loss of the parent less that of this version, where it was measured.
        reason: for people; ``who`` decided, where it was a person.
        time_s: wall clock, seconds since 1970.
    """

    kind: Kind
    model: Digest
    graph: Digest
    schema: Digest
    parents: tuple[Digest, ...] = ()
    origin: NoDigest = ""
    window: Window | None = None
    plan: NoDigest = ""
    evidence: Proof | None = None
    gates: dict[str, bool] = {}
    seed: Number | None = None
    cpu_s: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    gain: float | None = None
    reason: str = ""
    who: str = ""
    time_s: Annotated[float, Meta(ge=0, lt=253402300800)]  # before the year 10000


class Record(Change, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A change with its place in the chain; ``unknown`` are fields of newer formats, kept as they came.

    Attributes:
        fold: of a record that stands for several (format 1.1): version and model are those of the last of them,
            parents and ``previous`` those of the first, window and costs the sums.
    """

    format: Numbers
    version: Numbers
    previous: NoDigest = ""
    fold: Fold | None = None
    unknown: dict[str, Any] = {}

    def canonical(self) -> bytes:
        """Return the canonical JSON."""
        if not self.unknown:
            return msgspec.json.encode(self, order="sorted")
        known = msgspec.to_builtins(self)
        return msgspec.json.encode(_overlay(known, known.pop("unknown")), order="sorted")

    @property
    def seal(self) -> str:
        """SHA-256 of the canonical JSON, 64 hex digits."""
        return hashlib.sha256(self.canonical()).hexdigest()

    @property
    def digest(self) -> str:
        """The name by which others call it: its seal; of a fold that of the last record in it."""
        return self.fold.last if self.fold else self.seal


@dataclass(frozen=True, slots=True)
class Sums:
    """What versions cost and brought; whole nanoseconds, so that parts add up to the whole exactly."""

    records: int
    labels: int
    cpu_ns: int
    judged_cpu_ns: int  # of those whose gain is known
    gain: float

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Sums":
        """Add up records."""
        kept = list(records)
        cpu_ns = [round(record.cpu_s * 1e9) for record in kept]
        gains = [record.gain for record in kept]
        judged = sum(ns for ns, gain in zip(cpu_ns, gains, strict=True) if gain is not None)
        labels = sum(record.window.labels for record in kept if record.window)
        count = sum(record.fold.records if record.fold else 1 for record in kept)
        return cls(count, labels, sum(cpu_ns), judged, math.fsum(gain for gain in gains if gain is not None))

    def plus(self, other: "Sums") -> "Sums":
        """Return both together."""
        return Sums(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    @property
    def cpu_s(self) -> float:
        """Processor seconds."""
        return self.cpu_ns / 1e9

    @property
    def gain_per_cpu_s(self) -> float | None:
        """Gain for a processor second, over the versions whose gain is known; None if they cost nothing."""
        return self.gain / (self.judged_cpu_ns / 1e9) if self.judged_cpu_ns else None


class _Head(Struct):
    format: Numbers


_HEADS, _RECORDS = msgspec.json.Decoder(_Head), msgspec.json.Decoder(Record)


def line(seal: str, record: Record) -> bytes:
    """Return a record with this seal as one line of JSON."""
    return _OPEN + seal.encode() + _MIDDLE + record.canonical() + _CLOSE


def opened(data: bytes) -> bytes:
    """Return the record in a line, without the line's end.

    Raises:
        StateError: a byte is not what it was.
    """
    start = len(_OPEN) + 64
    digest, raw = data[len(_OPEN) : start], data[start + len(_MIDDLE) : -len(_CLOSE)]
    if data != _OPEN + digest + _MIDDLE + raw + _CLOSE or hashlib.sha256(raw).hexdigest().encode() != digest:
        raise StateError("the line does not match its digest", field="digest")
    return raw


def decoded(raw: bytes) -> Record:
    """Return the record of a canonical form.

    Raises:
        StateError: it is none.
        StateMismatchError: a newer version wrote it.
    """
    if len(raw) > MAX_BYTES:
        raise StateError(f"a record has at most {MAX_BYTES} bytes", field="bytes", value=len(raw))
    try:
        found = _HEADS.decode(raw).format
        if _major(found) != _major(FORMAT):
            remedy = f"update acclimate; this version reads {FORMAT}"
            raise StateMismatchError("the lineage has another format", field="format", value=found, remedy=remedy)
        record = _RECORDS.decode(raw)
        if record.canonical() != raw:
            unknown = _unknown(msgspec.json.decode(raw), record)
            record = msgspec.structs.replace(record, unknown=unknown)
        if record.canonical() != raw:
            raise StateError("a record is not in canonical form", field="record")
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError) as exc:
        raise StateError(f"a record cannot be read: {exc}", field="record") from exc
    if record.fold and found == FIRST_FORMAT:
        raise StateError("a record has fields that its format has not", field="fold", value=found)
    if record.unknown and _minor(found) <= _minor(FORMAT):
        raise StateError("a record has fields that its format has not", field=min(record.unknown), value=found)
    return record


def _major(text: str) -> int:
    return int(text.partition(".")[0])


def _minor(text: str) -> int:
    return int(text.partition(".")[2])


def _unknown(raw: dict[str, Any], known: Struct) -> dict[str, Any]:
    """Return the part of ``raw`` that the struct, or one inside it, has no field for."""
    rest: dict[str, Any] = {}
    for key, value in raw.items():
        inner = getattr(known, key, None)
        if key not in known.__struct_fields__:
            rest[key] = value
        elif isinstance(inner, Struct) and (deeper := _unknown(value, inner)):
            rest[key] = deeper
    return rest


def _overlay(known: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    return known | {key: _overlay(known[key], value) if key in known else value for key, value in rest.items()}
