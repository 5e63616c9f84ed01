"""What the journal holds: enough to learn again, bit for bit, what was learned since the last checkpoint.

``Predicted`` is a prediction as it was logged, with every candidate's answer; ``Given`` its label; ``Step`` which of
the labels given so far were judged together; ``Taught`` labelled events that were not predicted here; ``Ticked`` that
labels which were held for a trigger were learned;
``Committed`` the lineage of a commit; ``Named`` a class that has a number but no label yet;
``Turned`` the end of a journal, of which a checkpoint knows more.
Numbers are written as float32 where that changes no bit of them.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.cadence import Now
from acclimate_device.lesson import Lesson
from acclimate_device.logged import Labelled, Logged
from acclimate_device.schema import Parsed
from acclimate_shared.errors import CorruptStateError

Array = npt.NDArray[Any]


class Predicted(msgspec.Struct, tag="p", array_like=True, frozen=True):
    """A prediction; see ``Logged``."""

    id: str
    sequence: int
    texts: list[str | None]
    key: str
    x: bytes
    memo: bytes
    shape: list[int]  # of the memo
    occupants: list[int]
    time_s: float = 0.0


class Given(msgspec.Struct, tag="g", array_like=True, frozen=True):
    """A label as it was accepted; see ``Labelled``."""

    sequence: int
    id: str
    label: str | float
    weight: float
    delay: int
    source: str = ""
    time_s: float = 0.0


class Came(msgspec.Struct, tag="a", array_like=True, frozen=True):
    """A label that came before its prediction; see ``join.Early``."""

    id: str
    label: str | float
    weight: float
    source: str
    time_s: float


class Expired(msgspec.Struct, tag="x", array_like=True, frozen=True):
    """The watermark passed the windows of some predictions: the newest event time, and the next sequence."""

    newest_s: float
    sequence: int


class Step(msgspec.Struct, tag="s", array_like=True, frozen=True):
    """The predictions, by sequence, whose labels were learned together."""

    sequences: list[int]
    now: list[float | None] | None = None  # see ``cadence.Now``; where learning waits for a trigger


class Taught(msgspec.Struct, tag="t", array_like=True, frozen=True):
    """Labelled events, learned together; see ``Lesson``."""

    x: bytes
    texts: list[list[str | None]]
    keys: list[str]
    labels: list[str | float]
    now: list[float | None] | None = None
    source: str = ""
    time_s: float = 0.0
    seen: bytes = b""  # empty where it is the same as x


class Ticked(msgspec.Struct, tag="w", array_like=True, frozen=True):
    """What was held is learned although no label came."""

    now: list[float | None]


class Committed(msgspec.Struct, tag="c", array_like=True, frozen=True):
    """The lines that a commit added to the lineage, and whether somebody asked for it: then no count says when."""

    lines: list[bytes]
    asked: bool = False


class Turned(msgspec.Struct, tag="e", array_like=True, frozen=True):
    """The end of a journal, and what the next one begins with."""

    chain: bytes


class Named(msgspec.Struct, tag="n", array_like=True, frozen=True):
    """A class that got its number from a label that was refused afterwards."""

    label: str


Record = Predicted | Given | Named | Came | Expired | Step | Taught | Ticked | Committed | Turned

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Record])


def encode(records: Sequence[Record]) -> bytes:
    """Return records as bytes."""
    return _encoder.encode(records)


def decode(data: bytes) -> list[Record]:
    """Return what was encoded.

    Raises:
        CorruptStateError: these are no records.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise CorruptStateError("a group of records makes no sense", field="journal", remedy="restore a copy") from exc


def thin(array: Array) -> bytes:
    """Return float64 numbers as bytes: as float32 if every bit comes back from them."""
    wide = np.ascontiguousarray(array, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = wide.astype(np.float32)
    same = narrow.astype(np.float64).tobytes() == wide.tobytes()
    return b"\4" + narrow.tobytes() if same else b"\10" + wide.tobytes()


def thick(data: bytes, shape: Sequence[int]) -> Array:
    """Return the numbers that ``thin`` was given, float64 of a shape, one size of which may be -1.

    Raises:
        CorruptStateError: they have another size.
    """
    try:
        numbers = np.frombuffer(data, np.float32 if data[:1] == b"\4" else np.float64, offset=1)
        return numbers.astype(np.float64).reshape(shape)
    except ValueError as exc:
        raise CorruptStateError("numbers of a wrong size", field="journal", remedy="restore a copy") from exc


def predicted(logged: Logged) -> Predicted:
    """Return the record of a prediction whose memo is complete.

    Raises:
        RuntimeError: it is not.
    """
    memo = logged.memo
    if memo is None or logged.moment is not None:
        raise RuntimeError("a prediction was recorded before it was complete")
    occupants, texts = [int(number) for number in logged.occupants], list(logged.texts)
    shape, x = list(memo.shape), thin(logged.x)
    return Predicted(
        id=logged.id,
        sequence=logged.sequence,
        texts=texts,
        key=logged.key,
        x=x,
        memo=thin(memo),
        shape=shape,
        occupants=occupants,
        time_s=logged.time_s,
    )


def given(item: Labelled, label: str | float) -> Given:
    """Return the record of a label."""
    logged = item.logged
    return Given(logged.sequence, logged.id, label, item.weight, item.delay, item.source, item.time_s)


def labelled_of(record: Given, logged: Logged, target: float) -> Labelled:
    """Return the labelled prediction of a record; ``target`` is the label's class index or value."""
    return Labelled(logged, target, record.weight, record.delay, record.source, record.time_s)


def taught(lesson: Lesson) -> Taught:
    """Return the record of a lesson that has been learned.

    Raises:
        RuntimeError: it has not.
    """
    x, seen = lesson.x, lesson.seen
    if x is None or seen is None:
        raise RuntimeError("a lesson was recorded before it was learned")
    return Taught(
        thin(x),
        [list(event.texts) for event in lesson.events],
        list(lesson.keys),
        list(lesson.labels),
        lesson.now.told() if lesson.now else None,
        lesson.source,
        lesson.time_s,
        b"" if np.array_equal(x, seen) else thin(seen),
    )


def lesson_of(record: Taught) -> Lesson:
    """Return the lesson of a record.

    Raises:
        CorruptStateError: its numbers have a wrong size.
    """
    shape = [len(record.keys), -1]
    return Lesson(
        events=[Parsed([], texts) for texts in record.texts],
        keys=record.keys,
        labels=record.labels,
        source=record.source,
        time_s=record.time_s,
        seen=thick(record.seen or record.x, shape),
        x=thick(record.x, shape),
        now=moment_of(record.now),
    )


def moment_of(told: Sequence[float | None] | None) -> Now | None:
    """Return the moment that was told, if one was."""
    return None if told is None else Now.of(told)


def logged_of(record: Predicted) -> Logged:
    """Return the prediction of a record."""
    return Logged(
        id=record.id,
        sequence=record.sequence,
        texts=record.texts,
        key=record.key,
        x=thick(record.x, [-1]),
        moment=None,
        memo=thick(record.memo, record.shape),
        occupants=tuple(record.occupants),
        time_s=record.time_s,
    )
