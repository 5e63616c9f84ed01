"""One protocol for every peer: predict, then learn the label when it has arrived, in the order of arrival.

Row t is predicted when the labels of the rows up to t - 1 - delay are known. A peer that learns in batches is asked for
a batch of rows at a time, which gives the answers of asking row by row, since it learns nothing in between; a batch is
learned once all of its labels have arrived.

The clock is the processor time of predicting and learning, all threads of the process included. Turning rows into the
form that a peer takes (``convert``) happens outside it, block by block.
"""

import resource
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from acclimate_tools.bench.peers.recording import Array, Block, Facts


class Peer(Protocol):
    """What an adapter gives.

    Attributes:
        batch: rows that are learned at a time, 1 for one after the other.
    """

    batch: int

    def convert(self, block: Block) -> Sequence[Any]:
        """Return the rows in the form that the peer takes, one item each."""

    def predict(self, rows: Sequence[Any]) -> Sequence[float | None]:
        """Return the class index or value for each row; None where there is no answer yet."""

    def learn(self, rows: Sequence[Any], targets: Array) -> None:
        """Learn rows, whose labels are class indices (int64) or values (float64)."""

    def state_bytes(self) -> int | None:
        """Return the size of the model, written down in the peer's own way; None if it cannot be written down."""


def peak_rss_bytes() -> int:
    """Return the most memory this process has held; getrusage would count what its parent held before exec."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass(slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        answers: (rows done,) float64 class indices or values, NaN where there was no answer.
        loop_cpu_s: processor seconds of predicting and learning.
        first_answer: (wall clock as ``time.monotonic``, processor seconds of the process) at the first answer.
        complete: whether every row was done within the budget.
        cpu_s: processor seconds of the process from its start to its last row.
        peak_rss_bytes: most memory of the process until then.
        state_bytes: size of the model at the end; None if it cannot be written down.
    """

    answers: Array
    loop_cpu_s: float
    first_answer: tuple[float, float] | None
    complete: bool
    cpu_s: float = field(default_factory=time.process_time)
    peak_rss_bytes: int = field(default_factory=peak_rss_bytes)
    state_bytes: int | None = None


def run(peer: Peer, facts: Facts, blocks: Iterable[Block], targets: Array, *, delay: int, budget_s: float) -> Outcome:
    """Run a peer over a recording.

    Args:
        peer: fresh, it has learned nothing.
        facts: of the recording.
        blocks: its rows.
        targets: (rows,) its labels; row i is read only when the rows up to i + delay have been predicted.
        delay: rows between a row and its label, 0 if the label is known before the next row.
        budget_s: processor seconds of predicting and learning after which the run stops.
    """
    answers = np.full(facts.rows, np.nan)
    waiting: deque[Any] = deque()  # converted rows that are not learned yet
    rows = _converted(peer, blocks)
    done = learned = 0
    first: tuple[float, float] | None = None
    spent = 0.0
    while done < facts.rows and spent < budget_s:
        chunk = list(islice(rows, min(peer.batch, facts.rows - done)))
        begun = time.process_time()
        found = peer.predict(chunk)
        spent += time.process_time() - begun
        for at, answer in enumerate(found, done):
            if answer is not None:
                answers[at] = answer
        if first is None and any(answer is not None for answer in found):
            first = time.monotonic(), time.process_time()
        waiting.extend(chunk)
        done += len(chunk)
        begun = time.process_time()
        while done - delay - learned >= peer.batch:
            batch = [waiting.popleft() for _ in range(peer.batch)]
            peer.learn(batch, targets[learned : learned + peer.batch])
            learned += peer.batch
        spent += time.process_time() - begun
    outcome = Outcome(answers[:done], spent, first, done == facts.rows)
    outcome.state_bytes = peer.state_bytes()  # last: to write a model down takes time and memory
    return outcome


def _converted(peer: Peer, blocks: Iterable[Block]) -> Iterable[Any]:
    for block in blocks:
        yield from peer.convert(block)
