"""Real servers for tests: PostgreSQL and Mosquitto, started privately, as a user without rights where that is needed.

Where continuous integration runs (``CI`` is set) a program that is missing is a failure, elsewhere a skip that is seen.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

START_S = 30.0
PLACES = ("/usr/sbin", "/usr/local/sbin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True))


def program(name: str) -> str:
    """Return the path of a program, of a server or of the browser."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(PLACES))
    if found is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


class Cluster:
    """A cluster of PostgreSQL of its own, that may be killed and started again.

    ``url`` is its address up to the database's name, which follows as ``{}``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.url = folder, f"postgresql://hub@/{{}}?host={folder}"
        self._user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
        self._process: subprocess.Popen[bytes] | None = None
        if self._user:
            shutil.chown(folder, self._user)
        made = [program("initdb"), "-D", f"{folder}/data", "-U", "hub", "--auth=trust", "--no-sync", "-E", "UTF8"]
        subprocess.run([*made, "--locale=C"], check=True, capture_output=True, user=self._user, cwd="/")

    def start(self) -> None:
        """Start it, as often as it takes: what a killed one has left behind needs a moment to end."""
        folder = self._folder
        options = ["fsync=off", "full_page_writes=off", "listen_addresses=", f"unix_socket_directories={folder}"]
        words = [program("postgres"), "-D", f"{folder}/data", *(w for o in options for w in ("-c", o))]

        def runs() -> bool:
            if self._process is None or self._process.poll() is not None:
                with (folder / "log").open("ab") as log:
                    self._process = subprocess.Popen(words, stdout=log, stderr=log, user=self._user, cwd="/")
            return self._ready(self._process.pid)

        wait_until(runs)

    def _ready(self, pid: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            told = (self._folder / "data" / "postmaster.pid").read_text().splitlines()
            return told[:1] == [str(pid)] and told[-1].strip() == "ready"
        return False

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def end(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it at once, whoever is still connected."""
        if self._process:
            self._process.send_signal(how)
            self._process.wait(START_S)


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Run a cluster until the end."""
    folder = Path(tempfile.mkdtemp(prefix="acclimate-pg-"))
    with contextlib.ExitStack() as ends:
        ends.callback(shutil.rmtree, folder)
        made = Cluster(folder)
        ends.callback(made.end)
        made.start()
        yield made


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Run a cluster of its own; give the URL up to the database's name, which follows as ``{}``."""
    with cluster() as made:
        yield made.url


@contextlib.contextmanager
def mosquitto(config: Path, *ports: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a broker with this configuration until the end."""
    server = program("mosquitto")
    if (
        os.geteuid() == 0 and "user root" not in config.read_text()
    ):  # it would change to a user who may not read the keys
        config.write_text(config.read_text() + "\nuser root\n")
    with (config.parent / "mosquitto.log").open("wb") as log:
        running = subprocess.Popen([server, "-c", str(config)], stdout=log, stderr=log)
    try:
        wait_until(lambda: all(map(_listens, ports)))
        yield running
    finally:
        running.terminate()
        running.wait(START_S)


def free_port() -> int:
    """Return a port of the loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until(happened: Callable[[], bool], within_s: float = START_S) -> None:
    """Wait for something outside this process; the tests know no other way to wait."""
    end = time.monotonic() + within_s
    while not happened():
        if time.monotonic() > end:
            pytest.fail("it did not happen in time")
        time.sleep(0.01)
