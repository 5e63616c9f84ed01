"""What waits for the hub: written before it is sent, forgotten when the hub says that it has committed it.

A message gets its identity (boot, sequence) and its bytes once, when it is put here; however often it is sent, it is
the same, so the hub takes it once. Records of the lineage are not put here by whoever commits: they are taken from the
committed lineage itself, and the place up to which they were taken moves in the transaction that writes their messages.
So none can be lost or made twice, whenever the device dies; and while the hub is away they wait where they are.

What waits is bounded by bytes. Beyond the bound the oldest metrics become coarser buckets, and a ``Thinned`` message
says which sequence numbers will never come. Lineage, evidence and all else is never thinned. Rows are sent in order, no
more than a window of the oldest at once; thinning takes none of the window, so it only takes what was never sent.
"""

import itertools
import logging
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from acclimate_device.fleet_rows import CURSOR, Cursor, FleetRows, Row
from acclimate_device.sync.buckets import WIDTHS_S, merged
from acclimate_device.sync.limits import OutboxLimits
from acclimate_shared.lineage_record import Record, decoded, opened
from acclimate_shared.messages.down import Ack
from acclimate_shared.messages.envelope import Envelope, decode, encode, message_id
from acclimate_shared.messages.topics import Kind
from acclimate_shared.messages.up import Event, LineageRecord, Metrics, Thinned

logger = logging.getLogger(__name__)

STARTS_END = 2**32


class Source(Protocol):
    """A committed lineage: a ``Store``."""

    def lines(self) -> int:
        """Return the place of the newest record, 0 if there is none."""

    def lineage_after(self, place: int, most: int) -> list[tuple[int, bytes]]:
        """Return the next records after a place, at most so many: place and line."""


def kind_of(level: int) -> str:
    """Return the kind of a row with metrics that were thinned so many times."""
    return f"metrics-{level}"


