"""When a replay learns: on firings alone, with their causes, the same when killed and resumed."""

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest

from acclimate_device import cadence
from acclimate_device.inputs import Inputs
from acclimate_device.replay import Options, Replay, Row
from acclimate_device.schema import infer_columns
from acclimate_device.triggers import Policy
from tests import streams

EVERY = {"trigger": {"kind": "time", "every_rows": 400}}
ON_DRIFT = {"trigger": {"kind": "any", "of": [EVERY["trigger"], {"kind": "performance", "margin": 0.2, "window": 50}]}}


def started(policy: dict[str, Any] | None, rows: int = 2_000, delay: int = 0) -> tuple[Replay, list[Row]]:
    header, table = streams.classification(rows)
    columns, _ = infer_columns(header[:-1], [row[:-1] for row in table[:1000]])
    inputs = Inputs("classification", columns)
    triggers = Policy.from_dict(policy) if policy else None
    options = Options(task="classification", learners=("softmax", "naive-bayes"), triggers=triggers, delay=delay)
    names = header[:-1]
    events = [
        Row(row=i + 1, parsed=inputs.parse(dict(zip(names, row, strict=False))), label=inputs.label(row[-1]), key="")
        for i, row in enumerate(table)
    ]
    return Replay(inputs, options), events


def drive(replay: Replay, rows: list[Row]) -> Replay:
    at = 0
    while at < len(rows):
        chunk = rows[at : at + replay.chunk_rows]
        at += len(chunk)
        if replay.feed(chunk):
            replay.committed()
    return replay


@pytest.mark.parametrize("delay", [0, 7, 100])
def test_it_learns_when_a_trigger_fires_and_not_before(delay: int) -> None:
    replay, rows = started(EVERY, delay=delay)
    states = []
    for row in rows:
        before = replay.learned
        replay.feed([row])
        if replay.learned != before:
            states.append(row.row)
    told = replay.result()["cadence"]
    assert states == [firing["row"] for firing in told["firings"]]
    assert len(states) == 4
    assert all(b - a >= 400 for a, b in pairwise(states))
    assert told["firings"][0]["cause"]["passed_rows"] >= 400
    assert replay.learned <= 2_000 - delay


def test_learning_less_often_is_less_right_but_learns() -> None:
    often, seldom = (drive(*started(policy)).result()["served"]["accuracy"] for policy in (None, EVERY))
    majority = drive(*started(EVERY)).result()["baselines"]["majority"]["accuracy"]
    assert majority + 0.1 < seldom < often


def test_each_label_is_judged_once_whenever_it_is_learned() -> None:
    replay, rows = started(EVERY, delay=20)
    drive(replay, rows)
    replay.arena.commit()
    assert replay.arena.contest.labels == len(rows) - 20


def test_rows_that_wait_for_too_long_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cadence, "MAX_HELD_ROWS", 300)
    replay, rows = started({"trigger": {"kind": "time", "every_rows": 1_500}})
    drive(replay, rows)
    assert replay.learned == 300
    assert replay.result()["cadence"]["dropped_rows"] > 0


@pytest.mark.parametrize("cut", [512, 1_024])
def test_a_saved_replay_goes_on_bit_for_bit(cut: int) -> None:
    whole, rows = started(ON_DRIFT, delay=5)
    drive(whole, rows)
    first, _ = started(ON_DRIFT, delay=5)
    at = 0
    while at < cut or first._since_commit:
        chunk = rows[at : at + first.chunk_rows]
        at += len(chunk)
        if first.feed(chunk):
            first.committed()
    tensors, documents = first.checkpoint()
    second, _ = started(ON_DRIFT, delay=5)
    second.restore(tensors, msgspec.json.decode(msgspec.json.encode(documents)))
    drive(second, rows[at:])
    assert second.result() == whole.result()
    for name, array in whole.arena.tensors().items():
        np.testing.assert_array_equal(second.arena.tensors()[name], array, err_msg=name)
