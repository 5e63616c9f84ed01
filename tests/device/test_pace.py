"""When a live agent learns: labels are judged at once, learning waits for its trigger, and a held label is not lost."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acclimate_device.agent import Agent
from acclimate_device.control import promote
from acclimate_device.status import describe
from acclimate_device.triggers import Policy
from tests import streams

LEARNERS = ["softmax", "naive-bayes"]
VOLUME = {"trigger": {"kind": "volume", "labelled": 100}}
TIME = {"trigger": {"kind": "time", "every_s": 600.0}}


class FakeClock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now_s, self.hour, self.used_s = 1_000_000.0, 12.0, 0.0

    def time_s(self) -> float:
        return self.now_s

    def not_before(self, time_s: float) -> None:
        self.now_s = max(self.now_s, time_s)

    def local_hour(self) -> float:
        return self.hour

    def cpu_s(self) -> float:
        self.used_s += 0.5  # every reading costs half a second
        return self.used_s


def agent(policy: dict[str, Any] | None, clock: FakeClock, **options: Any) -> Agent:
    triggers = Policy.from_dict(policy) if policy else None
    return Agent(task="classification", learners=LEARNERS, triggers=triggers, clock=clock, **options)


def events(rows: int, seed: int = 0) -> list[tuple[dict[str, object], str]]:
    header, table = streams.classification(rows, seed=seed)
    return [
        ({n: float(v) if n != "kind" and v else v for n, v in zip(header, row[:-1], strict=False)}, row[-1])
        for row in table
    ]


def teach(this: Agent, rows: list[tuple[dict[str, object], str]], clock: FakeClock, step_s: float = 1.0) -> None:
    for features, label in rows:
        clock.now_s += step_s
        this.feedback(this.predict(features).id, label)


def firings(this: Agent) -> dict[str, Any]:
    found = (this.contest() or {})["cadence"]
    assert isinstance(found, dict)
    return found


def judged(this: Agent) -> int:
    assert this._arena is not None
    this._arena._judge()
    return this._arena.contest.labels


def test_volume_labels_are_judged_at_once_and_learned_when_enough_have_come() -> None:
    clock = FakeClock()
    with agent(VOLUME, clock) as this:
        teach(this, events(250), clock)
        told = this.status()
        assert judged(this) == 250
        assert told["learned"] == 201  # the first label starts the count
        assert told["triggers"]["held"] == 49
        assert told["triggers"]["last_firing"]["trigger"] == "volume"
        assert told["triggers"]["last_firing"]["cause"] == {"new_labelled": 100, "needed": 100}


def test_percent_labelled_spaces_firings_out_as_the_labels_grow() -> None:
    clock = FakeClock()
    with agent({"trigger": {"kind": "volume", "labelled": 20, "percent": 50.0}}, clock) as this:
        teach(this, events(400), clock)
        rows = [firing["row"] for firing in firings(this)["firings"]]
        gaps = np.diff(rows)
        assert rows[0] == 21
        assert (gaps[1:] > gaps[:-1]).all()
        assert gaps[-1] == pytest.approx(rows[-2] * 0.5, abs=1)


def test_time_passes_by_the_clock_alone_and_a_tick_is_enough() -> None:
    clock = FakeClock()
    with agent(TIME, clock) as this:
        teach(this, events(100), clock)
        assert this.status()["learned"] == 0
        clock.now_s += 599.0
        this.tick()
        assert this.status()["learned"] == 100
        assert this.status()["triggers"]["last_firing"]["cause"]["passed_s"] >= 600.0
        this.tick()
        assert this.status()["triggers"]["fired"] == 1


def test_quiet_hours_and_the_budget_hold_back_what_is_due() -> None:
    clock = FakeClock()
    policy = {**VOLUME, "quiet_hours": [[22.0, 6.0]], "cpu_s_per_hour": 0.4}
    with agent(policy, clock) as this:
        clock.hour = 23.0
        teach(this, events(150), clock)
        assert this.status()["learned"] == 0
        assert this.status()["triggers"]["held_back"]["reason"] == "quiet_hours"
        clock.hour = 7.0
        this.tick()
        assert this.status()["learned"] == 150
        teach(this, events(150, seed=1), clock)
        assert this.status()["learned"] == 150
        assert this.status()["triggers"]["held_back"]["reason"] == "cpu"
        clock.now_s += 3 * 3600.0
        this.tick()
        assert this.status()["learned"] == 300


def test_cool_down_and_composition_are_configuration_only(tmp_path: Path) -> None:
    clock = FakeClock()
    both = {"trigger": {"kind": "all", "of": [VOLUME["trigger"], TIME["trigger"]]}}
    with agent(both, clock, state=tmp_path / "s") as this:
        teach(this, events(200), clock)
        assert this.status()["learned"] == 0
        clock.now_s += 600.0
        this.tick()
        assert this.status()["triggers"]["last_firing"]["trigger"] == "all(volume, time)"
        teach(this, events(50, seed=1), clock)
    changed = {"trigger": {"kind": "volume", "labelled": 60}, "cool_down_s": 3600.0}
    with agent(changed, clock, state=tmp_path / "s") as this:
        assert this.status()["triggers"]["held"] == 50
        teach(this, events(30, seed=2), clock)
        assert this.status()["triggers"]["held_back"]["reason"] == "cool_down"
        clock.now_s += 3600.0
        this.tick()
        assert this.status()["learned"] == 280
        teach(this, events(40, seed=3), clock)
    with agent(None, clock, state=tmp_path / "s") as this:
        teach(this, events(1, seed=4), clock)
        assert this.status()["learned"] == 321
        assert this.status()["triggers"] == {"learns": "at once", "held": 0}


@pytest.mark.parametrize(
    "trigger",
    [
        {"kind": "performance", "margin": 0.15, "window": 100},
        {"kind": "drift", "detector": "adwin", "on": "loss", "rises_only": True},
    ],
)
def test_performance_and_drift_fire_when_the_world_changes_and_not_before(trigger: dict[str, Any]) -> None:
    clock = FakeClock()
    policy = {"trigger": {"kind": "any", "of": [{"kind": "time", "every_s": 500.0}, trigger]}}
    rows = events(2_000)  # they change in the middle
    with agent(policy, clock) as this:
        teach(this, rows[:1_000], clock)
        assert firings(this)["fired"] == 1
        teach(this, rows[1_000:1_600], clock, step_s=0.0)
        assert trigger["kind"] in firings(this)["firings"][-1]["trigger"]


def test_the_held_rows_are_bounded_and_what_is_given_up_is_counted() -> None:
    clock = FakeClock()
    with agent({**TIME, "most_rows": 80}, clock) as this:
        teach(this, events(200), clock, step_s=0.0)
        assert this.status()["triggers"] | {"dropped": 120, "held": 80} == this.status()["triggers"]


@pytest.mark.parametrize("back_off", [None, {"every_rows": 64, "patience": 1}])
def test_an_agent_with_held_labels_resumes_bit_for_bit(tmp_path: Path, back_off: dict[str, Any] | None) -> None:
    policy = {"trigger": {"kind": "volume", "labelled": 90}, "back_off": back_off}
    rows = events(1_000)
    whole, parts = FakeClock(), FakeClock()
    with agent(policy, whole, state=tmp_path / "whole") as this:
        teach(this, rows, whole)
        expected, fired = this.glance(rows[0][0]).probabilities, firings(this)
    with agent(policy, parts, state=tmp_path / "parts") as this:
        teach(this, rows[:650], parts)
        assert this.status()["triggers"]["held"] > 0
    with agent(policy, parts, state=tmp_path / "parts") as this:
        teach(this, rows[650:], parts)
        assert this.glance(rows[0][0]).probabilities == expected
        told = firings(this)
        assert told == fired
        assert any("gain" in firing for firing in told["firings"]) == (back_off is not None)


def test_what_a_person_does_to_a_state_at_rest_keeps_its_scheduler(tmp_path: Path) -> None:
    clock = FakeClock()
    with agent(VOLUME, clock, state=tmp_path / "s") as this:
        teach(this, events(630), clock)
        before = firings(this)
    found = promote(tmp_path / "s", "softmax", who="me", why="a test")
    assert found["cadence"] == {name: value for name, value in before.items() if name != "held_back"}
    assert describe(tmp_path / "s")["triggers"]["fired"] == before["fired"]
    with agent(VOLUME, clock, state=tmp_path / "s") as this:
        assert this.status()["triggers"]["held"] == 630 - this.status()["learned"] > 0
        assert firings(this)["firings"] == before["firings"]


def test_learn_many_waits_for_the_trigger_too() -> None:
    clock = FakeClock()
    with agent(VOLUME, clock) as this:
        rows = events(90)
        this.learn_many([x for x, _ in rows], [y for _, y in rows])
        assert (judged(this), this.status()["learned"]) == (90, 0)


def test_in_the_background_nothing_waits_and_nothing_is_lost() -> None:
    with agent(VOLUME, FakeClock(), background=True) as this:
        for features, label in events(300):
            this.feedback(this.predict(features).id, label)
            this.tick()
        this.flush()
        told = this.status()
        assert told["learned"] + told["triggers"]["held"] == 300
        assert told["learned"] >= 200


def test_by_default_a_label_is_in_the_challengers_within_a_minute() -> None:
    delays = []
    with Agent(task="classification", background=True) as this:
        for at, (features, label) in enumerate(events(400)):
            answer = this.predict(features)
            begun = time.monotonic()
            this.feedback(answer.id, label)
            if at % 10 == 0:
                assert this._arena is not None
                this.flush()
                delays.append(time.monotonic() - begun)
                assert this.status()["learned"] == at + 1
    assert np.quantile(delays, 0.95) <= 60.0
