import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.notify import BEATS, Notifier, Pulse, watchdog_s


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.settimeout(5)
        yield link


def test_lines_come_as_one_message(manager: socket.socket) -> None:
    Notifier.from_environment({"NOTIFY_SOCKET": manager.getsockname()}).tell("READY=1", "STATUS=learning")
    assert manager.recv(4096) == b"READY=1\nSTATUS=learning"


def test_a_name_without_a_file() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind("\0acclimate-test-notify")
        link.settimeout(5)
        Notifier("@acclimate-test-notify").tell("READY=1")
        assert link.recv(4096) == b"READY=1"


def test_nobody_asked() -> None:
    notifier = Notifier.from_environment({})
    assert not notifier.wanted
    notifier.tell("READY=1")


def test_a_manager_that_is_gone_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier(str(tmp_path / "gone"))
    with caplog.at_level(logging.WARNING):
        notifier.tell("READY=1")
        notifier.tell("READY=1")
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_time_of_the_watchdog(environment: dict[str, str], seconds: float | None) -> None:
    assert watchdog_s(environment, pid=7) == seconds


class Manager:
    """A clock, and a service manager that ends a service which it has not heard of in time."""

    def __init__(self, limit_s: float) -> None:
        self.now, self.heard, self.limit_s = 0.0, 0.0, limit_s

    def tell(self, line: str) -> None:
        assert line == "WATCHDOG=1"
        self.heard = self.now

    @property
    def alive(self) -> bool:
        return self.now - self.heard <= self.limit_s


@given(st.floats(0.01, 100), st.floats(0.01, 0.6), st.integers(1, 300))
def test_a_loop_that_turns_is_never_ended(limit_s: float, share: float, turns: int) -> None:
    manager = Manager(limit_s)
    pulse = Pulse(manager.tell, watchdog_s=limit_s, clock=lambda: manager.now, stuck_s=lambda: 0.0)
    for _ in range(turns):
        manager.now += share * limit_s
        assert manager.alive
        pulse.beat()


def test_it_is_not_told_more_than_it_needs() -> None:
    manager, told = Manager(60.0), list[str]()
    pulse = Pulse(told.append, watchdog_s=60.0, clock=lambda: manager.now, stuck_s=lambda: 0.0)
    for second in range(600):
        manager.now = float(second)
        pulse.beat()
    assert len(told) == 600 * BEATS // 60


def test_a_learner_that_hangs_is_ended_although_the_loop_turns() -> None:
    manager = Manager(60.0)
    pulse = Pulse(manager.tell, watchdog_s=60.0, clock=lambda: manager.now, stuck_s=lambda: manager.now - 100.0)
    while manager.alive:
        manager.now += 1.0
        pulse.beat()
    assert 160.0 <= manager.now <= 222.0  # stuck since 100


def test_no_watchdog_no_beats() -> None:
    told: list[str] = []
    Pulse(told.append, watchdog_s=None, clock=lambda: 0.0, stuck_s=lambda: 0.0).beat()
    assert not told
