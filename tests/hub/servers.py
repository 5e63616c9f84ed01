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


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Run a cluster of its own; give the URL up to the database's name, which follows as ``{}``."""
    initdb, server = program("initdb"), program("postgres")
    user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="acclimate-pg-"))
    try:
        if user:
            shutil.chown(folder, user)
        made = [initdb, "-D", f"{folder}/data", "-U", "hub", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(made, check=True, capture_output=True, user=user, cwd="/")
        options = ["fsync=off", "full_page_writes=off", "listen_addresses=", f"unix_socket_directories={folder}"]
        flags = [part for option in options for part in ("-c", option)]
        with (folder.parent / f"{folder.name}.log").open("wb") as log:
            running = subprocess.Popen(
                [server, "-D", f"{folder}/data", *flags], stdout=log, stderr=log, user=user, cwd="/"
            )
        try:
            wait_until(lambda: (folder / "data" / "postmaster.pid").exists() and _ready(folder))
            yield f"postgresql://hub@/{{}}?host={folder}"
        finally:
            running.send_signal(signal.SIGQUIT)  # at once, whoever is still connected
            running.wait(START_S)
    finally:
        shutil.rmtree(folder)
        (folder.parent / f"{folder.name}.log").unlink(missing_ok=True)


def _ready(folder: Path) -> bool:
    return "ready" in (folder / "data" / "postmaster.pid").read_text()


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
