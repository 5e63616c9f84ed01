"""The service under a real systemd: its user, its key, its watchdog, its restarts, its socket, and what is left."""

import json
import shutil
from collections.abc import Iterator

import pytest

from acclimate_tools.packaging.recipe import DEBIAN, native
from tests.tools.packaging.booted import Machine, booted
from tests.tools.packaging.clean_root import options
from tests.tools.packaging.programs import needs
from tests.tools.packaging.test_clean_root import built

pytestmark = pytest.mark.long

STATE = "/var/lib/acclimate"
KEY = "ACCLIMATE_KEY_FILE=/etc/acclimate/acclimate.key"
WATCHDOG = "[Service]\nWatchdogSec=15\n"
ASK = (
    "from acclimate_device.local.client import Client\n"
    "with Client('/run/acclimate.sock', timeout_s=120) as agent: print(agent.predict({'load': 1})['version'])\n"
)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return a machine that has started, with two revisions of the package on it."""
    needs("dpkg-deb")
    folder = tmp_path_factory.mktemp("booted")
    with booted(folder / "root") as made:
        for revision in (1, 2):
            package, _ = built(folder / str(revision), native(), revision, compression="none")
            shutil.copy(package.path, made.folder / "root")
        yield made


def log_of(machine: Machine) -> list[str]:
    return machine.asks("journalctl", "--unit=acclimate", "--output=cat", "--no-pager").splitlines()


def main_process(machine: Machine) -> str:
    return machine.shows("MainPID")


def fact(machine: Machine, name: str) -> str:
    """Return a line of the status of the service's process."""
    lines = machine.run("cat", f"/proc/{main_process(machine)}/status").splitlines()
    return next(line.split(":")[1].split()[0] for line in lines if line.startswith(f"{name}:"))


def install(machine: Machine, revision: int) -> None:
    name = next(path.name for path in (machine.folder / "root").glob(f"*-{revision}_*.deb"))
    machine.run("LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *options(["install", f"/root/{name}"]))


def put(machine: Machine, path: str, text: str) -> None:
    place = machine.folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def learned(machine: Machine) -> int:
    found = json.loads(machine.run(KEY, "acclimate", "status", STATE, "--json"))
    return int(found["learned"])


def asked_as(machine: Machine, group: str) -> str:
    """Return what a program hears that runs as nobody in a group."""
    number = machine.run("getent", "group", group).split(":")[2]
    who = ["setpriv", "--reuid=65534", f"--regid={number}", "--clear-groups"]
    return machine.asks(*who, "/usr/lib/acclimate/bin/python3", "-c", ASK)


def test_a_life_under_systemd(machine: Machine) -> None:
    install(machine, 1)
    machine.until(lambda: machine.shows("ActiveState") == "active")  # so it has said READY=1
    assert fact(machine, "Uid") not in {"0", "65534"}
    assert (fact(machine, "CapEff"), fact(machine, "NoNewPrivs"), fact(machine, "Seccomp")) == ("0" * 16, "1", "2")
    users = machine.run("cat", f"/proc/{main_process(machine)}/uid_map").split()
    assert users[2] == "1"  # PrivateUsers= leaves root and itself
    private = machine.folder / "var/lib/private/acclimate"
    assert private.stat().st_mode & 0o777 == 0o700
    machine.until((private / "acclimate.db").exists)
    assert not (private / "acclimate.key").exists()  # the key came as a credential
    assert any('"event": "starts"' in line for line in log_of(machine))

    put(machine, "etc/systemd/system/acclimate.service.d/quick.conf", WATCHDOG)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "acclimate")
    machine.until(lambda: machine.shows("WatchdogUSec") == "15s" and machine.shows("ActiveState") == "active")
    machine.run("systemctl", "stop", "acclimate")  # it learns what waits, and keeps it
    assert machine.shows("Result") == "success"
    before = learned(machine)
    machine.run("systemctl", "start", "acclimate")
    machine.run("systemctl", "kill", "--signal=STOP", "--kill-whom=main", "acclimate")  # it hangs
    machine.until(lambda: machine.shows("NRestarts") == "1")
    machine.until(lambda: machine.shows("ActiveState") == "active")
    assert any(
        '"event": "waits before the next start", "failures": 1, "seconds": 2' in line for line in log_of(machine)
    )
    assert "watchdog" in machine.asks("journalctl", "--unit=acclimate", "--no-pager")

    run = machine.shows("InvocationID")
    install(machine, 2)
    machine.until(lambda: machine.shows("ActiveState") == "active" and machine.shows("InvocationID") != run)
    machine.run("systemctl", "stop", "acclimate")
    assert learned(machine) >= before > -1


def test_other_programs_ask_at_a_socket_of_systemd(machine: Machine) -> None:
    readme = (DEBIAN / "README.md").read_text(encoding="utf-8")
    drop_in = readme.split("```ini\n")[1].split("```")[0]
    put(machine, "etc/systemd/system/acclimate.service.d/serve.conf", drop_in)
    put(machine, "etc/systemd/system/acclimate.socket.d/who.conf", "[Socket]\nSocketGroup=users\n")
    put(machine, "etc/acclimate/acclimate.toml", '[serve]\ntask = "classification"\n')
    shutil.rmtree(machine.folder / "var/lib/private/acclimate")  # of another stream
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "acclimate.socket")
    machine.run("systemctl", "restart", "acclimate")
    assert asked_as(machine, "users") == "1.0"
    assert asked_as(machine, "nogroup") == ""
    machine.run("systemctl", "restart", "--no-block", "acclimate")
    assert asked_as(machine, "users") == "1.0"  # it waited


def test_nothing_is_left_after_a_purge(machine: Machine) -> None:
    machine.run("DEBIAN_FRONTEND=noninteractive", *options(["remove", "acclimate"]))
    assert machine.shows("ActiveState") == "inactive"
    assert machine.holds("etc/acclimate/acclimate.key")
    machine.run("DEBIAN_FRONTEND=noninteractive", *options(["purge", "acclimate"]))
    ours = ["etc/systemd/system/acclimate.service.d", "etc/systemd/system/acclimate.socket.d"]  # a person's
    for name in ours:
        shutil.rmtree(machine.folder / name)
    found = machine.asks("find", "/etc", "/usr", "/var/lib", "/var/cache", "/run", "-name", "*acclimate*").splitlines()
    assert not [name for name in found if "/dpkg/" not in name], found
