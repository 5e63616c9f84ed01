"""Killed, out of space, read-only, with a mad clock: no acknowledged label is lost, none is learned twice.

The short form kills some twenty times of each kind; the long one at every system call of a commit that changes a file,
and a thousand times an agent at work, and writes docs/results/torture.json.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acclimate_device.agent import Agent
from acclimate_device.durability import Durability
from acclimate_device.spare import COPY, COPY_EVERY_S
from acclimate_device.store import Store
from acclimate_shared.errors import StateError
from tests.device.durability.conftest import Record
from tests.device.test_agent import events, taught

OPTIONS: dict[str, Any] = {"task": "classification", "learners": ["softmax", "naive-bayes"], "micro_batch": 8}


def kill(mode: str, folder: Path, kills: int, seed: int, program: str = "killing") -> dict[str, Any]:
    """Return what ``killing`` or ``killing_commands`` found."""
    command = [sys.executable, "-m", f"tests.device.durability.{program}", mode, str(folder), str(kills), str(seed)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.slow
def test_killed_inside_a_commit(tmp_path: Path) -> None:
    found = kill("commit", tmp_path, 20, 7)
    assert found["kills"] == 20
    assert found["old"] > 0 < found["new"]


@pytest.mark.slow
def test_a_disk_that_refuses_one_change_of_a_commit(tmp_path: Path) -> None:
    found = kill("refused", tmp_path, 24, 7)
    assert found["refused"] == 24
    assert found["old"] > 0 < found["new"]
    assert found["said"] > 12


@pytest.mark.slow
def test_killed_inside_a_change_of_keys(tmp_path: Path) -> None:
    assert kill("rotation", tmp_path, 10, 7)["kills"] >= 8


@pytest.mark.slow
def test_killed_at_work(tmp_path: Path) -> None:
    found = kill("agent", tmp_path, 20, 7)
    assert found["kills"] == 20
    assert found["labels"] > 8


@pytest.mark.long
@pytest.mark.parametrize(("mode", "kills"), [("commit", 999), ("refused", 999), ("rotation", 89), ("agent", 1000)])
def test_killed_everywhere(tmp_path: Path, mode: str, kills: int, record: Record) -> None:
    found = kill(mode, tmp_path, kills, 11)
    if mode == "refused":
        record("a disk that refuses", found)
        assert found["refused"] >= 120
        return
    record(f"killed: {mode}", found)
    assert found["kills"] >= {"commit": 60, "rotation": 60, "agent": 1000}[mode]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["replay", "run"])
def test_commands_are_killed(tmp_path: Path, mode: str) -> None:
    assert kill(mode, tmp_path, 10, 7, "killing_commands")["kills"] >= 10


@pytest.mark.long
@pytest.mark.parametrize("mode", ["replay", "run"])
def test_commands_are_killed_often(tmp_path: Path, mode: str, record: Record) -> None:
    found = kill(mode, tmp_path, 1_000, 11, "killing_commands")
    record(f"killed: acclimate {mode}", found)
    assert found["kills"] >= 1_000
    assert mode == "replay" or (found["labels"] > 10_000 and found["versions"] > 100)


# -- disks that refuse ----------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)  # noqa: S607


def fill(path: Path) -> None:
    """Write a file until the disk has no room for a byte more."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def mounted(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)  # noqa: S607


@pytest.mark.slow
def test_a_full_disk(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Durability, "due", lambda *_, **__: True)
    agent = taught(Agent(**OPTIONS, state=small_disk / "state"), events(40))
    ballast = small_disk / "ballast"
    fill(ballast)
    given, refused = 40, ""
    for features, label in events(500)[40:]:
        answer = agent.predict(features)
        assert answer.probabilities
        try:
            agent.feedback(answer.id, label)
        except StateError as exc:
            refused = str(exc)
            break
        given += 1
    assert "make room" in refused  # the journal had some room left, then no more
    assert given > 40
    assert agent.status()["learned"] == given
    with pytest.raises(StateError):
        agent.release()
    ballast.unlink()
    monkeypatch.undo()
    with Agent(**OPTIONS, state=small_disk / "state") as again:
        assert again.status()["learned"] == given


@pytest.mark.slow
def test_a_read_only_disk(small_disk: Path) -> None:
    agent = taught(Agent(**OPTIONS, state=small_disk / "state"), events(40))
    agent.close()
    mounted(small_disk, "ro")
    with pytest.raises(StateError, match=r"read-only|readonly|unable to open|Read-only"):
        Agent(**OPTIONS, state=small_disk / "state")
    mounted(small_disk, "rw")
    with Agent(**OPTIONS, state=small_disk / "state") as again:
        assert again.status()["learned"] == 40


def test_a_disk_that_fails_while_it_reads_or_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = taught(Agent(**OPTIONS, state=tmp_path), events(40))

    def broken(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pwrite", broken)
    answer = agent.predict(events(1)[0][0])
    with pytest.raises(StateError, match="Input/output error"):
        agent.feedback(answer.id, "class1")
    monkeypatch.undo()
    agent.feedback(answer.id, "class1")
    agent.release()
    monkeypatch.setattr(Path, "read_bytes", broken)
    with pytest.raises(StateError, match="Input/output error"):
        Agent(**OPTIONS, state=tmp_path)
    monkeypatch.undo()
    with Agent(**OPTIONS, state=tmp_path) as again:
        assert again.status()["learned"] == 41


def test_a_clock_that_jumps(tmp_path: Path) -> None:
    now = [1e9]
    with closing(Store(tmp_path, clock=lambda: now[0])) as store:
        made: list[float] = []
        for step in (0.0, 10.0, COPY_EVERY_S, -9e8, 5.0, 9e8, -3.0):
            now[0] += step
            store.commit({"t": np.ones(3)}, {"n": len(made)})
            made.append((tmp_path / COPY).stat().st_mtime)
        assert [int(t) for t in made] == [10**9] * 2 + [10**9 + 10 + 86_400] + [int(1e9 + 86_410 - 9e8)] * 2 + [
            int(1e9 + 86_415)
        ] * 2
        assert store.load() is not None
