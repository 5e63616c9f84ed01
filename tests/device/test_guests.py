"""Parked states return with their context, by evidence; what stands on the shelf is bounded and survives a restart."""

from typing import Any

import msgspec
import numpy as np
import pytest

from acclimate_device.arena import Arena
from acclimate_device.committee import Committee, Layout
from acclimate_device.parked import ALIKE, MOST_PARKED, MOST_PARKED_BYTES, Parked, Shelf, bytes_of, risen
from acclimate_device.procedures import select
from acclimate_device.roster import Frozen
from acclimate_device.rules import PARKED, Rules
from acclimate_shared.errors import UsageError
from tests.device.test_arena import drive

LAYOUT = Layout(features=4, width=6, classes=4)
PART = 2_560


def arena(seed: int = 0, *, challengers: tuple[str, ...] | None = (PARKED,), policy: Any = "continual") -> Arena:
    committee = Committee("classification", select("classification", ("softmax-slow", "naive-bayes")), LAYOUT)
    return Arena(committee, Rules(challengers=challengers, policy=policy, commission=0), seed)


def recurring(parts: str = "ABA", seed: int = 0) -> tuple[Any, Any]:
    """Return a stream whose parts turn every class into another."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((PART * len(parts), 6))
    y = (x[:, 0] + x[:, 1] > 0).astype(np.int64) * 2 + (x[:, 2] > 0)
    shift = np.repeat([ord(part) - ord("A") for part in parts], PART)
    return x, (y + shift) % 4


def wrong(this: Arena, x: Any, y: Any, **options: Any) -> Any:
    return (drive(this, x, y, **options).argmax(1) != y).astype(float)


def test_a_context_that_returns_brings_its_state_back() -> None:
    x, y = recurring()
    this, alone = arena(), arena(challengers=("softmax-slow",))
    errors, without = wrong(this, x, y), wrong(alone, x, y)
    told = [t for t in this.contest.log if t.candidate.startswith(PARKED) and t.event != "gate"]
    assert [t.event for t in told[:3]] == ["parked", "start", "promote"]
    assert 0 < told[2].row - 2 * PART < 512
    assert told[2].numbers["log_e"] >= told[2].numbers["threshold"]  # by evidence, at the next level of the account
    after = slice(2 * PART + 512, 2 * PART + 1_536)
    assert errors[after].mean() < without[after].mean()
    assert errors[after].mean() <= errors[PART - 1_024 : PART].mean() + 0.02
    assert any(t.event == PARKED and t.row > 2 * PART for t in told)  # and B is parked for its day


def test_a_sudden_return_is_answered_within_a_few_dozen_labels() -> None:
    x, y = recurring()
    this = arena()
    errors = wrong(this, x, y)
    started, promoted = (
        next(t for t in this.contest.log if t.candidate.startswith(PARKED) and t.event == event)
        for event in ("start", "promote")
    )
    assert 0 < started.row - 2 * PART <= 32
    assert promoted.row - 2 * PART <= 64
    assert promoted.numbers["labels"] >= 8  # since the test began: what gave the alarm is no evidence
    assert errors[2 * PART + 64 : 2 * PART + 128].mean() <= errors[PART - 1_024 : PART].mean() + 0.05


def test_a_sudden_return_of_a_regression_is_answered_too() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3 * PART, 6))
    y = np.where(np.arange(3 * PART) // PART == 1, 8.0 - 3.0 * x[:, 2] + x[:, 0], x[:, 0] + 2.0 * x[:, 1])
    y += 0.3 * rng.standard_normal(3 * PART)
    layout = Layout(features=4, width=6, classes=0)
    this = Arena(Committee("regression", select("regression", None), layout), Rules(commission=0), 0)
    errors = np.abs(drive(this, x, y) - y)
    told = [t for t in this.contest.log if t.candidate.startswith(PARKED) and t.event != "gate"]
    assert [t.event for t in told[:3]] == ["parked", "start", "promote"]
    assert 0 < told[1].row - 2 * PART <= 64
    assert told[2].row - 2 * PART <= 512
    after = slice(told[2].row + 64, told[2].row + 256)
    assert errors[after].mean() <= 1.5 * errors[PART - 512 : PART].mean()


def test_rows_are_learned_in_smaller_steps_only_while_it_matters() -> None:
    x, y = recurring()
    this, steps = arena(), []
    for at in range(0, len(x), 32):
        wrong(this, x[at : at + 32], y[at : at + 32])
        steps.append(this.hurried(32))
        if (at + 32) % 512 == 0:
            this.commit()
    hurried = 32 * np.flatnonzero(np.array(steps) < 32)
    assert len(hurried)
    assert 2 * PART - 32 <= hurried.min() <= hurried.max() <= 2 * PART + 256


def test_late_labels_are_no_evidence_about_a_guest_that_was_not_there() -> None:
    x, y = recurring()
    this = arena()
    wrong(this, x, y, late=4)
    started = next(t for t in this.contest.log if t.candidate.startswith(PARKED) and t.event == "start")
    after = [t for t in this.contest.log if t.candidate == started.candidate and t.row > started.row]
    assert after[0].row >= started.row + 4 * 32  # nothing is decided by events that came before it


def test_where_nothing_returns_nobody_is_parked_or_asked() -> None:
    x, y = recurring("AAA")
    this, alone = arena(), arena(challengers=("softmax-slow",))
    np.testing.assert_array_equal(wrong(this, x, y), wrong(alone, x, y))
    assert not [t for t in this.contest.log if t.candidate.startswith(PARKED)]
    assert this.result()["parked"] == []


def test_a_useless_guest_leaves_and_rests() -> None:
    x, y = recurring("AB")
    this = arena()
    wrong(this, x[:PART], y[:PART])
    guests, roster = this._guests, this.roster
    losses = np.stack([np.ones(64), np.zeros(64)], 1)
    bad = this.committee.start(5)
    assert guests.invite(bad, roster.serving, "untaught", losses)
    assert not guests.invite(bad, roster.serving, "untaught", losses)  # one of a kind, and no other slot
    assert guests.enough(128) == 128  # no hurry: it is not one that returns
    before = roster.states
    wrong(this, x[:1_024], y[:1_024])
    assert [t.event for t in this.contest.log if t.candidate == "untaught"] == ["start", "reject"]
    assert roster.slots[1] is None
    assert guests.enough(128) == 128
    assert set(roster.states) == set(before)


def test_under_superiority_the_very_bytes_that_were_tested_serve() -> None:
    x, y = recurring()
    this = arena(policy="superiority")
    wrong(this, x[:PART], y[:PART])
    known, column = this.roster.states, this.roster.live.index("committee")
    wrong(this, x[PART : 2 * PART], y[PART : 2 * PART])
    this.roster.place(0, this.roster.states, column)  # the champion of B
    entry = Parked(frozen=Frozen(known, column, 1_000), version="1.0", label=0)
    assert this._guests.shelf.park(entry, {}) == []
    wrong(this, x[2 * PART :], y[2 * PART :])
    told = [t.event for t in this.contest.log if t.candidate == "parked 1.0" and t.event != "gate"]
    assert told == ["start", "parked", "promote"]  # in between, the champion of B took its place on the shelf
    serving = this.roster.slots[0]
    assert serving is not None
    assert serving.states is known
    assert entry not in this._guests.shelf.entries


@pytest.mark.parametrize("policy", ["continual", "superiority"])
@pytest.mark.parametrize("cut", [PART + 1_536, 2 * PART + 64, 2 * PART + 128, 2 * PART + 512])
def test_a_saved_arena_goes_on_bit_for_bit(policy: Any, cut: int) -> None:
    x, y = recurring(seed=2)
    whole, second = arena(policy=policy, challengers=None), arena(9, policy=policy, challengers=None)
    wrong(whole, x[:cut], y[:cut], commit=64)
    second.restore(whole.tensors(), msgspec.json.decode(msgspec.json.encode(whole.document())))
    rest = slice(cut, cut + 1_024)
    np.testing.assert_array_equal(wrong(whole, x[rest], y[rest], commit=64), wrong(second, x[rest], y[rest], commit=64))
    assert msgspec.json.encode(whole.document()) == msgspec.json.encode(second.document())
    for name, array in whole.tensors().items():
        np.testing.assert_array_equal(array, second.tensors()[name], err_msg=name)


def test_parked_states_take_up_new_classes() -> None:
    x, y = recurring("AB")
    this = arena()
    wrong(this, x, y)
    (entry,) = this._guests.shelf.entries
    asked = this.roster.ask(entry.frozen, x[:8])
    this.grow(8)
    (grown,) = this._guests.shelf.entries
    np.testing.assert_allclose(this.roster.ask(grown.frozen, x[:8])[:, :4], asked, atol=1e-6)


def parked(number: int, size: int = 10) -> Parked:
    states = {"a": {"t": np.zeros(size // 8)}}
    return Parked(frozen=Frozen(states, 0, number), version=f"1.{number}", label=number)


def test_the_shelf_is_bounded_by_number_bytes_and_likeness() -> None:
    shelf = Shelf(arena().roster)
    for number in range(1, MOST_PARKED + 1):
        assert shelf.park(parked(number), {}) == []
    assert [e.frozen.number for e in shelf.park(parked(8), {2: ALIKE / 2, 3: 0.5})] == [2]
    assert [e.frozen.number for e in shelf.park(parked(9), {})] == [1]
    huge = parked(10, MOST_PARKED_BYTES + 16)
    assert shelf.park(huge, {}) == [huge]
    big = parked(11, MOST_PARKED_BYTES)
    assert len(shelf.park(big, {})) == MOST_PARKED
    assert shelf.entries == [big]
    assert bytes_of(big.frozen.states) == big.nbytes == MOST_PARKED_BYTES
    shelf.rest(11, 77)
    assert [(e.frozen.number, e.label) for e in shelf.entries] == [(11, 77)]
    shelf.remove(11)
    assert shelf.entries == []


@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_a_rise_is_told_from_chance(rate: float) -> None:
    rng = np.random.default_rng(0)
    steady = rng.random((400, 2_048)) < rate
    worse = rng.random((400, 128)) < rate + 0.3
    alarms = np.mean([risen(row[:-128].astype(float), row[-128:].astype(float)) for row in steady])
    found = np.mean([risen(a.astype(float), b.astype(float)) for a, b in zip(steady, worse, strict=True)])
    assert alarms <= 0.02
    assert found >= 0.95
    assert not risen(np.zeros(10), np.ones(128))
    assert risen(np.r_[rng.random(500) * 40, 1e9], rng.random(128) * 400)  # errors in units of a target
    assert not risen(rng.random(500) * 40, np.r_[rng.random(127) * 40, 1e9])  # one outlier is no rise


def test_whom_the_rules_name() -> None:
    assert Rules().admits(PARKED)
    assert not Rules(challengers=("committee",)).admits(PARKED)
    with pytest.raises(UsageError, match="no such candidate"):
        arena(challengers=("nobody",))
