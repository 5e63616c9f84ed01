"""What learning brings is seen where there is something to learn, seldom where there is not, and ends the work."""

from typing import Any

import msgspec
import numpy as np
import pytest

from acclimate_device.inputs import Inputs
from acclimate_device.replay import Options, Replay, Row
from acclimate_device.rules import NONE, Rules
from acclimate_device.schema import infer_columns
from acclimate_device.triggers import RECOMMENDED, Policy
from acclimate_device.worth import PROBE_ROWS, lower_bound

LEARNERS = ("softmax", "rls")


def steady(rows: int, *, flip_at: int | None = None, seed: int = 0) -> tuple[Inputs, list[Row]]:
    """Return a stream that never changes, or turns around at a row."""
    columns, _ = infer_columns(["a", "b"], [[0.1, 0.2]] * 100)
    inputs = Inputs("classification", columns)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 2))
    y = x[:, 0] - 0.5 * x[:, 1] + 0.5 * rng.standard_normal(rows) > 0
    if flip_at is not None:
        y[flip_at:] ^= True
    return inputs, [
        Row(row=i + 1, parsed=inputs.parse({"a": a, "b": b}), label=inputs.label(str(label)), key="")
        for i, ((a, b), label) in enumerate(zip(x.tolist(), y.tolist(), strict=True))
    ]


def replayed(stream: tuple[Inputs, list[Row]], triggers: Policy | None, **options: Any) -> Replay:
    inputs, rows = stream
    kept = {"learners": LEARNERS, "rules": Rules(challengers=NONE), **options}
    return drive(Replay(inputs, Options(task="classification", triggers=triggers, **kept)), rows)


def drive(replay: Replay, rows: list[Row]) -> Replay:
    at = 0
    while at < len(rows):
        chunk = rows[at : at + replay.chunk_rows]
        at += len(chunk)
        if replay.feed(chunk):
            replay.committed()
    return replay


def test_on_a_steady_stream_training_backs_off_and_loses_nothing() -> None:
    rows = 20_000
    always, seldom = (replayed(steady(rows), policy) for policy in (None, RECOMMENDED))
    lost = always.result()["served"]["accuracy"] - seldom.result()["served"]["accuracy"]
    assert lost <= 0.002
    late = [f["row"] for f in seldom.result()["cadence"]["firings"] if f["row"] > rows / 2]
    assert len(late) <= 3  # of 312 without back-off
    assert seldom.learned <= 0.6 * rows  # the longer the stream, the smaller the share


@pytest.mark.long
def test_on_a_long_steady_stream_a_fifth_of_the_work_is_enough() -> None:
    rows = 200_000
    always, seldom = (replayed(steady(rows), policy, learners=None, rules=Rules()) for policy in (None, RECOMMENDED))
    assert seldom.learned <= rows / 5
    assert always.result()["served"]["accuracy"] - seldom.result()["served"]["accuracy"] <= 0.002


@pytest.mark.parametrize("delay", [0, 100])
def test_when_the_stream_turns_around_training_comes_back(delay: int) -> None:
    replay = replayed(steady(14_000, flip_at=10_000), RECOMMENDED, delay=delay)
    after = [f for f in replay.result()["cadence"]["firings"] if f["row"] > 10_000]
    drift = next(firing for firing in after if "drift" in firing["trigger"])
    assert drift["row"] <= 10_000 + delay + 200
    assert max(f.get("gain", -1.0) for f in after) > 0.05
    assert float(np.mean([w["served"] for w in replay.result()["windows"][-3:]])) > 0.75


def test_without_anything_to_gain_the_bound_is_seldom_above_0() -> None:
    rng = np.random.default_rng(0)
    null = [lower_bound(0.1 * rng.standard_normal(PROBE_ROWS)) > 0 for _ in range(2_000)]
    gain = [lower_bound(0.02 + 0.1 * rng.standard_normal(PROBE_ROWS)) > 0 for _ in range(200)]
    assert np.mean(null) <= 0.05
    assert np.mean(gain) >= 0.95


def test_losses_that_hang_together_are_no_proof() -> None:
    rng = np.random.default_rng(1)
    seen = []
    for _ in range(300):
        noise = 0.1 * rng.standard_normal(PROBE_ROWS)
        for at in range(1, PROBE_ROWS):
            noise[at] += 0.8 * noise[at - 1]
        seen.append(lower_bound(noise) > 0)
    assert np.mean(seen) <= 0.12  # as good as independent ones would be 0.02, unblocked ones 0.25


@pytest.mark.parametrize("policy", ["continual", "superiority"])
def test_a_saved_comparison_goes_on_bit_for_bit(policy: Any) -> None:
    stream, rules = steady(4_000), Rules(policy=policy)
    whole = replayed(stream, RECOMMENDED, rules=rules)
    inputs, rows = steady(4_000)
    first = Replay(inputs, Options(task="classification", learners=LEARNERS, rules=rules, triggers=RECOMMENDED))
    at = 0
    while at < 1_300 or first._since_commit:
        chunk = rows[at : at + first.chunk_rows]
        at += len(chunk)
        if first.feed(chunk):
            first.committed()
    tensors, documents = first.checkpoint()
    inputs, _ = steady(10)
    second = Replay(inputs, Options(task="classification", learners=LEARNERS, rules=rules, triggers=RECOMMENDED))
    second.restore(tensors, msgspec.json.decode(msgspec.json.encode(documents)))
    assert [n for n in tensors if n.startswith("cadence/kept/")]
    drive(first, rows[at:])
    drive(second, rows[at:])
    assert second.result() == first.result()
    assert whole.result()["cadence"]["fired"] > 0
