"""The laws of every adapter: no label before its time, the same answers for the same seed, and it learns.

The adapters whose libraries are installed for development run here; the others run by the same protocol.
"""

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from acclimate_tools.bench.peers import acclimate_models, river_models, sklearn_models, torch_models
from acclimate_tools.bench.peers.catalogue import ENTRIES, FAMILIES, Entry
from acclimate_tools.bench.peers.cells import Cell, Stream, run_one
from acclimate_tools.bench.peers.prepare import record
from acclimate_tools.bench.peers.protocol import Outcome, Peer, run
from acclimate_tools.bench.peers.recording import Array, Block, Facts, Recording, Task, with_last_label
from acclimate_tools.bench.peers.venvs import AbsentError, environment
from tests import streams

ROWS, DELAY, CHANGED = 300, 20, 200
BUILD: dict[str, Callable[[str, Facts, int], Peer]] = {
    "river": river_models.build,
    "scikit-learn": sklearn_models.build,
    "torch": torch_models.build,
}
HERE = [entry for entry in ENTRIES if entry.family in {*BUILD, "acclimate"}]
#: Every adapter has its case with values; other models answer, which is quicker to see.
VALUED = {
    "Acclimate continual",
    "River LinearRegression",
    "River LinearRegression + last label",
    "River HAT",
    "sklearn SGD, by 32",
    "torch MLP, by 32",
}
#: They learn as those by 32 do, twenty times as slowly.
SLOW = {"sklearn SGD, each event", "sklearn MLP, each event"}
CASES = [(entry, "classification") for entry in HERE if entry.name not in SLOW]
CASES += [(entry, "regression") for entry in HERE if entry.title("regression") in VALUED]
OTHERS = [(entry, "regression") for entry in HERE if entry.title("regression") not in VALUED]
OTHERS += [(entry, "classification") for entry in HERE if entry.name in SLOW]


def _file(folder: Path, task: Task, *, wrong_from: int) -> Path:
    """Write a stream whose labels are others from a row on."""
    header, table = streams.classification(ROWS) if task == "classification" else streams.regression(ROWS)
    for at in range(wrong_from, ROWS):
        table[at][-1] = {"class0": "class2", "class1": "class0", "class2": "class1"}.get(table[at][-1], "500.0")
    return streams.write_csv(folder / f"{task}-{wrong_from}.csv", (header, table))


def _answers(entry: Entry, path: Path, task: Task, folder: Path, rows: int = ROWS) -> Array:
    label = "label" if task == "classification" else "target"
    if entry.family == "acclimate":
        outcome, _ = acclimate_models.run(
            entry.model, path, label, ("device",), rows=rows, delay=DELAY, seed=0, budget_s=60.0
        )
        return outcome.answers
    recording = record(path, label, ("device",), rows, folder)
    facts, blocks, targets = recording.facts, recording.blocks(), recording.targets()
    if entry.last_label:
        facts, blocks = with_last_label(facts, blocks, targets, DELAY)
    return run(BUILD[entry.family](entry.model, facts, 0), facts, blocks, targets, delay=DELAY, budget_s=60.0).answers


def _run(peer: Peer, recording: Recording, targets: Array, *, delay: int = DELAY, budget_s: float = 60.0) -> Outcome:
    return run(peer, recording.facts, recording.blocks(), targets, delay=delay, budget_s=budget_s)


@pytest.mark.slow
@pytest.mark.parametrize(("entry", "task"), CASES, ids=lambda case: getattr(case, "name", case))
def test_no_answer_knows_a_label_before_its_time(entry: Entry, task: Task, tmp_path: Path) -> None:
    right = _answers(entry, _file(tmp_path, task, wrong_from=ROWS), task, tmp_path / "right")
    wrong = _answers(entry, _file(tmp_path, task, wrong_from=CHANGED), task, tmp_path / "wrong")
    assert len(right) == len(wrong) == ROWS
    until = CHANGED + 1 + DELAY
    np.testing.assert_array_equal(right[:until], wrong[:until])  # so the same seed gives the same answers, too
    if not entry.model.endswith("-512"):
        assert not np.array_equal(right[until:], wrong[until:]), "it learns"


@pytest.mark.parametrize(("entry", "task"), OTHERS, ids=lambda case: getattr(case, "name", case))
def test_every_other_model_answers(entry: Entry, task: Task, tmp_path: Path) -> None:
    rows = 40
    answers = _answers(entry, _file(tmp_path, task, wrong_from=ROWS), task, tmp_path / "one", rows)
    assert len(answers) == rows
    if not entry.model.endswith(("-32", "-512")):
        assert np.isfinite(answers[1 + DELAY :]).all()


