"""The lineage of a model: a hash-chained record of every version, its parents, its data, its evidence and its cost.

Each record names its parents (none for a root, two after a merge) and the record before it, by SHA-256 (see
``acclimate_shared.lineage_record``). A version is derived, never typed: graph and schema of the parent give the next
minor (data iteration), others the next major (model iteration), and none is given twice. A chain shows any damage; only
who keeps the ``head`` elsewhere also sees a tail that was cut or a chain that was written anew. Runs of old commits may
be folded into one record (``lineage_fold``), which bears the digest of the last of them, so the chain goes on.

Example:
    >>> facts = {"model": "a" * 64, "graph": "b" * 64, "schema": "c" * 64, "time_s": 0.0}
    >>> lineage = Lineage()
    >>> first = lineage.append(Change(kind="start", **facts))
    >>> lineage.append(Change(kind="commit", parents=(first.digest,), cpu_s=0.5, **facts)).version
    '1.1'
    >>> Lineage.loads(lineage.dumps(), head=lineage.head).ledger()["data"].cpu_s
    0.5
"""

import hashlib
from collections.abc import Iterator
from itertools import chain

import msgspec

from acclimate_shared.errors import CorruptStateError, StateError, StateMismatchError, UsageError
from acclimate_shared.lineage_lines import Lines, Piece
from acclimate_shared.lineage_record import (
    FIRST_FORMAT,
    PARENTS,
    Change,
    Kind,
    Proof,
    Record,
    Sums,
    Window,
    decoded,
    line,
    opened,
)

__all__ = ["Change", "Kind", "Lineage", "Proof", "Record", "Sums", "Window"]

_REMEDY = "restore the lineage from a copy"


