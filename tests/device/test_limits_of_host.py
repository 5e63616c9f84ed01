from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device import parallel
from acclimate_device.limits_of_host import Limits, read_limits
from acclimate_device.sync import update

MIB = 1 << 20


def groups(root: Path, files: dict[str, str]) -> tuple[Path, Path]:
    """Write control groups below a root; return the file that names our own, and the root."""
    for name, text in {"cgroup.controllers": "cpu memory"}.items() | files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    own = root / "own"
    own.write_text("0::/system.slice/acclimate.service\n")
    return own, root


OURS = "system.slice/acclimate.service"


def test_the_least_of_all_groups_above_counts(tmp_path: Path) -> None:
    files = {
        f"{OURS}/memory.max": str(512 * MIB),
        f"{OURS}/memory.high": "max",
        f"{OURS}/memory.current": str(90 * MIB),
    }
    files |= {"system.slice/memory.max": str(256 * MIB), "system.slice/cpu.max": "150000 100000"}
    files |= {f"{OURS}/cpu.max": "max 100000"}
    found = read_limits(*groups(tmp_path, files))
    assert found == Limits(memory_bytes=256 * MIB, used_bytes=90 * MIB, cpus=1.5)
    assert found.spare_bytes(10_000 * MIB) == 166 * MIB
    assert found.spare_bytes(10 * MIB) == 10 * MIB


@pytest.mark.parametrize("text", ["", "max", "100000", "x 100000", "100000 0", "50000 100000 3"])
def test_what_is_no_quota_limits_nothing(tmp_path: Path, text: str) -> None:
    assert read_limits(*groups(tmp_path, {f"{OURS}/cpu.max": text})).cpus is None


@pytest.mark.parametrize("own", ["", "4:memory:/old\n", "0::/../../etc\n"])
def test_without_a_group_of_version_2_nothing_is_limited(tmp_path: Path, own: str) -> None:
    path, root = groups(tmp_path, {"memory.max": "1000"})
    path.write_text(own)
    assert read_limits(path, root) == Limits()


def test_version_1_and_other_systems(tmp_path: Path) -> None:
    assert read_limits(tmp_path / "none", tmp_path / "none") == Limits()


@given(st.floats(0.001, 64), st.integers(1, 64))
def test_threads_are_between_one_and_the_cores_and_worth_the_time(cpus: float, cores: int) -> None:
    threads = Limits(cpus=cpus).threads(cores)
    assert 1 <= threads <= cores
    assert threads - 1 < cpus
    assert Limits().threads(cores) == cores


def test_the_agent_keeps_within_them(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(memory_bytes=100 * MIB, used_bytes=60 * MIB, cpus=0.5)
    monkeypatch.setattr(parallel, "read_limits", lambda: limits)
    monkeypatch.setattr(update, "read_limits", lambda: limits)
    assert parallel.cores() == 1
    assert update.facts_of_machine().memory_mib == 40
