"""What this process may use: memory and processor time, as its control group says (cgroup v2, Linux).

A group is limited by all groups above it, so the least of each counts. Who reads them: the number of threads
(``parallel``), the memory that a bundle may ask for (``sync.update``), and the service, which says what it found. No
control groups, or version 1: no limits.

Example:
    >>> Limits(memory_bytes=512 << 20, used_bytes=100 << 20, cpus=0.5).threads(cores=4)
    1
"""

import math
from dataclasses import dataclass
from pathlib import Path

OWN = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")
LEAST_BYTES = 192 << 20  # with the default committee; less is said aloud at the start
NONE = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of memory and processors; None: no limit.

    Attributes:
        memory_bytes: that the group may use, all its processes together; above it, it is slowed down or killed.
        used_bytes: that it uses now.
        cpus: processors' worth of time, 0.5 for half of one.
    """

    memory_bytes: int | None = None
    used_bytes: int = 0
    cpus: float | None = None

    def threads(self, cores: int) -> int:
        """Return how many threads make sense on so many cores: a second one only for more than one core's time."""
        return cores if self.cpus is None else max(1, min(cores, math.ceil(self.cpus)))

    def spare_bytes(self, free: int) -> int:
        """Return the memory that may still be taken where the machine has ``free`` bytes."""
        return free if self.memory_bytes is None else max(0, min(free, self.memory_bytes - self.used_bytes))


def read_limits(own: Path = OWN, groups: Path = GROUPS) -> Limits:
    """Return the limits of this process.

    Args:
        own: file that names its group, as the kernel shows it.
        groups: where control groups are mounted.
    """
    path = _own_group(own)
    if path is None or not (groups / "cgroup.controllers").is_file():
        return Limits()
    group = groups / path
    found = [folder for folder in (group, *group.parents) if folder.is_relative_to(groups)]
    memory = [_number(folder / name) for folder in found for name in ("memory.max", "memory.high")]
    quotas = [_quota(folder / "cpu.max") for folder in found]
    return Limits(
        memory_bytes=min((value for value in memory if value is not None), default=None),
        used_bytes=_number(group / "memory.current") or 0,
        cpus=min((value for value in quotas if value is not None), default=None),
    )


def _own_group(own: Path) -> str | None:
    """Return the group's path below the mount: of version 2 is the line that begins with ``0::``."""
    lines = _text(own).splitlines()
    named = next((line[3:] for line in lines if line.startswith("0::")), None)
    return None if named is None or ".." in named else named.strip("/")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _quota(path: Path) -> float | None:
    """Return ``quota / period`` of ``cpu.max``, None for no limit."""
    parts = _text(path).split()
    if len(parts) != 2 or parts[0] == NONE or not all(part.isdigit() for part in parts) or int(parts[1]) == 0:  # noqa: PLR2004
        return None
    return int(parts[0]) / int(parts[1])
