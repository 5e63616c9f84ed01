"""The arena: nothing in the shadow touches an answer, what serves changes by reference, and only when it may."""

from typing import Any, Literal

import msgspec
import numpy as np
import pytest

from acclimate_device.arena import Arena
from acclimate_device.committee import Committee, Layout
from acclimate_device.procedures import select
from acclimate_device.rules import NONE, Rules
from acclimate_shared.errors import UsageError

LAYOUT = Layout(features=3, width=5, classes=2)
LEARNERS = ("softmax", "naive-bayes")
Task = Literal["classification", "regression"]


def arena(rules: Rules | None = None, task: Task = "classification", seed: int = 0) -> Arena:
    learners = LEARNERS if task == "classification" else ("rls",)
    return Arena(Committee(task, select(task, learners), LAYOUT), rules or Rules(), seed)


def stream(rows: int, seed: int = 0, task: Task = "classification") -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 5))
    signal = x[:, 0] + 0.3 * rng.standard_normal(rows)
    return x, (signal > 0).astype(np.int64) if task == "classification" else signal


def drive(this: Arena, x: Any, y: Any, *, commit: int = 512, late: int = 0) -> Any:
    """Answer, label ``late`` chunks later, learn; return what served."""
    served, waiting = [], []
    for at in range(0, len(x), 32):
        part, w = slice(at, at + 32), np.ones(32, np.float32)
        if not late:
            served.append(this.learn(x[part], y[part], w, logged=None, occupants=None, delay=0.0)[0])
        else:
            occupants = this.roster.moment.occupants
            out, logged = this.roster.answer(x[part])
            served.append(out)
            waiting.append((x[part], y[part], logged, [occupants] * 32))
            if len(waiting) > late:
                xs, ys, memo, occupied = waiting.pop(0)
                this.learn(xs, ys, w, logged=memo, occupants=occupied, delay=32.0 * late)
        if (at + 32) % commit == 0:
            this.commit()
    return np.concatenate(served)


@pytest.mark.parametrize("late", [0, 4])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_shadows_change_no_answer(task: Task, late: int) -> None:
    x, y = stream(2_560, task=task)
    alone, watched = arena(Rules(challengers=NONE), task), arena(task=task)
    first, second = drive(alone, x, y, late=late), drive(watched, x, y, late=late)
    promoted = [t.row for t in watched.contest.log if t.event == "promote"]
    end = promoted[0] if promoted else len(x)
    np.testing.assert_array_equal(first[:end], second[:end])


def test_what_serves_is_what_the_roster_says() -> None:
    x, y = stream(1_024)
    this = arena()
    drive(this, x, y)
    for column in range(len(this.names)):
        this.roster.let_serve(column)
        out, everyone = this.roster.answer(x[:8])
        np.testing.assert_array_equal(out, everyone[:, column])
        quick, members = this.roster.serve(this.roster.moment, x[:8])
        np.testing.assert_allclose(quick, out, atol=1e-7)
        np.testing.assert_array_equal(this.roster.complete(this.roster.moment, x[:8], members), everyone)


def test_under_superiority_nothing_that_serves_moves_without_evidence() -> None:
    x, y = stream(6_144)
    this = arena(Rules(policy="superiority", commission=0))
    before = {name: array.copy() for name, array in this.tensors().items() if name.startswith("slot-0/")}
    promoted: list[int] = []
    for at in range(0, len(x), 512):
        tested = {c: this.roster.slots[c - len(this.names)] for c in this.contest.running}
        drive(this, x[at : at + 512], y[at : at + 512])
        if this.contest.account.promotions > len(promoted):
            promoted.append(at)
            assert any(this.roster.slots[0] is snapshot for snapshot in tested.values())  # the very bytes of the test
            before = {name: array.copy() for name, array in this.tensors().items() if name.startswith("slot-0/")}
        for name, array in before.items():
            np.testing.assert_array_equal(this.tensors()[name], array, err_msg=name)
    assert promoted
    assert this.version != "1.0"


def test_the_first_champion_learns_before_it_is_frozen() -> None:
    x, y = stream(3_072)
    this = arena(Rules(policy="superiority", commission=1_000))
    drive(this, x[:512], y[:512])
    assert not this.commissioned
    assert this.roster.slots[0] is None
    drive(this, x[512:1_024], y[512:1_024])
    assert this.commissioned
    frozen = {name: array.copy() for name, array in this.tensors().items() if name.startswith("slot-0/")}
    empty = arena(Rules(policy="superiority", commission=0))
    started = {name: array for name, array in empty.tensors().items() if name.startswith("slot-0/")}
    assert any(not np.array_equal(array, started[name]) for name, array in frozen.items())
    for at in range(1_024, len(x), 512):
        drive(this, x[at : at + 512], y[at : at + 512])
        if this.contest.account.promotions:
            break
        for name, array in frozen.items():
            np.testing.assert_array_equal(this.tensors()[name], array, err_msg=name)
    assert [t.event for t in this.contest.log].count("commission") == 1


