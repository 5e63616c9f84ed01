"""A Debian of its own that is really started: systemd is process 1 in namespaces of its own, without a network.

Nothing but the kernel is shared. ``pivot_root`` rather than ``chroot``: in a changed root the kernel makes no user
namespaces (user_namespaces(7)), which ``PrivateUsers=`` needs. Mounts are shared below the root, as on a machine, or
credentials would not arrive.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tools.packaging.clean_root import CleanRoot
from tests.tools.packaging.programs import needs

INCLUDE = "python3,systemd,systemd-sysv,dbus"
_DEVICES = "null zero full random urandom tty"
_BOOT = f"""\
set -e
echo 0 >"$2/cgroup.procs"
exec unshare --fork --kill-child --pid --mount --uts --ipc --net --cgroup sh -ec '
mount --make-rprivate /
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for name in {_DEVICES}; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mkdir dev/shm dev/pts run/old
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
pivot_root . run/old
umount -l /run/old
mount --make-rshared /
exec env -i PATH=/usr/sbin:/usr/bin container=other /lib/systemd/systemd
' "$1"
"""


class Machine(CleanRoot):
    """A root whose systemd runs.

    Attributes:
        init: process 1, as it is numbered outside.
    """

    init = 0

    def words(self, *command: str) -> list[str]:
        """Return the words that run a command inside."""
        spaces = ["--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--root", "--wd"]
        return ["nsenter", f"--target={self.init}", *spaces, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin", *command]

    def asks(self, *command: str) -> str:
        """Return what a command prints, whether it succeeds or not."""
        return subprocess.run(self.words(*command), capture_output=True, text=True, check=False).stdout.strip()

    def shows(self, what: str, unit: str = "acclimate") -> str:
        """Return a property of a unit."""
        return self.asks("systemctl", "show", "--value", f"--property={what}", unit)

    def until(self, true: Callable[[], bool], within_s: float = 180.0) -> None:
        """Wait for what the machine is about to do."""
        end = time.monotonic() + within_s
        while not true():
            if time.monotonic() > end:
                pytest.fail(f"it did not come about\n{self.asks('journalctl', '--no-pager', '-n', '60')}")
            time.sleep(0.2)


@contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """Yield a machine that has started, or skip where that cannot be."""
    needs("mmdebstrap", "unshare", "nsenter", "pivot_root", "dpkg-deb")
    group = _control_group()
    if os.geteuid() != 0 or group is None:
        pytest.skip("only root may start a machine, and it needs control groups of version 2")
    machine = Machine(folder, INCLUDE)
    group.mkdir()
    with (folder.parent / "boot.log").open("wb") as log:
        outside = subprocess.Popen(["sh", "-c", _BOOT, "sh", str(folder), str(group)], stdout=log, stderr=log)  # noqa: S607
    try:
        machine.init = _first_child(outside)
        machine.until(lambda: machine.asks("systemctl", "is-system-running") in {"running", "degraded"})
        yield machine
    finally:
        if machine.init:
            os.kill(machine.init, signal.SIGKILL)  # and with it everything in its namespace
        outside.kill()
        outside.wait()
        _forget(group)


def _control_group() -> Path | None:
    """Return the name of a new control group of version 2."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(place, os.W_OK):
            return Path(place) / f"acclimate-test-{os.getpid()}"
    return None


def _first_child(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the process that becomes process 1 inside."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        found = children.read_text().split()
        if found and Path(f"/proc/{found[0]}/comm").read_text().strip() == "systemd":
            return int(found[0])
        time.sleep(0.05)
    pytest.skip("systemd cannot be started here")


def _forget(group: Path) -> None:
    """Remove a control group and those below it, as soon as their processes have gone."""
    end = time.monotonic() + 30
    while group.exists() and time.monotonic() < end:
        for path, _, _ in os.walk(group, topdown=False):
            try:
                Path(path).rmdir()
            except OSError:
                time.sleep(0.05)
