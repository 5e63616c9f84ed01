"""The journal: a label is acknowledged when the group of records it is part of is durable.

Whoever needs a record to be durable writes everything that waits, for all others too; while one group is being written
the next one gathers, so that threads that come together share one write. What nobody waits for (predictions without a
label) is written by a thread, a second later at most.

A group is encrypted, bound to its journal and its number, and chained to the group before it: nothing can be cut out,
moved in from another time or put back. A group that is torn ends the journal, unless more follows, which is damage.
Each checkpoint begins a journal of its own; those before it are kept as long as a checkpoint needs them, then their
files are used again.
"""

import logging
import secrets
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from acclimate_device.records import Record, Turned, decode, encode
from acclimate_device.segment import SECTOR_BYTES, FileSegment, Segment
from acclimate_device.spare import set_aside
from acclimate_device.tensor_bytes import packed, unpacked
from acclimate_shared.durable import sync_folder
from acclimate_shared.errors import CorruptStateError, StateError

if TYPE_CHECKING:  # what seals takes memory: loaded where a state is kept
    from acclimate_device.vault import Vault

logger = logging.getLogger(__name__)

PREFIX = "acclimate.journal-"  # and the number of the journal
MAGIC = b"ACJ1"
HEAD = struct.Struct(">4sIQI")  # magic, bytes of the sealed group, journal, number of the group
CHAIN_BYTES = 16
MOST_GROUP_BYTES = 64 * 2**20
IDLE_S = 1.0  # how long a prediction without a label may wait to be written

