"""To learn again what the journal holds: the same labels, in the same steps, by the same code."""

import logging
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from pathlib import Path
from typing import NamedTuple

from acclimate_device.cadence import Now
from acclimate_device.expiry import expired
from acclimate_device.inputs import Inputs
from acclimate_device.join import PendingLog
from acclimate_device.journal import PREFIX, Journal
from acclimate_device.lesson import Lesson
from acclimate_device.logged import Early, Labelled, Logged
from acclimate_device.records import (
    Came,
    Committed,
    Expired,
    Given,
    Named,
    Predicted,
    Record,
    Step,
    Taught,
    Ticked,
    decode,
    encode,
    given,
    labelled_of,
    lesson_of,
    logged_of,
    moment_of,
    predicted,
)
from acclimate_shared.errors import CorruptStateError, LabelError

logger = logging.getLogger(__name__)

Unlearned = MutableMapping[int, tuple[Labelled, str | float]]


class Ways(NamedTuple):
    """How an agent learns: labelled predictions; events that were not predicted; what it held; commits; what it saw."""

    learn: Callable[[Sequence[Labelled], Now | None], None]
    teach: Callable[[Lesson], None]
    tick: Callable[[Now], None]
    commit: Callable[[], None]
    note: Callable[[Sequence[Logged]], None]


def relearn(records: Iterable[Record], unlearned: Unlearned, inputs: Inputs, log: PendingLog, ways: Ways) -> int:
    """Repeat records in order; return how many.

    Args:
        records: since the checkpoint.
        unlearned: labels by sequence that the checkpoint holds; afterwards those that no step has learned.
        inputs: of the model.
        log: of the model.
        ways: of the agent.

    Raises:
        CorruptStateError: a record that cannot follow the checkpoint.
    """
    count = 0
    for count, record in enumerate(records, 1):  # noqa: B007 (returned)
        if isinstance(record, Predicted):
            _predict(record, log, ways)
        elif isinstance(record, Given | Named | Came | Expired):
            _join(record, unlearned, inputs, log)
        else:
            _learn(record, unlearned, ways)
    return count


def _join(record: Given | Named | Came | Expired, unlearned: Unlearned, inputs: Inputs, log: PendingLog) -> None:
    """Repeat what happened to a label before it was learned."""
    if isinstance(record, Given):
        _accept(record, unlearned, inputs, log)
    elif isinstance(record, Named):
        inputs.index(record.label)
    elif isinstance(record, Came):
        log.advance(record.time_s)
        log.keep_early(Early(record.id, record.label, record.weight, record.source, record.time_s))
    else:
        log.advance(record.newest_s)
        found = expired(log, inputs, record.sequence)
        unlearned.update({item.logged.sequence: (item, label) for item, label in found})


def _learn(record: Record, unlearned: Unlearned, ways: Ways) -> None:
    """Repeat a step of learning, or a commit that somebody asked for."""
    if isinstance(record, Step):
        items = [unlearned[sequence][0] for sequence in record.sequences if sequence in unlearned]
        if items:
            ways.learn(items, moment_of(record.now))
    elif isinstance(record, Taught):
        ways.teach(lesson_of(record))
    elif isinstance(record, Ticked):
        ways.tick(Now.of(record.now))
    elif isinstance(record, Committed) and record.asked:
        ways.commit()


def _predict(record: Predicted, log: PendingLog, ways: Ways) -> None:
    if record.sequence >= log.sequence or not log.knows(record.id):
        sequence = max(log.sequence, record.sequence + 1)
        logged = logged_of(record)
        log.advance(logged.time_s)
        log.add(logged)
        ways.note([logged])
        log.sequence = sequence


def _accept(record: Given, unlearned: Unlearned, inputs: Inputs, log: PendingLog) -> None:
    if record.sequence in unlearned:
        return
    try:
        log.advance(record.time_s)
        logged = log.take(record.id, record.label, record.time_s)
    except LabelError:  # given twice: the first time it was durable although the disk had said no
        return
    target = inputs.index(record.label)
    unlearned[record.sequence] = labelled_of(record, logged, target), record.label


def queue(items: Iterable[tuple[Labelled, str | float]]) -> bytes:
    """Return labels that were accepted but not learned, as bytes for a checkpoint."""
    records: list[Record] = []
    for item, label in items:
        records += [predicted(item.logged), given(item, label)]
    return encode(records)


def queued(data: bytes, inputs: Inputs) -> dict[int, tuple[Labelled, str | float]]:
    """Return the labels of ``queue``, by the sequence of their predictions.

    Raises:
        CorruptStateError: they make no sense.
    """
    records, found = decode(data), {}
    for first, second in zip(records[::2], records[1::2], strict=False):
        if not isinstance(first, Predicted) or not isinstance(second, Given):
            raise CorruptStateError("the queue of labels makes no sense", field="queued", remedy="restore a copy")
        target = inputs.index(second.label)
        found[second.sequence] = labelled_of(second, logged_of(first), target), second.label
    return found


def tidy(folder: Path, journal: Journal | None, number: int) -> None:
    """Let go of the journals before ``number``, which no checkpoint needs; of all of them, where there is none now.

    A disk that refuses is asked again after the next checkpoint: what stays does no harm.
    """
    try:
        if journal:
            journal.forget(number)
            return
        for path in folder.glob(f"{PREFIX}*"):
            path.unlink()
    except OSError as exc:
        logger.warning("old journals stay for now: %s", exc.strerror)
