"""The agent under a service manager: what the manager is told, and what is in the log."""

import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acclimate_device.limits_of_host import Limits
from acclimate_device.notify import Notifier
from acclimate_device.service import REPORT_S, attend, journal
from acclimate_device.worker import Worker, stuck_s
from acclimate_shared.errors import InputError, StateMismatchError

SECRET = "temperature-of-the-patient"  # noqa: S105 (stands for data)


class FakeAgent:
    def status(self) -> dict[str, Any]:
        return {"version": "1.7", "learned": 12, "classes": [SECRET], "waiting": 3, "store": SECRET}


class FakeNotifier(Notifier):
    def __init__(self) -> None:
        super().__init__("somewhere")
        self.told: list[str] = []

    def tell(self, *lines: str) -> None:
        self.told += lines


def attended(
    events: Iterator[object], limits: Limits | None = None, step_s: float = 1.0
) -> tuple[list[str], list[Any]]:
    """Attend a fake agent with a clock that moves ``step_s`` at each look; return what was told and logged."""
    notifier, stream, times = FakeNotifier(), io.StringIO(), iter(range(10**9))
    try:
        attend(
            FakeAgent(), events, period_s=0.5, notifier=notifier, limits=lambda: limits or Limits(),
            clock=lambda: step_s * next(times), stream=stream,
        )  # fmt: skip
    finally:
        lines = stream.getvalue().splitlines()
        log = [(int(line[1]), json.loads(line[3:])) for line in lines]
    return notifier.told, log


def test_ready_stopping_and_two_lines() -> None:
    told, log = attended(iter(range(10)))
    assert told[0] == "READY=1"
    assert "STOPPING=1" in told[-3:]
    assert [fields["event"] for _, fields in log] == ["starts", "stops"]
    assert log[1] == (6, {"event": "stops", "version": "1.7", "learned": 12, "waiting": 3, "memory_mib": 0,
                          "memory_limit_mib": None})  # fmt: skip


def test_reports_come_by_the_clock() -> None:
    _, log = attended(iter(range(100)), step_s=REPORT_S / 10)
    assert 5 <= [fields["event"] for _, fields in log].count("learns") <= 20


def test_no_data_gets_into_the_log() -> None:
    def fails() -> Iterator[object]:
        yield {"x": SECRET}
        raise InputError("not a number", field="x", value=SECRET, remedy="give a number")

    notifier, stream = FakeNotifier(), io.StringIO()
    with pytest.raises(SystemExit) as end:
        attend(FakeAgent(), fails(), period_s=0.5, notifier=notifier, limits=Limits, stream=stream)
    assert end.value.code == 1
    assert SECRET not in stream.getvalue() + "".join(notifier.told)
    last = json.loads(stream.getvalue().splitlines()[-1][3:])
    assert last["error"] == "InputError"
    assert (last["field"], last["remedy"]) == ("x", "give a number")
    assert last["at"].startswith(__name__)
    assert stream.getvalue().splitlines()[-1].startswith("<3>")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("not a number", field="x", value=SECRET), "skipped 3: not a number; x"),
        (OSError(28, "No space left on device"), "skipped 3: No space left on device"),
        (ValueError(SECRET), "skipped 3: ValueError"),
    ],
)
def test_an_error_in_a_message_is_told_without_its_value(error: Exception, said: str) -> None:
    stream = io.StringIO()
    with journal(stream):
        logging.getLogger("acclimate_device.other").warning("skipped %d: %s", 3, error)
        logging.getLogger("elsewhere").info("hello")
    first, second = (json.loads(line[3:]) for line in stream.getvalue().splitlines())
    assert first == {"event": said}
    assert second == {"event": "hello", "from": "elsewhere"}


@pytest.mark.parametrize(("error", "code"), [(StateMismatchError("other options"), 2), (ValueError(SECRET), 1)])
def test_only_what_a_restart_cannot_mend_ends_with_2(error: Exception, code: int) -> None:
    def fails() -> Iterator[object]:
        yield 1
        raise error

    with pytest.raises(SystemExit) as end:
        attended(fails())
    assert end.value.code == code


def test_tight_limits_are_said_aloud() -> None:
    _, log = attended(iter([1]), Limits(memory_bytes=64 << 20, used_bytes=60 << 20, cpus=0.5))
    assert log[0][0] == 4
    assert log[0][1]["memory_limit_mib"] == 64
    assert log[-1][0] == 4  # nearly full


def test_without_a_manager_nothing_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    events = iter([1, 2])
    assert not attend(FakeAgent(), events, period_s=0.5)
    assert next(events) == 1


def test_a_slow_source_asks_for_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    notifier = FakeNotifier()
    attend(FakeAgent(), iter([1]), period_s=60.0, notifier=notifier, limits=Limits, stream=io.StringIO())
    assert notifier.told[0] == "WATCHDOG_USEC=240000000"
    assert "WATCHDOG=1" in notifier.told


def test_a_worker_at_a_long_batch_shows() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def handle(batch: list[int]) -> None:
        del batch
        begun.set()
        assert go_on.wait(10)

    worker = Worker(handle, most=1, waiting=1)
    try:
        worker.put(1)
        assert begun.wait(10)
        since = worker.since
        assert since is not None
        assert stuck_s(lambda: since + 99.0) >= 99.0
    finally:
        go_on.set()
        worker.close()
    assert worker.since is None


@pytest.mark.slow
def test_the_command_as_a_service(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}
        environment |= {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        words = [sys.executable, "-m", "acclimate_device.cli", "run", "--learners", "softmax", "--period", "0.05"]
        with subprocess.Popen(
            [*words, "--state", str(tmp_path / "state")], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert manager.recv(4096).startswith(b"READY=1")
            assert {manager.recv(4096) for _ in range(2)} == {b"WATCHDOG=1"}
            process.send_signal(signal.SIGTERM)
            out, log = process.communicate(timeout=60)
        assert process.returncode == 0, log
        told = b""
        while not told.startswith(b"STOPPING=1"):
            told = manager.recv(4096)
    assert not out
    events = [json.loads(line[3:])["event"] for line in log.splitlines()]
    assert events == ["starts", "stops"]
    assert "cpu_use" not in log