@pytest.mark.parametrize("model", ["linear", "hat"])
def test_river_learns_from_categories(model: str) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (600, 1)).astype(np.int32)
    facts = Facts(
        task="regression", rows=600, numbers=("x",), categories=("kind",), levels=(("a", "b", "c"),), classes=()
    )
    targets = np.where(codes[:, 0] == 1, 5.0, -5.0)
    blocks = [Block(rng.standard_normal((600, 1)), codes)]
    found = run(river_models.build(model, facts, 0), facts, blocks, targets, delay=0, budget_s=60.0).answers
    assert np.abs(found[-200:] - targets[-200:]).mean() < 2.0, "the number tells nothing, the category all"


@pytest.mark.parametrize(("task", "nothing"), [("classification", -1), ("regression", 0.0)])
def test_the_last_label_is_the_one_that_had_arrived(task: Task, nothing: float, tmp_path: Path) -> None:
    recording = record(_file(tmp_path, task, wrong_from=ROWS), "label" if task == "classification" else "target",
                       ("device",), ROWS, tmp_path / "recording")  # fmt: skip
    targets = recording.targets()
    facts, blocks = with_last_label(recording.facts, recording.blocks(), targets, DELAY)
    found = np.vstack([block.codes if task == "classification" else block.numbers for block in blocks])[:, -1]
    assert facts.width == recording.facts.width + max(len(facts.classes), 1)
    assert set(found[: 1 + DELAY]) == {nothing}
    np.testing.assert_array_equal(found[1 + DELAY :], targets[: ROWS - 1 - DELAY])


ELSEWHERE = [(entry, task) for entry in ENTRIES if entry.family in {"capymoa", "vowpal-wabbit"} for task in entry.tasks]


@pytest.mark.long
@pytest.mark.parametrize(("entry", "task"), ELSEWHERE, ids=lambda case: getattr(case, "name", case))
def test_the_law_holds_in_environments_of_their_own(entry: Entry, task: Task, tmp_path: Path) -> None:
    try:
        there = environment(FAMILIES[entry.family])
    except AbsentError as exc:
        pytest.skip(str(exc))
    found = []
    for wrong_from in (ROWS, CHANGED):
        path, label = _file(tmp_path, task, wrong_from=wrong_from), "label" if task == "classification" else "target"
        recording = record(path, label, ("device",), ROWS, tmp_path / f"recording-{wrong_from}")
        stream = Stream(name=path.stem, path=path, label=label, ignore=("device",), recording=recording)
        cell = Cell(stream=stream, entry=entry, delay=DELAY, budget_s=60.0, seed=0)
        ran = run_one(cell, there, tmp_path, min(os.sched_getaffinity(0)))
        assert not ran.failed
        found.append(ran.answers)
    until = CHANGED + 1 + DELAY
    np.testing.assert_array_equal(found[0][:until], found[1][:until])
    assert not np.array_equal(found[0][until:], found[1][until:]), "it learns"


class _Spy:
    """Answers nothing, learns nothing, and notes how many rows were asked when a row was learned."""

    def __init__(self, batch: int) -> None:
        self.batch, self.asked = batch, 0
        self.learned: list[tuple[int, int, float]] = []  # row, rows asked by then, label

    def convert(self, block: Block) -> list[int]:
        return [int(value) for value in block.numbers[:, 0]]

    def predict(self, rows: Sequence[int]) -> list[float | None]:
        assert list(rows) == list(range(self.asked, self.asked + len(rows))), "every row once, in order"
        self.asked += len(rows)
        return [None] * len(rows)

    def learn(self, rows: Sequence[int], targets: Array) -> None:
        assert len(rows) == len(targets) == self.batch
        self.learned += [(row, self.asked, float(target)) for row, target in zip(rows, targets, strict=True)]

    def state_bytes(self) -> int:
        return 0


def _counted(folder: Path, rows: int) -> Recording:
    with (folder / "counted.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["row", "target"], *([i, i + 0.5] for i in range(rows))])
    return record(folder / "counted.csv", "target", (), rows, folder / "recording")


@pytest.mark.parametrize("batch", [1, 7, 512])
@pytest.mark.parametrize("delay", [0, 1, 64])
def test_a_label_is_learned_once_in_order_and_no_sooner_than_it_arrives(batch: int, delay: int, tmp_path: Path) -> None:
    recording = _counted(tmp_path, 1100)
    spy = _Spy(batch)
    outcome = _run(spy, recording, recording.targets(), delay=delay)
    assert spy.asked == len(outcome.answers) == 1100
    assert outcome.complete
    assert [row for row, _, _ in spy.learned] == list(range(len(spy.learned)))
    assert len(spy.learned) == (1100 - delay) // batch * batch, "all that arrived, in whole batches"
    for row, asked, label in spy.learned:
        assert asked >= row + 1 + delay, "its label has arrived"
        assert asked <= row + delay + 2 * batch, "and it did not wait for longer than its batch"
        assert label == row + 0.5


def test_a_run_ends_with_its_budget(tmp_path: Path) -> None:
    recording = _counted(tmp_path, 1000)
    outcome = _run(_Spy(1), recording, recording.targets(), budget_s=1e-9)
    assert len(outcome.answers) == 1
    assert not outcome.complete
