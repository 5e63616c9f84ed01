"""Acclimate's side: the replay that ``acclimate replay`` runs, with what served recorded row by row.

It reads the file itself and runs in its own lockstep, which predicts every row before its label is learned, as the
protocol of the others does. Reading and checking rows is outside the clock, as it is for all.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from acclimate_device.replay import Options, Replay, Row
from acclimate_device.replay_file import Prepared, Request, checked, prepare
from acclimate_device.scores import Scores
from acclimate_tools.bench.peers.protocol import Outcome
from acclimate_tools.bench.peers.recording import Array

#: Model: what ``acclimate replay`` would be given.
MODELS: dict[str, dict[str, Any]] = {
    "continual": {"policy": "continual"},
    "superiority": {"policy": "superiority"},
    "mlp": {"policy": "continual", "learners": ("mlp",), "challengers": ()},
}


@dataclass(slots=True)
class _Recorder:
    """Passes scores on and keeps what served answered; ``first`` is when it did so for the first time."""

    scores: Scores
    answers: list[Array] = field(default_factory=list)
    first: tuple[float, float] | None = None

    def add(self, y: Array, out: Array, members: Array, baselines: Array, scored: Array) -> tuple[Array, Array, Array]:
        """Keep the answers of a chunk; as ``ClassScores.add``."""
        if self.first is None:
            self.first = time.monotonic(), time.process_time()
        self.answers.append((out.argmax(1) if out.ndim > 1 else out).astype(np.float64))
        return self.scores.add(y, out, members, baselines, scored)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever scores have)
        return getattr(self.scores, name)


def run(
    model: str, path: Path, label: str, ignore: tuple[str, ...], *, rows: int, delay: int, seed: int, budget_s: float
) -> tuple[Outcome, list[str]]:
    """Replay the first ``rows`` rows of a file within a budget of processor seconds.

    Returns:
        What came of it, and the names of the classes in the order of their indices.
    """
    request = Request(path=str(path), label=label, ignore=ignore, rows=rows, delay=delay, seed=seed, **MODELS[model])
    prepared = prepare(request)
    with closing(prepared.source):
        return _run(request, prepared, budget_s)


def _run(request: Request, prepared: Prepared, budget_s: float) -> tuple[Outcome, list[str]]:
    options = Options(
        task=prepared.task, delay=request.delay, seed=request.seed, learners=request.learners, rules=prepared.rules
    )
    replay = Replay(prepared.inputs, options)
    with closing(replay.arena):
        recorder: Any = _Recorder(replay.scores)  # it passes everything on
        replay.scores = recorder
        spent, complete = _drive(replay, checked(prepared), budget_s)
        answers = np.concatenate(recorder.answers)
        outcome = Outcome(answers, spent, recorder.first, complete)
        outcome.state_bytes = sum(array.nbytes for array in replay.arena.tensors().values())
        return outcome, list(prepared.inputs.classes)


def _drive(replay: Replay, rows: Iterator[Row], budget_s: float) -> tuple[float, bool]:
    """Feed the rows until they end or the budget does; return the processor seconds, and whether they ended."""
    spent = 0.0
    while chunk := list(islice(rows, replay.chunk_rows)):
        begun = time.process_time()
        if replay.feed(chunk):
            replay.committed()
        spent += time.process_time() - begun
        if spent >= budget_s:
            return spent, next(rows, None) is None
    return spent, True
