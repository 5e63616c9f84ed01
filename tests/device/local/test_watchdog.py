"""A service manager hears when the socket answers, that the loop is alive, and that it ends."""

import os
import socket
from pathlib import Path

import pytest

from acclimate_device.local.client import Client
from tests.device.local.rig import start, stop


def test_the_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", os.fspath(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "8000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(os.fspath(tmp_path / "notify"))
        manager.settimeout(30)
        process = start(tmp_path / "a.sock")
        try:
            said = manager.recv(4096).decode()
            while "READY=1" not in said:
                said = manager.recv(4096).decode()
            with Client(tmp_path / "a.sock") as client:
                assert client.status()["learned"] == 0
            while "WATCHDOG=1" not in said:
                said = manager.recv(4096).decode()
        finally:
            assert stop(process) == 0
        while "STOPPING=1" not in said:
            said = manager.recv(4096).decode()
