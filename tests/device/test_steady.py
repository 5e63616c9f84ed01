"""A clock that jumps, forward or back, ends no window early, gives no label before its time and stops no trigger."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from acclimate_device.agent import Agent
from acclimate_device.daemon import Settings
from acclimate_device.join import Window
from acclimate_device.natural import from_toml
from acclimate_device.pace import SystemClock
from acclimate_device.steady import Steady, since_boot_s
from acclimate_device.triggers import Policy
from acclimate_shared.errors import LateLabelError
from tests.device.durability.moments import OPTIONS
from tests.device.test_agent import events

YEAR_S = 3.2e7


@dataclass
class Machine:
    """A wall clock that is set, beside one that is not."""

    wall_s: float = 1.7e9
    beat_s: float = 100.0
    made: list[Steady] = field(default_factory=list)

    def steady(self) -> Steady:
        return Steady(lambda: self.wall_s, lambda: self.beat_s)

    def passes(self, seconds: float) -> None:
        self.wall_s += seconds
        self.beat_s += seconds


def clicks(machine: Machine, state: Path | None = None, **more: Any) -> Agent:
    window = Window(most_s=60.0, negative="class0")
    return Agent(**OPTIONS, clock=SystemClock(machine.steady()), window=window, state=state, **more)


@pytest.mark.parametrize("jumps", [(YEAR_S, -YEAR_S), (-YEAR_S, YEAR_S), (YEAR_S, 0.0), (-YEAR_S, 0.0)])
def test_nothing_is_a_negative_before_its_time(jumps: tuple[float, float]) -> None:
    machine, rows = Machine(), events(3)
    agent = clicks(machine)
    for jump, (row, _) in zip((0.0, *jumps), rows, strict=True):
        machine.wall_s += jump
        machine.passes(10.0)
        agent.predict(row)
        agent.tick()
    assert (agent.status()["learned"], agent.status()["waiting"]) == (0, 3)
    machine.passes(55.0)
    agent.tick()
    agent.predict(rows[0][0])
    assert (agent.status()["learned"], agent.status()["waiting"]) == (2, 2)
    machine.passes(61.0)
    agent.tick()
    agent.predict(rows[0][0])
    agent.tick()
    assert (agent.status()["learned"], agent.status()["waiting"]) == (4, 1)


def test_a_start_whose_clock_is_behind_goes_on_from_the_last_one(tmp_path: Path) -> None:
    machine, rows = Machine(), events(4)
    with clicks(machine, tmp_path) as agent:
        agent.predict(rows[0][0])
        agent.commit()
    machine.wall_s -= YEAR_S
    with clicks(machine, tmp_path) as agent:
        name = agent.predict(rows[1][0]).id
        agent.tick()
        assert agent.status()["waiting"] == 2
        machine.passes(59.0)
        agent.feedback(name, "class1")
        late = agent.predict(rows[2][0]).id
        machine.passes(61.0)
        with pytest.raises(LateLabelError):
            agent.feedback(late, "class1")


def test_triggers_fire_although_the_clock_was_set_back() -> None:
    machine = Machine()
    every = Policy.from_dict({"trigger": {"kind": "time", "every_s": 30.0}})
    agent = clicks(machine, triggers=every)
    for row, label in events(30):
        machine.passes(1.0)
        agent.feedback(agent.predict(row).id, label)
    machine.wall_s -= YEAR_S
    before = agent.status()["triggers"]["fired"]
    for row, label in events(70):
        machine.passes(1.0)
        agent.feedback(agent.predict(row).id, label)
    after = agent.status()["triggers"]["fired"]
    assert after - before >= 2


def test_labels_by_rule_go_on_after_a_start_whose_clock_is_behind(tmp_path: Path) -> None:
    from acclimate_device.daemon import _Loop
    from acclimate_device.feeds import Feed
    from acclimate_device.sources.event import Event
    from acclimate_device.tally import Tally

    machine = Machine()
    rule = from_toml('kind = "value"\ncolumn = "x"\nspan_s = 2.0\ntolerance_s = 1.0')

    def life(count: int) -> int:
        now = machine.steady()

        def come(_: object) -> Any:
            for at in range(count):
                machine.passes(1.0)
                yield Event(at, {"x": float(at)}, None, "", now())

        agent = Agent(task="regression", learners=["rls"], state=tmp_path, clock=SystemClock(machine.steady()))
        feed = Feed(events=come, rule=rule, title="x", clock=now)
        with agent:
            list(_Loop(agent, feed, Settings(task="regression"), Tally("regression")).rows([]))
            return int(agent.status()["learned"])

    first = life(10)
    machine.wall_s -= YEAR_S
    assert life(10) - first >= 8


def test_the_clock_of_this_machine_goes_on() -> None:
    one = Steady()
    first = one()
    assert first > 1e9
    assert one() >= first
    one.not_before(first - 100.0)
    assert one() - first < 50.0
    one.not_before(first + 1000.0)
    assert one() >= first + 1000.0
    assert since_boot_s() > 0
