"""The processes of a simulation on one machine: a broker, a hub that is served, and the devices; each may be killed."""

import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from acclimate_hub.embedded import embedded
from acclimate_hub.first_release import ROOT, environment
from acclimate_hub.hub import Hub
from acclimate_hub.identity import enrolment
from acclimate_hub.identity.broker_config import CONFIG, Broker
from acclimate_hub.limits import CLAIM_RATE, DAY_S

TENANT, COHORT = "main", "default"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where everything is.

    Attributes:
        port: of pages and API.
        broker_port: for devices; the next one is for the hub.
        say: takes lines for people.
        database: URL; "" for SQLite in the folder.
        device_port: that devices connect to; 0 for that of the broker.
        pace: of the devices, see ``acclimate_tools.fleet.parts.Pace``.
    """

    folder: Path
    port: int
    broker_port: int
    devices: int
    say: Say
    database: str = ""
    device_port: int = 0
    pace: Mapping[str, float] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """URL of the database."""
        return self.database or f"sqlite:///{self.folder / 'hub.db'}"

    @property
    def names(self) -> list[str]:
        """Ids of the devices."""
        return [f"sim-{at:05d}" for at in range(1, self.devices + 1)]


def prepared(site: Site) -> Hub:
    """Make a hub and the files of its broker."""
    hub = Hub.create(site.url, site.folder / "secret", time.time)
    hub.create_tenant(TENANT, "simulation")
    place = PurePosixPath(site.folder / "broker")
    broker = Broker(tenant=TENANT, folder=place, host="127.0.0.1", port=site.broker_port, hub_port=site.broker_port + 1)
    hub.write_broker(broker, site.folder / "broker", ["localhost"], "simulation")
    return hub


def brokers(site: Site) -> tuple[str, AbstractContextManager[object]]:
    """Return the broker that is used and its name: Mosquitto where it is installed, the embedded one elsewhere."""
    paths = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    if program := shutil.which("mosquitto", path=paths):
        return "mosquitto", mosquitto(site, program)
    return "amqtt", embedded(site.folder / "broker", site.broker_port, site.devices + 100)


@contextmanager
def mosquitto(site: Site, program: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run Mosquitto for a while."""
    config = site.folder / "broker" / CONFIG
    if os.geteuid() == 0 and "user root" not in config.read_text():  # it would become a user who may not read the keys
        config.write_text(config.read_text() + "user root\n")
    with (
        (site.folder / "broker.log").open("ab") as log,
        subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log) as process,  # noqa: S603
    ):
        try:
            yield process
        finally:
            process.terminate()


def command_of(site: Site) -> list[str]:
    """Return the command that serves the hub."""
    hub_port = site.broker_port + (1 if brokers(site)[0] == "mosquitto" else 0)
    words = ["--data", str(site.folder), "--database", site.url, "serve", "--port", str(site.port), "--broker"]
    certificates = str(site.folder / "broker")
    words += [f"localhost:{hub_port}", "--certificates", certificates, "--least-devices", "1"]
    return [sys.executable, "-m", "acclimate_hub.cli", *words]


@contextmanager
def serving(site: Site) -> Iterator["subprocess.Popen[bytes]"]:
    """Serve the hub in a process of its own for a while."""
    with (
        (site.folder / "hub.log").open("ab") as log,
        subprocess.Popen(command_of(site), env=environment(), stdout=log, stderr=log) as process,  # noqa: S603
    ):
        try:
            yield process
        finally:
            process.terminate()


def peak_mib(process: int) -> float:
    """Return the most memory that a process has had, MiB; 0 where the system does not say."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


class Fleet:
    """The process of the devices, and what it last said."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        """Listen to a process that was started."""
        self.process, self._folder = process, folder
        self.news: dict[str, object] = {}
        self._thread = threading.Thread(target=self._listen, args=(process.stdout,), daemon=True)
        self._thread.start()

    @classmethod
    @contextmanager
    def started(cls, site: Site, hub: Hub | None) -> Iterator["Fleet"]:
        """Run the devices for a while.

        Args:
            site: where.
            hub: that makes the claim tokens; None for devices that have lived here before.
        """
        plan = site.folder / "fleet-plan.json"
        if hub is not None:
            plan.touch(mode=0o600)
            plan.write_text(json.dumps(_plan(site, hub)))
        with (
            (site.folder / "fleet.log").open("a") as log,
            subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "acclimate_tools.fleet.run", str(plan)],
                env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            ) as process,
        ):  # fmt: skip
            fleet = cls(process, site.folder / "devices")
            try:
                yield fleet
            finally:
                fleet.end()

    def _listen(self, said: IO[str]) -> None:
        for line in said:
            self.news = json.loads(line)

    def number(self, name: str) -> int:
        """Return a number of the last news."""
        found = self.news.get(name, 0)
        return found if isinstance(found, int) else 0

    def states(self) -> Counter[str]:
        """Return how many devices stand where."""
        found = self.news.get("states", {})
        return Counter(found if isinstance(found, dict) else {})

    def say(self, word: str) -> None:
        """Tell the process something."""
        if self.process.stdin is not None:
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()

    def end(self) -> None:
        """Let the devices end."""
        with suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._thread.join()


def _plan(site: Site, hub: Hub) -> dict[str, object]:
    uses = CLAIM_RATE.burst
    rules = enrolment.ClaimRules(cohort=COHORT, max_uses=uses, expires_s=hub.now() + DAY_S)
    count = math.ceil(site.devices / uses)
    with hub.database.write() as connection:
        made = [enrolment.create_claim(connection, TENANT, rules, "simulation", hub.now()) for _ in range(count)]
    certificates = site.folder / "broker"
    files = {"ca": "ca.crt", "certificate": "claim.crt", "key": "claim.key"}
    return {
        "folder": str(site.folder / "devices"),
        "devices": site.names,
        "host": "localhost",
        "port": site.device_port or site.broker_port,
        "pace": dict(site.pace),
        "root": str(site.folder / ROOT),
        "claims": [claim.text for claim in made],
        "uses": uses,
        **{name: str(certificates / file) for name, file in files.items()},
    }