Opener = Callable[[Path], Segment]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a journal: its number, what the next group is chained to, the number of that group and its offset."""

    number: int
    chain: bytes

    group: int = 0
    offset: int = 0

    @classmethod
    def fresh(cls, number: int) -> "Mark":
        """Return the beginning of the journal ``number``."""
        return cls(number, secrets.token_bytes(CHAIN_BYTES))


def path_of(folder: Path, number: int) -> Path:
    """Return the file of a journal."""
    return folder / f"{PREFIX}{number}"


class Reader:
    """Reads a journal and those that follow it."""

    def __init__(self, folder: Path, vault: "Vault") -> None:
        """Read the journals in a folder."""
        self._folder, self._vault = folder, vault
        self.damaged: dict[Path, str] = {}  # journals in which something follows a group that does not open
        self.end = Mark(0, b"")  # where the last one that was read may be gone on with

    def records(self, mark: Mark) -> Iterator[Record]:
        """Yield what was written since a mark, in order, up to the first group that is not whole."""
        following: Mark | None = mark
        self.end = mark
        while following:
            mark, following = following, None
            for record in self._journal(mark):
                if isinstance(record, Turned):
                    following = self.end = Mark(mark.number + 1, record.chain)
                else:
                    yield record

    def _journal(self, mark: Mark) -> Iterator[Record]:
        path = path_of(self._folder, mark.number)
        try:
            data = path.read_bytes() if path.is_file() else b""
        except OSError as exc:
            raise StateError(f"the journal cannot be read: {exc.strerror}", field="state", value=str(path)) from exc
        at, number, chain = 0, 0, mark.chain
        while True:
            size, sealed = _group(data, at, mark.number, number)
            try:
                records = decode(unpacked(self._vault.open(_place(mark.number, number, chain), sealed))) if size else []
            except CorruptStateError:
                size = 0
            if not size:
                break
            at, number, chain = at + size, number + 1, sealed[-CHAIN_BYTES:]
            self.end = Mark(mark.number, chain, number, at)
            yield from records
        lost = _more(data, at + SECTOR_BYTES, mark.number, number)
        if lost:
            self.damaged[path] = f"the journal is damaged after {number} groups; {lost} more cannot be used"

    def put_away(self) -> list[str]:
        """Set damaged journals aside, once a checkpoint holds what they gave; return what was done, for people.

        Raises:
            StateError: the disk refuses.
        """
        try:
            told = [f"{text}: set aside as {set_aside(path).name}" for path, text in self.damaged.items()]
        except OSError as exc:
            raise StateError(f"the journal cannot be set aside: {exc.strerror}", field="state") from exc
        for text in told:
            logger.error("%s", text)
        return told


def _place(journal: int, number: int, chain: bytes) -> str:
    return f"journal/{journal}/{number}/{chain.hex()}"


def _group(data: bytes, at: int, journal: int, number: int) -> tuple[int, bytes]:
    """Return the bytes that a group takes, 0 if there is none, and its sealed content."""
    if at + HEAD.size > len(data):
        return 0, b""
    magic, size, own, index = HEAD.unpack_from(data, at)
    if (magic, own, index) != (MAGIC, journal, number) or size > MOST_GROUP_BYTES:
        return 0, b""
    return _padded(HEAD.size + size), data[at + HEAD.size : at + HEAD.size + size]


def _more(data: bytes, at: int, journal: int, number: int) -> int:
    """Return how many groups of a journal follow somewhere after a group that does not open."""
    heads = (HEAD.unpack_from(data, place) for place in range(at, len(data) - HEAD.size, SECTOR_BYTES))
    return sum(head[0] == MAGIC and head[2] == journal and head[3] > number for head in heads)


def _padded(size: int) -> int:
    return -(-size // SECTOR_BYTES) * SECTOR_BYTES


class Journal:
    """Writes records in groups."""

    def __init__(
        self, folder: Path, vault: "Vault", mark: Mark, *, opener: Opener = FileSegment, idle_s: float | None = IDLE_S
    ) -> None:
        """Begin a journal or go on with one; nothing is written yet.

        Args:
            folder: of the state.
            vault: seals the groups.
            mark: where to write next.
            opener: of files.
            idle_s: how long a record that nobody waits for may wait, seconds; None for as long as it takes.
        """
        self._folder, self._vault, self._opener = folder, vault, opener
        self._mark, self._number = mark, mark.number  # where to write next; the last journal that was begun
        self._segment: Segment | None = None
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, Record]] = []  # with their tickets
        self._ticket = self._durable = 0
        self._writing = self._closed = False
        self._written = 0  # bytes to segments that are closed
        self.bytes = mark.offset  # since the last turn
        self._thread: threading.Thread | None = None
        if idle_s is not None:
            self._thread = threading.Thread(target=self._idle, args=[idle_s], name="acclimate-journal", daemon=True)
            self._thread.start()

    @property
    def written(self) -> int:
        """Bytes handed to the disk since the start."""
        return self._written + (self._segment.written if self._segment else 0)

    def append(self, record: Record) -> int:
        """Add a record; return a ticket for ``sync``."""
        with self._changed:
            self._ticket += 1
            self._waiting.append((self._ticket, record))
            return self._ticket

    def retract(self, ticket: int) -> None:
        """Take back a record that could not be made durable."""
        with self._changed:
            self._waiting = [item for item in self._waiting if item[0] != ticket]

    def turn(self) -> Mark:
        """Let what follows be part of the next journal; return its mark, for the checkpoint of this moment."""
        with self._changed:
            self._number += 1
            mark = Mark.fresh(self._number)
            self.append(Turned(mark.chain))
            self.bytes = 0
            return mark

    def sync(self, ticket: int | None = None) -> None:
        """Wait until a record, or everything so far, is durable.

        Raises:
            StateError: the disk refuses; nothing that waits is lost, and the next call tries again.
        """
        with self._changed:
            wanted = self._ticket if ticket is None else ticket
            while self._durable < wanted:
                if self._writing:
                    self._changed.wait()
                    continue
                self._lead()

    def _lead(self) -> None:
        """Write everything that waits; the lock is held, and let go of while the disk works."""
        batch, self._waiting, self._writing = self._waiting, [], True
        self._changed.release()
        done, failure = 0, None
        try:
            for part in _parts([record for _, record in batch]):
                self._write(part)
                done += len(part)
        except OSError as exc:
            failure = exc
        finally:
            self._changed.acquire()
            self._waiting = batch[done:] + self._waiting
            if done:
                self._durable = max(self._durable, batch[done - 1][0])
            self._writing = False
            self._changed.notify_all()
        if failure:
            message = f"the journal cannot be written: {failure.strerror or failure}"
            remedy = "make room on the disk, then give again what was not acknowledged"
            raise StateError(message, field="state", value=str(self._folder), remedy=remedy) from failure

    def _write(self, records: Sequence[Record]) -> None:
        """Write one group, durable on return."""
        if self._segment is None:
            self._segment = self._opened(self._mark.number)
        mark = self._mark
        place = _place(mark.number, mark.group, mark.chain)
        sealed = self._vault.seal(place, packed(encode(records)))
        data = HEAD.pack(MAGIC, len(sealed), mark.number, mark.group) + sealed
        data = data.ljust(_padded(len(data)), b"\0")
        self._segment.write(mark.offset, data)
        self._mark = Mark(mark.number, sealed[-CHAIN_BYTES:], mark.group + 1, mark.offset + len(data))
        self.bytes += len(data)
        last = records[-1]
        if isinstance(last, Turned):
            self._leave()
            self._mark = Mark(mark.number + 1, last.chain)

    def _opened(self, number: int) -> Segment:
        """Open the file of a journal, one that nobody needs any more if there is one; its name is durable."""
        path = path_of(self._folder, number)
        spare = self._folder / f"{PREFIX}spare"
        if spare.is_file() and not path.exists():
            spare.replace(path)
        segment = self._opener(path)
        sync_folder(self._folder)
        return segment

    def _leave(self) -> None:
        if self._segment:
            self._written += self._segment.written
            self._segment.close()
            self._segment = None

    def forget(self, number: int) -> None:
        """Let the files of the journals before ``number`` be used again."""
        spare = self._folder / f"{PREFIX}spare"
        for path in self._folder.glob(f"{PREFIX}*"):
            own = path.name.removeprefix(PREFIX)
            if own.isdigit() and int(own) < number:
                path.replace(spare)

    def _idle(self, idle_s: float) -> None:
        """Write, once in a while, what nobody waits for."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed, idle_s)
                if self._closed:
                    return
                due = self._ticket
            try:
                self.sync(due)
            except StateError as exc:
                logger.warning("%s", exc)

    def close(self) -> None:
        """Write what waits and release the file.

        Raises:
            StateError: the disk refuses.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join()
        try:
            self.sync()
        finally:
            self._leave()


def _parts(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Split records after every end of a journal."""
    begin = 0
    for at, record in enumerate(records, 1):
        if isinstance(record, Turned) or at == len(records):
            yield records[begin:at]
            begin = at
