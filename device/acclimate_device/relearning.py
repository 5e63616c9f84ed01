"""To learn again what the journal holds: the same labels, in the same steps, by the same code."""

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from pathlib import Path
from typing import NamedTuple

from acclimate_device.cadence import Now
from acclimate_device.inputs import Inputs
from acclimate_device.join import Labelled, Logged, PendingLog
from acclimate_device.journal import PREFIX, Journal
from acclimate_device.lesson import Lesson
from acclimate_device.records import (
    Committed,
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
        elif isinstance(record, Given):
            _accept(record, unlearned, inputs, log)
        elif isinstance(record, Step):
            items = [unlearned[sequence][0] for sequence in record.sequences if sequence in unlearned]
            if items:
                ways.learn(items, moment_of(record.now))
        elif isinstance(record, Committed) and record.asked:
            ways.commit()
        elif isinstance(record, Named):
            inputs.index(record.label)
        elif isinstance(record, Taught):
            ways.teach(lesson_of(record))
        elif isinstance(record, Ticked):
            ways.tick(Now.of(record.now))
    return count


def _predict(record: Predicted, log: PendingLog, ways: Ways) -> None:
    if record.sequence >= log.sequence or not log.knows(record.id):
        sequence = max(log.sequence, record.sequence + 1)
        logged = logged_of(record)
        log.add(logged)
        ways.note([logged])
        log.sequence = sequence


def _accept(record: Given, unlearned: Unlearned, inputs: Inputs, log: PendingLog) -> None:
    if record.sequence in unlearned:
        return
    try:
        logged = log.take(record.id)
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
    """Let go of the journals before ``number``, which no checkpoint needs; of all of them, where there is none now."""
    if journal:
        journal.forget(number)
        return
    for path in folder.glob(f"{PREFIX}*"):
        path.unlink()