class Lineage:
    """A chain of records, oldest first; everywhere a record is named by its version or its digest."""

    def __init__(self) -> None:
        """Start empty."""
        self._records: list[Record] = []
        self._digests: list[str] = []
        self._lines = Lines()
        self._at: dict[str, int] = {}  # version or digest: index
        self._minors: dict[int, int] = {}  # major: highest minor that was given

    def __len__(self) -> int:
        """Return how many records there are."""
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        """Go through the records, oldest first."""
        return iter(self._records)

    def __getitem__(self, name: str) -> Record:
        """Return a record.

        Raises:
            UsageError: there is none of this name; so do all questions below.
        """
        return self._records[self._index(name)]

    @property
    def head(self) -> str:
        """Digest of the newest record, empty if there is none."""
        return self._digests[-1] if self._digests else ""

    def next_version(self, graph: str, schema: str, parent: str | None = None) -> str:
        """Return the version that a change of this graph and schema gets."""
        if parent is not None:
            old = self[parent]
            if (old.graph, old.schema) == (graph, schema):
                major = int(old.version.partition(".")[0])
                return f"{major}.{self._minors[major] + 1}"
        return f"{len(self._minors) + 1}.0"  # majors are given without gaps

    def append(self, change: Change) -> Record:
        """Add a change at the end and return its record; ``line`` of its version is what to store.

        Raises:
            StateError: it breaks a rule, which is named; nothing was added.
        """
        facts = {name: getattr(change, name) for name in Change.__struct_fields__}
        parent = change.parents[0] if change.parents else None
        version = self.next_version(change.graph, change.schema, parent if parent in self._at else None)
        try:
            raw = Record(**facts, format=FIRST_FORMAT, version=version, previous=self.head).canonical()
        except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError) as exc:
            raise StateError(f"the record cannot be written: {exc}", field="lineage") from exc
        return self._take(raw)

    def _take(self, raw: bytes) -> Record:
        record = decoded(raw)
        for field, good, rule in self._rules(record):
            if not good:
                raise StateError(f"a record breaks a rule: {rule}", field=field, value=getattr(record, field))
        digest = record.fold.last if record.fold else hashlib.sha256(raw).hexdigest()
        major, minor = map(int, record.version.split("."))
        self._at[record.version] = self._at[digest] = len(self)
        self._lines.append(tuple(self._at[parent] for parent in record.parents))
        self._minors[major] = minor
        self._records.append(record)
        self._digests.append(digest)
        return record

    def _rules(self, record: Record) -> Iterator[tuple[str, bool, str]]:
        """Yield field, whether it is right, and the rule."""
        kind, proof, window, (least, most) = record.kind, record.evidence, record.window, PARENTS[record.kind]
        yield "previous", record.previous == self.head, "it names the record before it"
        yield "parents", all(parent in self._at for parent in record.parents), "parents are records before it"
        yield "parents", len(set(record.parents)) == len(record.parents), "each parent is named once"
        yield "parents", least <= len(record.parents) <= most, f"{kind} has {least} to {most} parents"
        yield "kind", not (self and kind == "start"), "a start is the first record"
        parent = self[record.parents[0]] if record.parents else None
        same = parent is not None and (parent.graph, parent.schema) == (record.graph, record.schema)
        yield "graph", same or kind != "commit", f"a {kind} keeps graph and schema"
        yield "fold", record.fold is None or kind == "commit", "only commits are folded"
        version = self.next_version(record.graph, record.schema, record.parents[0] if parent else None)
        if record.fold:
            major, minor = version.split(".")
            version = f"{major}.{int(minor) + record.fold.records - 1}"
        yield "version", record.version == version, f"the next version is {version}"
        proven = proof is not None and proof.outcome == "promote" and bool(record.plan)
        yield "evidence", proven or kind != "promote", "a promotion has a plan and evidence for it"
        yield "gates", all(record.gates.values()) or kind != "promote", "a promotion has passed every gate"
        yield "who", bool(record.who.strip()) or kind != "override", "a person answers for an override"
        yield "reason", bool(record.reason.strip()) or kind != "override", "an override says why"
        yield "evidence", proof is None or kind != "override", "an override is no evidence"
        yield "window", window is None or window.in_order, "the first event is not after the last"

    # -- questions ----------------------------------------------------------------------------------------------

    def parents(self, name: str) -> list[Record]:
        """Return what a version came from."""
        return [self._records[at] for at in self._lines.parents(self._index(name))]

    def children(self, name: str) -> list[Record]:
        """Return what came from a version directly."""
        return [self._records[at] for at in self._lines.children(self._index(name))]

    def ancestors(self, name: str) -> list[Record]:
        """Return everything that a version came from, oldest first."""
        return self._of(self._lines.above(self._index(name)))[:-1]

    def descendants(self, name: str) -> list[Record]:
        """Return everything that came from a version, oldest first."""
        return self._of(self._lines.below(self._index(name)))[1:]

    def windows(self, name: str) -> list[tuple[str, Window]]:
        """Return the data that is in a version, with the version that learned each part, from the root on."""
        records = self._of(self._lines.above(self._index(name)))
        return [(record.version, record.window) for record in records if record.window]

    def path(self, first: str, last: str) -> list[Record]:
        """Return the shortest way over a common ancestor, both ends included; empty if they have none."""
        return [self._records[at] for at in self._lines.way(self._index(first), self._index(last))]

    def ledger(self) -> dict[str, Sums]:
        """Return what data iterations (minors) and model iterations (majors) cost and brought, and both: ``total``."""
        majors = [record for record in self._records if record.version.endswith(".0")]
        data, model = Sums.of(r for r in self._records if not r.version.endswith(".0")), Sums.of(majors)
        return {"data": data, "model": model, "total": data.plus(model)}

    def _index(self, name: str) -> int:
        if name not in self._at:
            newest = self._records[-1].version if self._records else "none yet"
            remedy = f"the newest is {newest}; old commits may have been folded into a later one"
            raise UsageError("no such version", field="version", value=name, remedy=remedy)
        return self._at[name]

    def _of(self, pieces: list[Piece]) -> list[Record]:
        """Return the records of parts of lines."""
        return list(chain.from_iterable(self._records[first : last + 1] for first, last in pieces))

    # -- on disk ------------------------------------------------------------------------------------------------

    def line(self, name: str) -> bytes:
        """Return a record as one line of JSON."""
        at = self._index(name)
        record = self._records[at]
        return line(record.seal if record.fold else self._digests[at], record) + b"\n"

    def dumps(self) -> bytes:
        """Return all lines."""
        return b"".join(self.line(digest) for digest in self._digests)

    @classmethod
    def loads(cls, data: bytes, *, head: str | None = None) -> "Lineage":
        """Read lines, and check all of them.

        Raises:
            CorruptStateError: a line is damaged or breaks a rule (``row`` is its number), or the head is another.
            StateMismatchError: a newer version wrote it.
        """
        lineage, lines = cls(), data.split(b"\n")
        for row, data_line in enumerate(lines[:-1], 1):
            try:
                lineage._take(opened(data_line))
            except StateMismatchError as exc:
                exc.row = row
                raise
            except StateError as exc:
                raise CorruptStateError(exc.message, field=exc.field, remedy=_REMEDY, row=row) from exc
        if lines[-1]:
            raise CorruptStateError("the last line is not complete", field="line", remedy=_REMEDY, row=len(lines))
        if head is not None and head != lineage.head:
            raise CorruptStateError("the newest record is another one", field="head", value=head, remedy=_REMEDY)
        return lineage

    def tail(self) -> "Lineage":
        """Return what appending needs: the newest record alone, and the versions that were given."""
        short = Lineage()
        short._minors = dict(self._minors)
        if self:
            short._records, short._digests = self._records[-1:], self._digests[-1:]
            short._lines.append(())
            short._at = {self._records[-1].version: 0, self.head: 0}
        return short

    def verify(self) -> None:
        """Check the whole chain again.

        Raises:
            CorruptStateError: naming the first record (as ``row``, from 1) that is not what it was.
        """
        Lineage.loads(self.dumps(), head=self.head)
