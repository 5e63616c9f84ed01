"""Host telemetry with a machine made of numbers."""

from collections.abc import Mapping
from itertools import islice

import pytest

from acclimate_device.sources.host import HostSource, Snapshot, _own_times, features_between, level, take_snapshot


class Machine:
    """A clock that sleep moves, and counters that grow by a script of processor use."""

    def __init__(self, use: list[float]) -> None:
        self.now, self.use, self.reads = 0.0, use, -1
        self.busy = self.idle = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def snapshot(self, now_s: float) -> Snapshot:
        if self.reads >= 0:
            share = self.use[self.reads]
            self.busy += share
            self.idle += 1.0 - share
        self.reads += 1
        cpu: Mapping[str, float] = {"user": self.busy, "system": 0.0, "idle": self.idle}
        counters = {"disk_iops": 10.0 * now_s}
        both = ((self.busy, self.busy + self.idle),)
        return Snapshot(time_s=now_s, cpu=cpu, cores=both, levels={"load1": 0.5}, counters=counters)


def rows(use: list[float], horizon_s: float = 1.5) -> list[tuple[dict[str, object], list[tuple[int, str]]]]:
    machine = Machine(use)
    source = HostSource(
        clock=lambda: machine.now, sleep=machine.sleep, snapshot=machine.snapshot, period_s=0.5, horizon_s=horizon_s
    )
    found = islice(source, len(use))
    return [(dict(event.values), [(m.row, m.label) for m in matured]) for event, matured in found]


def test_rates_and_levels() -> None:
    values, _ = rows([0.25, 0.5])[1]
    assert values["cpu_use"] == pytest.approx(50.0)
    assert values["cpu_user"] == pytest.approx(50.0)
    assert values["disk_iops"] == pytest.approx(10.0)
    assert values["load1"] == 0.5


def test_a_label_comes_when_its_future_is_over_and_only_then() -> None:
    found = rows([0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    assert [matured for _, matured in found] == [[], [], [], [(1, "busy")], [(2, "full")], [(3, "busy")], [(4, "busy")]]
    assert rows([0.0] * 4)[3][1] == [(1, "idle")]


def test_levels() -> None:
    assert [level(use) for use in (0, 4.9, 5, 29, 30, 69, 70, 100)] == [
        "idle", "idle", "light", "light", "busy", "busy", "full", "full",
    ]  # fmt: skip


def test_counters_that_wrap_or_vanish_give_no_negative_rate() -> None:
    a = Snapshot(time_s=0.0, cpu={"user": 5.0, "system": 1.0, "idle": 9.0}, cores=(), levels={}, counters={"x": 100.0})
    b = Snapshot(time_s=1.0, cpu={"user": 1.0, "system": 1.0, "idle": 9.0}, cores=(), levels={}, counters={"x": 1.0})
    assert all(value >= 0 for value in features_between(a, b).values())


def test_the_time_of_virtual_machines_counts_once() -> None:
    assert _own_times({"user": 5.0, "idle": 5.0, "guest": 4.0, "guest_nice": 0.0}) == {"user": 5.0, "idle": 5.0}


def test_this_machine_can_be_read() -> None:
    first, second = take_snapshot(0.0), take_snapshot(1.0)
    assert 0.0 <= features_between(first, second)["cpu_use"] <= 100.0