class Outbox:
    """The messages of a device, in one life of its link.

    Attributes:
        starts: of the link on this device, this one included.
        boot: identity of this life: its number, then 32 random bits, in case the state is a restored copy.
    """

    def __init__(
        self, rows: FleetRows, device: str, now: Callable[[], float], limits: OutboxLimits | None = None
    ) -> None:
        """Begin a life.

        Args:
            rows: of the state.
            device: who sends.
            now: seconds since 1970.
            limits: None for the default.

        Raises:
            StateError: as in all methods, the disk refuses.
        """
        self._rows, self._device, self._now = rows, device, now
        self.limits = limits or OutboxLimits()
        self.starts = rows.start()
        self.boot = f"{self.starts % STARTS_END:08x}{secrets.token_hex(4)}"
        self._sequence = itertools.count(1)
        self._lock = threading.Lock()  # thinning and adding are one after the other

    def packed(self, kind: Kind, body: Any) -> bytes:  # noqa: ANN401 - any of the closed set
        """Return a message that is sent at once and not kept, such as a state.

        Raises:
            MessageError: the topic does not carry it.
        """
        return encode(self._envelope(body, next(self._sequence)), kind)

    def _envelope(self, body: Any, sequence: int) -> Envelope[Any]:  # noqa: ANN401
        return Envelope(
            id=message_id(), time_s=self._now(), sender=self._device, boot=self.boot, sequence=sequence, body=body
        )

    def _row(self, body: Event, kind: str = "") -> Row:
        sequence = next(self._sequence)
        tag = kind or str(type(body).__struct_config__.tag)
        return Row(self.boot, sequence, tag, encode(self._envelope(body, sequence), Kind.UP))

    def put(self, body: Event) -> None:
        """Keep a message until the hub has it; any thread may.

        Raises:
            MessageError: it breaks a rule.
        """
        with self._lock:
            kind = kind_of(0) if isinstance(body, Metrics) else ""
            self._rows.change([self._row(body, kind)])
            if isinstance(body, Metrics):
                self._thin()

    def take(self, source: Source) -> int:
        """Take records from the lineage as far as the window has room; return how many."""
        with self._lock:
            room = self.limits.window - self._rows.size()[0]
            cursor = self._cursor()
            if room <= 0 or (source.lines() <= cursor.place and not cursor.place):
                return 0
            rows = self._following(source, cursor, room)
            if not rows:
                return 0
            records = [opened_record(line) for _, line in rows]
            moved = msgspec.msgpack.encode(Cursor(rows[-1][0], records[-1].digest))
            self._rows.change([self._row(LineageRecord.of(record)) for record in records], fact=(CURSOR, moved))
            return len(records)

    def taken(self) -> int:
        """Return the place up to which the lineage has become messages."""
        return self._cursor().place

    def _cursor(self) -> Cursor:
        kept = self._rows.fact(CURSOR)
        return msgspec.msgpack.decode(kept, type=Cursor) if kept else Cursor()

    def _stands(self, source: Source, cursor: Cursor) -> bool:
        """Whether the last record that was taken is still where it was; it is not after a return to an old copy."""
        if not cursor.place:
            return True
        there = source.lineage_after(cursor.place - 1, 1)
        return bool(there) and there[0][0] == cursor.place and opened_record(there[0][1]).digest == cursor.digest

    def _following(self, source: Source, cursor: Cursor, most: int) -> list[tuple[int, bytes]]:
        if self._stands(source, cursor):
            return source.lineage_after(cursor.place, most)
        logger.warning("the lineage is not the one that was sent: it is sent again, the hub knows records by digest")
        return source.lineage_after(0, most)

    def window(self) -> list[Row]:
        """Return what may be under way now, oldest first."""
        return self._rows.first(self.limits.window)

    def acknowledged(self, ack: Ack) -> int:
        """Forget what the hub has committed; return how many messages."""
        return self._rows.forget(ack.acked, [(one.first, one.last) for one in ack.ranges])

    def size(self) -> tuple[int, int]:
        """Return how many messages wait, and their bytes."""
        return self._rows.size()

    # -- thinning -----------------------------------------------------------------------------------------------

    def _thin(self) -> None:
        limits = self.limits
        if self._rows.size()[1] <= limits.most_bytes:
            return
        for level, width_s in enumerate(WIDTHS_S):
            while self._rows.size()[1] > limits.kept_share * limits.most_bytes:
                old = self._rows.behind(limits.window, kind_of(level), limits.pass_rows)
                if len(old) < 2 or not self._coarser(old, level, width_s):  # noqa: PLR2004 - to be one
                    break

    def _coarser(self, old: Sequence[Row], level: int, width_s: float) -> bool:
        """Put fewer rows in the place of some; return whether any became fewer."""
        groups: dict[tuple[int, str], list[tuple[Row, Metrics]]] = {}
        for row in old:
            body = decode(row.body, Kind.UP).body
            groups.setdefault((int(body.start_s // width_s), body.schema), []).append((row, body))
        new, gone = [], []
        for group in groups.values():
            if len(group) == 1:
                row = group[0][0]
                new.append(Row(row.boot, row.sequence, kind_of(level + 1), row.body))
                continue
            new.append(self._row(merged([body for _, body in group]), kind_of(level + 1)))
            gone += [row for row, _ in group]
        new += [self._row(told) for told in announced(gone)]
        self._rows.change(new, gone=[row.place for row in old])
        logger.info("%d buckets of metrics became %d: the hub has been away for long", len(old), len(groups))
        return bool(gone)


def announced(gone: Iterable[Row]) -> list[Thinned]:
    """Return what says that these rows will never come: one message for each run of numbers of a boot."""
    runs: list[list[Row]] = []
    for row in sorted(gone, key=lambda row: (row.boot, row.sequence)):
        if runs and runs[-1][-1].boot == row.boot and runs[-1][-1].sequence + 1 == row.sequence:
            runs[-1].append(row)
        else:
            runs.append([row])
    return [
        Thinned(thinned=run[0].boot, first=run[0].sequence, last=run[-1].sequence, metrics=len(run)) for run in runs
    ]


def opened_record(line: bytes) -> Record:
    """Return the record of a line of a lineage.

    Raises:
        StateError: the line is damaged.
    """
    return decoded(opened(line.removesuffix(b"\n")))