def test_two_candidates_that_answer_alike_are_tested_once() -> None:
    x, y = stream(4_096)
    twins = Committee("classification", select("classification", ("softmax", "softmax")), LAYOUT)
    this = Arena(twins, Rules(policy="superiority", commission=0), 0)
    seen: set[int] = set()
    for at in range(0, len(x), 512):
        drive(this, x[at : at + 512], y[at : at + 512])
        sources = {live for _, live, _ in this.document()["snapshots"]}
        seen |= sources
        assert not {0, 1} <= sources
    assert seen


def test_events_that_came_before_a_state_was_frozen_are_no_evidence_about_it() -> None:
    this = arena()
    before = np.array([this.roster.moment.occupants] * 3)
    this.roster.freeze(0, 0)
    after = np.array([this.roster.moment.occupants] * 3)
    assert not this.roster.valid(before).any()
    assert this.roster.valid(after)[:, 0].all()
    this.roster.freeze(0, 0)
    assert not this.roster.valid(after).any()


class Due:
    """A guard that says what it is told."""

    def __init__(self, due: str | None) -> None:
        self.due = due

    def observe(self, serving: Any, anchor: Any) -> str | None:
        return self.due if len(serving) == len(anchor) else None

    def reset(self, recent: Any) -> None:  # noqa: ARG002 (the signature of a guard)
        self.due = None

    def numbers(self) -> dict[str, float]:
        return {}

    def document(self) -> None:
        return None


def test_on_alarm_the_anchor_serves_and_the_lineage_returns_when_proven() -> None:
    x, y = stream(3_072)
    this = arena()
    drive(this, x[:1_024], y[:1_024])
    anchor = this.roster.slots[0]
    assert anchor is not None
    this.guard = Due("alarm")  # type: ignore[assignment]
    drive(this, x[1_024:1_536], y[1_024:1_536])
    assert this.fallen
    assert this.roster.slots[0] is anchor
    live = dict(this.roster.states)
    served = drive(this, x[1_536:2_048], y[1_536:2_048])
    expected = this.committee.pooled(
        anchor.states, this.committee.predict(anchor.states, x[1_536:2_048]), this.committee.pools[0]
    )
    np.testing.assert_allclose(served, expected, atol=1e-6)
    assert live["softmax"] is not this.roster.states["softmax"]  # the fallen lineage learns on
    this.guard = Due("proven")  # type: ignore[assignment]
    drive(this, x[2_048:2_560], y[2_048:2_560])
    assert not this.fallen
    assert this.roster.slots[0] is not anchor
    assert [t.event for t in this.contest.log if t.event in {"rollback", "return"}] == ["rollback", "return"]


def test_a_candidate_that_answers_nonsense_is_quarantined_and_does_not_serve() -> None:
    x, y = stream(2_048)
    this = arena()
    drive(this, x[:1_024], y[:1_024])
    learn = this.committee.learn

    def broken(*args: Any, **options: Any) -> Any:
        states, answers = learn(*args, **options)
        answers = answers.copy()
        answers[0, 0] = np.nan
        answers[0, this.roster.serving if not this.fallen else 0] = np.nan
        return states, answers

    this.committee.learn = broken  # type: ignore[method-assign]
    champion = this.champion
    drive(this, x[1_024:], y[1_024:])
    assert this.status_of(0) == "quarantined"
    assert this.status_of(this.names.index(champion)) == "quarantined"
    assert this.fallen


def test_a_person_may_override_and_it_is_recorded() -> None:
    x, y = stream(1_024)
    this = arena()
    drive(this, x, y)
    this.override("naive-bayes", "ada", "it explains itself")
    assert this.champion == "naive-bayes"
    assert this.version == "2.0"
    assert this.contest.log[-1].reason == "ada: it explains itself"
    with pytest.raises(UsageError, match="reason"):
        this.override("softmax", "ada", " ")
    with pytest.raises(UsageError, match="naive-bayes"):
        this.override("nobody", "ada", "why not")


@pytest.mark.parametrize("policy", ["continual", "superiority"])
@pytest.mark.parametrize("late", [0, 4])
def test_a_saved_arena_goes_on_bit_for_bit(policy: Any, late: int) -> None:
    x, y = stream(4_096, seed=3)
    whole, second = arena(Rules(policy=policy)), arena(Rules(policy=policy), seed=9)
    drive(whole, x[:2_048], y[:2_048], late=late)
    second.restore(whole.tensors(), msgspec.json.decode(msgspec.json.encode(whole.document())))
    np.testing.assert_array_equal(
        drive(whole, x[2_048:], y[2_048:], late=late), drive(second, x[2_048:], y[2_048:], late=late)
    )
    assert msgspec.json.encode(whole.document()) == msgspec.json.encode(second.document())


def test_classes_may_appear_while_a_contest_runs() -> None:
    x, y = stream(2_048)
    this = arena(Rules(policy="superiority"))
    drive(this, x[:1_024], y[:1_024])
    before = this.roster.answer(x[:16])[1]
    this.grow(4)
    after = this.roster.answer(x[:16])[1]
    np.testing.assert_allclose(np.nan_to_num(after[:, :, :2]), np.nan_to_num(before), atol=1e-6)
    drive(this, x[1_024:], np.where(x[1_024:, 1] > 0.5, 3, y[1_024:]))


def test_challengers_must_exist() -> None:
    with pytest.raises(UsageError, match="committee-quick"):
        arena(Rules(challengers=("nobody",)))
