"""The processes of a simulation on one machine: a broker, a hub that is served, and the devices; each may be killed."""

import json
import math
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Self

from acclimate_hub.embedded import embedded
from acclimate_hub.first_release import ROOT, environment
from acclimate_hub.hub import Hub
from acclimate_hub.identity import enrolment
from acclimate_hub.identity.broker_config import CONFIG, Broker
from acclimate_hub.limits import CLAIM_RATE, DAY_S
from acclimate_hub.rollout import RolloutPlan
from acclimate_shared.waves import in_wave

TENANT, COHORT = "main", "default"
END_S = 30.0  # that a process has to end

EAGER = 300  # devices whose process keeps up with the usual pace; more of them live more slowly

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
    def slower(self) -> float:
        """How much more slowly the devices live than at their usual pace, so that their one process keeps up."""
        return max(1.0, self.devices / EAGER)

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


class Part:
    """A process of a simulation; it may be killed and started again, and ends with its block."""

    def __init__(self, words: Sequence[str], log: Path, *, spoken: bool = False) -> None:
        """Prepare; nothing is started yet.

        Args:
            words: the command.
            log: file for what it says.
            spoken: whether it is spoken to, over its input and output.
        """
        self._words, self._log, self._spoken = list(words), log, spoken
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.end()

    @property
    def pid(self) -> int:
        """Number of the process; 0 for none."""
        return self.process.pid if self.process else 0

    def start(self) -> None:
        """Start it, again perhaps."""
        pipe = subprocess.PIPE if self._spoken else None
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own module, or the broker
                self._words, env=environment(), stdin=pipe, stdout=pipe or log, stderr=log, text=True
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def end(self) -> None:
        """Ask it to end, and wait until it has."""
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.kill()


def brokers(site: Site) -> tuple[str, AbstractContextManager[object]]:
    """Return the broker that is used and its name: Mosquitto where it is installed, the embedded one elsewhere."""
    if program := _mosquitto():
        return "mosquitto", mosquitto(site, program)
    return "amqtt", embedded(site.folder / "broker", site.broker_port, site.devices + 100)


def _mosquitto() -> str | None:
    paths = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("mosquitto", path=paths)


def mosquitto(site: Site, program: str) -> Part:
    """Return Mosquitto, as ``prepared`` has configured it."""
    config = site.folder / "broker" / CONFIG
    if os.geteuid() == 0 and "user root" not in config.read_text():  # it would become a user who may not read the keys
        config.write_text(config.read_text() + "user root\n")
    return Part([program, "-c", str(config)], site.folder / "broker.log")


def serving(site: Site) -> Part:
    """Return the hub as it is served."""
    hub_port = site.broker_port + (1 if _mosquitto() else 0)
    words = ["--data", str(site.folder), "--database", site.url, "serve", "--port", str(site.port), "--broker"]
    certificates = str(site.folder / "broker")
    words += [f"localhost:{hub_port}", "--certificates", certificates, "--least-devices", "1"]
    return Part([sys.executable, "-m", "acclimate_hub.cli", *words], site.folder / "hub.log")


def even_salt(names: Sequence[str], plan: RolloutPlan) -> str:
    """Return a salt that gives each wave the devices that it needs: few of them are not spread evenly by chance."""
    while True:
        salt = secrets.token_hex(4)
        counts = ((sum(in_wave(salt, name, wave.percent) for name in names), wave.percent) for wave in plan.waves)
        if all(count == max(plan.min_devices, round(len(names) * share / 100)) for count, share in counts):
            return salt


def peak_mib(process: int) -> float:
    """Return the most memory that a process has had, MiB; 0 where the system does not say."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


class Fleet(Part):
    """The process of the devices, and what it last said."""

    def __init__(self, site: Site, hub: Hub) -> None:
        """Write down who they are, with the claim tokens of a hub; nothing is started yet."""
        plan = site.folder / "fleet-plan.json"
        plan.touch(mode=0o600)
        plan.write_text(json.dumps(_plan(site, hub)))
        super().__init__(
            [sys.executable, "-m", "acclimate_tools.fleet.run", str(plan)], site.folder / "fleet.log", spoken=True
        )
        self.news: dict[str, object] = {}
        self._end_s = END_S * site.slower
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start them, again perhaps: then they go on where they were."""
        super().start()
        if self.process:
            self._thread = threading.Thread(target=self._listen, args=(self.process.stdout,), daemon=True)
            self._thread.start()

    def _listen(self, said: IO[str]) -> None:
        for line in said:
            with suppress(ValueError):  # half a line, of a process that was killed
                self.news = json.loads(line)
        self.news = {}

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
        if self.process and self.process.stdin:
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()

    def kill(self) -> None:
        """See ``Part``."""
        super().kill()
        self._silent()
        self.process = None

    def end(self) -> None:
        """Close its input, at which it writes down what was told, and wait until it has ended."""
        if self.process is None or self.process.stdin is None or self.process.stdin.closed:
            return
        with suppress(OSError):
            self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(self._end_s)
        super().end()
        self._silent()

    def _silent(self) -> None:
        if self._thread:
            self._thread.join()
        for pipe in (self.process.stdin, self.process.stdout) if self.process else ():
            with suppress(OSError):
                if pipe:
                    pipe.close()


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
        "slower": site.slower,
        "root": str(site.folder / ROOT),
        "claims": [claim.text for claim in made],
        "uses": uses,
        **{name: str(certificates / file) for name, file in files.items()},
    }
