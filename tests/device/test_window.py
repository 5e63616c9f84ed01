"""A live agent under a window: early labels, expiry, negatives, and all of it after a crash."""

from pathlib import Path
from typing import Any

import pytest

from acclimate_device.agent import Agent
from acclimate_device.join import Window
from acclimate_shared.errors import DuplicateLabelError, InputError, LateLabelError, UnknownPredictionError
from tests.device.durability.moments import OPTIONS, bits, crashed
from tests.device.test_agent import events
from tests.device.test_pace import FakeClock

CLICKS = Window(most_s=60.0, negative="no click", early_s=30.0)


def agent(clock: FakeClock, **more: Any) -> Agent:
    return Agent(**OPTIONS, clock=clock, window=CLICKS, **more)


def test_what_gets_no_label_in_time_is_a_negative_and_not_before() -> None:
    clock = FakeClock()
    with agent(clock) as this:
        ids = [this.predict(row).id for row, _ in events(10)]
        this.feedback(ids[3], "click")
        clock.now_s += 60.0
        this.tick()
        assert this.status()["learned"] == 1
        clock.now_s += 0.1
        this.predict(events(11)[10][0])
        assert this.status()["learned"] == 10
        assert this.status()["classes"] == ["click", "no click"]
        with pytest.raises(LateLabelError, match="too late"):
            this.feedback(ids[0], "click")
        with pytest.raises(DuplicateLabelError, match="another"):
            this.feedback(ids[3], "no click")
        assert this.status()["labels_refused"] == {"late": 1, "contradiction": 1}
        assert this.status()["waiting"] == 1


def test_a_label_may_come_before_its_prediction() -> None:
    clock = FakeClock()
    with agent(clock) as this:
        this.feedback("order-1", "click")
        this.feedback("order-2", "click")
        clock.now_s += 20.0
        assert this.predict(events(1)[0][0], event_id="order-1").id == "order-1"
        assert this.status()["learned"] == 1
        clock.now_s += 20.0
        this.predict(events(1)[0][0], event_id="order-2")  # its label has waited for too long
        assert this.status()["learned"] == 1
        assert this.status()["labels_refused"] == {"early": 1}
        with pytest.raises(DuplicateLabelError, match="taken"):
            this.predict(events(1)[0][0], event_id="order-2")
        for wrong in ("", "x" * 300):
            with pytest.raises(InputError, match="id"):
                this.predict(events(1)[0][0], event_id=wrong)
        with pytest.raises(InputError, match="time"):
            this.predict(events(1)[0][0], time_s=float("nan"))


def test_without_a_window_an_early_label_is_refused() -> None:
    with Agent(**OPTIONS) as this, pytest.raises(UnknownPredictionError):
        this.feedback("order-1", "click")


def test_an_early_label_that_cannot_be_used_harms_no_answer() -> None:
    options = OPTIONS | {"task": "regression", "learners": ["rls"]}
    with Agent(**options, clock=FakeClock(), window=Window(early_s=30.0)) as this:
        this.feedback("a", "not a number")
        assert this.predict({"x": 1.0}, event_id="a").id == "a"
        assert this.status()["labels_refused"] == {"early": 1}
        this.feedback("a", 3.0)


@pytest.mark.parametrize("background", [False, True])
def test_after_a_crash_everything_is_as_if_nobody_had_disturbed_it(tmp_path: Path, background: bool) -> None:
    rows = events(220)

    def feed(this: Agent, clock: FakeClock, begin: int, end: int) -> None:
        for i in range(begin, end):
            clock.now_s += 1.0
            if i % 7 == 0 and i + 5 < len(rows):
                this.feedback(f"e{i + 5}", rows[i + 5][1])
            this.predict(rows[i][0], event_id=f"e{i}")
            if i % 3 == 0 and i >= 10 and (i - 10) % 7 != 5:
                this.feedback(f"e{i - 10}", rows[i - 10][1])
            this.flush()

    clocks = [FakeClock(), FakeClock()]
    whole = agent(clocks[0])
    feed(whole, clocks[0], 0, 220)
    folder, at = tmp_path / "0", 0
    this = agent(clocks[1], state=folder, background=background)
    for stop in (70, 150, 220):
        feed(this, clocks[1], at, stop)
        if this._arena:
            this._complete(this._arena)
        this._keeper.acknowledge()  # as the journal does every second
        at, folder = stop, crashed(this, folder, tmp_path / f"after-{stop}")
        this = agent(clocks[1], state=folder, background=background)
    if not background:  # a worker learns in other groups; what is learned is the same
        assert bits(this) == bits(whole)
    assert this.status()["learned"] == whole.status()["learned"] > 150
    this.close()
