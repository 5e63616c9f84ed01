"""The laws of a replay: no peeking, lockstep, and the same numbers however it is cut."""

from typing import Any

import numpy as np
import pytest

from acclimate_device.agent import Agent
from acclimate_device.inputs import Inputs
from acclimate_device.replay import Options, Replay, Row
from acclimate_device.schema import infer_columns
from tests import streams

FAST = ("softmax", "naive-bayes")


def rows_of(stream: tuple[list[str], list[list[str]]], task: Any, key: str | None = None) -> tuple[Inputs, list[Row]]:
    header, table = stream
    names = [name for name in header[:-1] if name != key]
    place = [header.index(name) for name in names]
    columns, _ = infer_columns(names, [[row[i] for i in place] for row in table])
    inputs = Inputs(task, columns)
    rows = [
        Row(
            row=i + 1,
            parsed=inputs.parse(dict(zip(header, row, strict=True))),
            label=inputs.label(row[-1]),
            key=row[header.index(key)] if key else "",
        )
        for i, row in enumerate(table)
    ]
    return inputs, rows


def answers(stream: tuple[list[str], list[list[str]]], key: str | None = None, **options: Any) -> np.ndarray[Any, Any]:
    """Replay a stream and return what was answered to each row."""
    task = options.setdefault("task", "classification")
    inputs, rows = rows_of(stream, task, key)
    replay = Replay(inputs, Options(**options))
    kept: list[np.ndarray[Any, Any]] = []
    score = replay._score

    def keep(chunk: Any, y: Any, out: Any, memo: Any, baselines: Any) -> None:
        wide = np.zeros((len(out), 8)) if out.ndim > 1 else out
        if out.ndim > 1:
            wide[:, : out.shape[1]] = out
        kept.append(wide)
        score(chunk, y, out, memo, baselines)

    replay._score = keep  # type: ignore[method-assign]
    at = 0
    while at < len(rows):
        chunk = rows[at : at + replay.chunk_rows]
        at += len(chunk)
        if replay.feed(chunk):
            replay.committed()
    return np.concatenate(kept)


@pytest.mark.parametrize("delay", [0, 1, 7, 40])
@pytest.mark.parametrize("inner", [1, 16])
@pytest.mark.parametrize("classes", [1, 5])
def test_a_row_knows_no_label_from_after_its_delay(delay: int, inner: int, classes: int) -> None:
    header, table = streams.classification(150)
    cut = 100  # labels of rows after the cut-th are changed, to more classes than there was room for
    changed = [row if i < cut else [*row[:-1], f"class{9 + i % classes}"] for i, row in enumerate(table)]
    options: dict[str, Any] = {"delay": delay, "inner": inner, "learners": FAST}
    before, after = answers((header, table), **options), answers((header, changed), **options)
    known = cut + 1 + delay  # the last row that may know nothing of them
    np.testing.assert_array_equal(before[:known], after[:known])


def test_the_changed_labels_do_matter_afterwards() -> None:
    header, table = streams.classification(150)
    changed = [row if i < 100 else [*row[:-1], "class9"] for i, row in enumerate(table)]
    assert (answers((header, table), learners=FAST)[120:] != answers((header, changed), learners=FAST)[120:]).any()


@pytest.mark.parametrize("delay", [0, 20])
def test_the_same_seed_gives_the_same_bits(delay: int) -> None:
    stream = streams.classification(120)
    np.testing.assert_array_equal(answers(stream, delay=delay), answers(stream, delay=delay))


def test_another_seed_gives_other_numbers() -> None:
    stream = streams.classification(120)
    assert (answers(stream, seed=0, learners=("rls",)) != answers(stream, seed=1, learners=("rls",))).any()


@pytest.mark.parametrize(
    ("task", "stream", "key"),
    [
        ("classification", streams.classification(400), None),
        ("regression", streams.regression(400), "device"),
    ],
)
@pytest.mark.parametrize("delay", [0, 30])
def test_checkpoint_and_restore_change_nothing(task: Any, stream: Any, key: str | None, delay: int) -> None:
    options = Options(task=task, delay=delay, micro_batch=64)

    def drive(replay: Replay, rows: list[Row], start: int, stop: int | None) -> int:
        at = start
        while at < len(rows):
            chunk = rows[at : at + replay.chunk_rows]
            at += len(chunk)
            if replay.feed(chunk):
                replay.committed()
                if stop is not None and replay.commits == stop:
                    return at
        return at

    inputs, rows = rows_of(stream, task, key)
    whole = Replay(inputs, options)
    drive(whole, rows, 0, None)
    inputs, rows = rows_of(stream, task, key)
    first = Replay(inputs, options)
    at = drive(first, rows, 0, 2)
    fresh, rows = rows_of(stream, task, key)
    second = Replay(fresh, options)
    second.restore(*first.checkpoint())
    drive(second, rows, at, None)
    assert second.result() == whole.result()
    for name, array in whole.arena.tensors().items():
        np.testing.assert_array_equal(second.arena.tensors()[name], array, err_msg=name)


def test_the_committee_learns_and_beats_the_majority() -> None:
    inputs, rows = rows_of(streams.classification(1500), "classification")
    replay = Replay(inputs, Options(task="classification"))
    at = 0
    while at < len(rows):
        chunk = rows[at : at + replay.chunk_rows]
        at += len(chunk)
        replay.feed(chunk)
    result = replay.result()
    assert result["served"]["accuracy"] > result["baselines"]["majority"]["accuracy"] + 0.1
    assert sum(window["last_row"] - window["first_row"] + 1 for window in result["windows"]) == len(rows) - 1


def test_a_key_lets_each_device_have_its_own_history() -> None:
    stream = streams.regression(600)
    targets = np.array([float(row[-1]) for row in stream[1]])
    with_key = np.abs(answers(stream, key="device", task="regression", learners=("rls",)) - targets)[200:].mean()
    header, table = stream
    without = ([header[1], *header[2:]], [row[1:] for row in table])
    alone = np.abs(answers(without, task="regression", learners=("rls",)) - targets)[200:].mean()
    assert with_key < alone


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_an_agent_that_learns_one_by_one_equals_a_replay_with_inner_1(task: Any) -> None:
    header, table = streams.classification(80) if task == "classification" else streams.regression(80)
    expected = answers((header, table), task=task, inner=1)
    inputs, _ = rows_of((header, table), task)
    agent = Agent(task=task, columns=inputs.encoder.columns)
    for i, row in enumerate(table):
        event = dict(zip(header[:-1], row, strict=False))
        if task == "regression":
            value = agent.predict_one(event)
            assert value == pytest.approx(expected[i], rel=1e-6, abs=1e-9)
        elif i:
            shares = agent.predict_proba_one(event)
            np.testing.assert_allclose(list(shares.values()), expected[i][: len(shares)], atol=2e-5)
        agent.learn_one(event, row[-1])
