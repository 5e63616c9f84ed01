"""A server in this process with an agent that only counts, or a real one in a process of its own."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acclimate_device.local.limits import Limits
from acclimate_device.local.server import LocalServer
from acclimate_device.local.service import Service
from acclimate_device.river_words import Prediction
from acclimate_shared.errors import DuplicateLabelError, InputError, UnknownPredictionError


class CountingAgent:
    """Answers "odd" or "even" by how often it was asked, and keeps every label; ``gate`` can hold labels up."""

    def __init__(self, task: str = "classification") -> None:
        self.task = task
        self.labels: dict[str, object] = {}
        self.given: list[tuple[object, ...]] = []
        self.events: list[str] = []
        self.times: list[float | None] = []
        self.gate = threading.Event()
        self.gate.set()
        self.broken: Exception | None = None
        self._lock = threading.Lock()

    def predict(
        self, features: Mapping[str, object], *, event_id: str | None = None, time_s: float | None = None
    ) -> Prediction:
        self.times.append(time_s)
        if self.broken:
            raise self.broken
        if "bad" in features:
            raise InputError("not a number", field="bad", value=features["bad"], remedy="mend it")
        with self._lock:
            name = event_id or f"e{len(self.events)}"
            self.events.append(name)
            even = len(self.events) % 2 == 0
        if self.task == "regression":
            return Prediction(id=name, label=None, value=float(even), probabilities={}, version="1.0")
        shares = {"even": float(even), "odd": float(not even)}
        return Prediction(id=name, label=("odd", "even")[even], value=None, probabilities=shares, version="1.0")

    def feedback(
        self, prediction_id: str, label: object, weight: float = 1.0, source: str = "", *, time_s: float | None = None
    ) -> None:
        self.gate.wait(30)
        with self._lock:
            if prediction_id in self.labels:
                raise DuplicateLabelError("this prediction has a label already", field="prediction_id")
            if prediction_id not in self.events:
                raise UnknownPredictionError("no such prediction", field="prediction_id", value=prediction_id)
            self.labels[prediction_id] = label
            self.given.append((prediction_id, label, weight, source, time_s))

    def status(self) -> dict[str, Any]:
        return {"task": self.task, "predictions": len(self.events), "learned": len(self.labels), "odd": float("nan")}


@contextmanager
def served(folder: Path, agent: CountingAgent, limits: Limits | None = None) -> Iterator[Path]:
    """Serve a counting agent at a path for a while."""
    server = LocalServer(folder / "a.sock", Service(agent, limits), limits)
    server.start()
    try:
        yield server.path
    finally:
        server.close()


def connect(path: Path, timeout_s: float = 20.0) -> socket.socket:
    """Return a raw connection."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(timeout_s)
    try:
        client.connect(str(path))
    except OSError:
        client.close()
        raise
    return client


def listens(path: Path) -> bool:
    """Return whether a socket takes connections, which it does a moment after it is there."""
    try:
        connect(path).close()
    except OSError:
        return False
    return True


def tell(path: Path, *lines: bytes) -> list[dict[str, Any]]:
    """Send lines, end the sending, and return every answer."""
    with connect(path) as client:
        client.sendall(b"".join(line + b"\n" for line in lines))
        client.shutdown(socket.SHUT_WR)
        return everything(client)


def everything(client: socket.socket) -> list[dict[str, Any]]:
    """Return every answer until the connection ends."""
    data = b""
    while got := client.recv(65_536):
        data += got
    return [json.loads(line) for line in data.splitlines()]


def until(true: Any, limit_s: float = 20.0) -> None:
    """Wait for what another thread or process is about to do."""
    end = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("it did not come about")
        time.sleep(0.005)


def start(path: Path, *options: str | Path) -> subprocess.Popen[bytes]:
    """Start ``acclimate serve`` in a process of its own and wait until it answers."""
    command = [sys.executable, "-m", "acclimate_device.cli", "serve", "--socket", str(path)]
    command += ["--task", "classification", "--learners", "softmax-slow", *map(str, options)]
    roots = ":".join(part for part in sys.path if part)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": roots})
    assert process.stderr is not None
    line = process.stderr.readline()
    assert b"answering" in line, line + process.stderr.read()
    return process


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask a process to end, and return its exit code."""
    process.terminate()
    process.communicate(timeout=60)
    return process.returncode
