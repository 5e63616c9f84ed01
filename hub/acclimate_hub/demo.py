"""Everything on one machine: a broker, a hub, five devices that learn, and a second base model that is rolled out.

The devices are agents in processes of their own, each at work on another part of a real recording: telemetry of a
machine, faster than it was recorded. All that a person would type is done with the very commands; only the waiting is
shortened, by a rollout plan for five devices. All keys lie in one folder, which no fleet should do.
"""

import csv
import gzip
import importlib.util
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import uvicorn

from acclimate_hub.embedded import embedded
from acclimate_hub.first_release import ROOT, command, environment, installed, released
from acclimate_hub.hub import Hub
from acclimate_hub.identity import api_tokens, enrolment
from acclimate_hub.identity.broker_config import Broker
from acclimate_hub.limits import DAY_S
from acclimate_hub.one_machine import even_salt
from acclimate_hub.rollout import Criterion, Phase, RolloutPlan, Wave
from acclimate_hub.serve import Plan, application, desks_of
from acclimate_hub.store import devices
from acclimate_shared.errors import LinkError, UsageError
from acclimate_shared.waves import NO_BASE, Stage

DEVICES = 5
TENANT, COHORT, ROLLOUT = "main", "default", "second-base"
LABEL, TIME = "cpu_ahead", "timestamp"
ROWS_PER_S = 40.0  # of the recording, which was made at two
FIRST_S = 120.0  # that devices and agents have for their first word
FIRST = "naive-bayes"  # what the devices begin with: small, and easily surpassed
CRITERIA = (
    Criterion(name="loss", low=-0.5, high=0.5, expect=0.0, limit=0.2, halt=0.15, bad=0.4, sd=0.1),
    Criterion(name="crash", low=0.0, high=0.5, expect=0.01, limit=0.2, halt=0.1, bad=0.4, sd=0.05),
)
#: For five devices and little time: wide margins, short blocks. A fleet keeps the default plan.
PLAN = RolloutPlan(
    waves=(Wave(percent=100.0, stage=Stage.SHADOW), Wave(percent=40.0), Wave(percent=100.0)),
    criteria=CRITERIA,
    block_s=5.0,
    watermark_s=5.0,
    group=1,
    halt_group=1,
    min_devices=2,
    min_blocks=4,
    max_blocks=200,
    warmup_labels=100,
    probation_s=15.0,
    second_person=False,
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where everything is."""

    folder: Path
    port: int
    broker_port: int
    hub: Hub
    say: Say
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        """Name the log of the devices."""
        object.__setattr__(self, "log", self.folder / "devices.log")

    @property
    def certificates(self) -> Path:
        """Folder of the broker's files."""
        return self.folder / "broker"

    def state(self, device: str) -> Path:
        """Return the state folder of a device."""
        return self.folder / "devices" / device


def run(folder: Path, *, port: int, broker_port: int, seconds: float, say: Say) -> Phase:
    """Run the demonstration; return how its rollout stands at the end.

    Args:
        folder: new or empty.
        port: of pages and API.
        broker_port: of the embedded broker.
        seconds: after which it ends by itself, once the rollout has; 0: when it is interrupted.
        say: takes lines for people.

    Raises:
        UsageError: the folder is in use, or what devices need is not installed.
        LinkError: something did not start.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError("the folder is not empty", field="folder", value=str(folder), remedy="name a new one")
    if importlib.util.find_spec("onnxruntime") is None:
        raise UsageError("devices cannot run here", field="install", remedy="pip install 'acclimate[device,hub]'")
    folder.mkdir(parents=True, exist_ok=True)
    hub = Hub.create(f"sqlite:///{folder.resolve() / 'hub.db'}", folder / "secret", time.time)
    hub.create_tenant(TENANT, "demo")
    site = Site(folder=folder.resolve(), port=port, broker_port=broker_port, hub=hub, say=say)
    broker = Broker(tenant=TENANT, folder=PurePosixPath(site.certificates), port=broker_port, hub_port=0)
    hub.write_broker(broker, site.certificates, ["localhost"], "demo")
    with ExitStack() as running:
        running.callback(hub.close)
        running.enter_context(embedded(site.certificates, broker_port))
        running.enter_context(_serving(site))
        say(f"Pages:  http://127.0.0.1:{port}/ui/   sign in with the token {_token(hub)}")
        say("The embedded broker keeps nobody apart, and all keys are in one folder: a demonstration, not a fleet.")
        listed = released(hub, TENANT, site.folder, "demo")
        say(f"Published: {listed.release.model} {listed.release.version}, signed by its author")
        for device in _names():
            _enrol(site, device)
        for at, device in enumerate(_names()):
            running.enter_context(_device(site, device, at))
        _until(lambda: _online(hub) == DEVICES, FIRST_S, "the devices to come online", site)
        say(f"{DEVICES} devices are online; each learns from its own part of a recording")
        phase = _roll_out(site, listed.digest)
        if not seconds:
            say("Ctrl-C ends the demonstration")
        _idle(seconds)
        return phase


def _names() -> list[str]:
    return [f"machine-{at + 1}" for at in range(DEVICES)]


def _token(hub: Hub) -> str:
    with hub.database.write() as connection:
        wish = api_tokens.Wish(name="demo", scope="admin", expires_s=hub.now() + DAY_S)
        return api_tokens.create(connection, TENANT, wish, "demo", hub.now()).text


@contextmanager
def _serving(site: Site) -> Iterator[None]:
    """Serve API, pages and devices in a thread."""
    plan = Plan(
        host="127.0.0.1", port=site.port, tenant=TENANT, broker=f"localhost:{site.broker_port}",
        certificates=site.certificates, least_devices=1, data=site.folder,
        reload="true",  # the embedded broker reads no list of revoked certificates
    )  # fmt: skip
    config = uvicorn.Config(application(site.hub, plan), host=plan.host, port=plan.port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="acclimate-hub", daemon=True)
    thread.start()
    try:
        _until(lambda: server.started or not thread.is_alive(), FIRST_S, "the hub to start", site)
        if not server.started:
            raise LinkError("the hub does not start", field="port", value=site.port, remedy="choose another --port")
        yield
    finally:
        server.should_exit = True
        thread.join()


# -- the devices --------------------------------------------------------------------------------------------------


def _enrol(site: Site, device: str) -> None:
    """Join a device as a person does: with a claim token, and the root of trust of the releases."""
    now_s = site.hub.now()
    rules = enrolment.ClaimRules(cohort=COHORT, max_uses=1, expires_s=now_s + FIRST_S, allowed=(device,))
    with site.hub.database.write() as connection:
        token = enrolment.create_claim(connection, TENANT, rules, "demo", now_s).text
    parts = [(site.certificates / name).read_text() for name in ("ca.crt", "claim.crt", "claim.key")]
    claim = site.folder / f"{device}.claim"
    claim.touch(mode=0o600)
    claim.write_text("\n".join([*parts, token]))
    root = site.folder / ROOT
    words = ["enrol", "--hub", f"localhost:{site.broker_port}", "--token-file", str(claim), "--device", device]
    command("acclimate_device.cli", [*words, "--state", str(site.state(device)), "--root", str(root)])
    claim.unlink()


@contextmanager
def _device(site: Site, device: str, at: int) -> Iterator[None]:
    """Run an agent that is fed its part of the recording."""
    words = ["run", "--source", "-", "--label", LABEL, "--ignore", TIME, "--state", str(site.state(device)), "--json"]
    started = [sys.executable, "-m", "acclimate_device.cli", *words, "--micro-batch", "64", "--learners", FIRST]
    stopped = threading.Event()
    with (
        site.log.open("ab") as log,
        subprocess.Popen(  # noqa: S603 - our own module
            started, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
        ) as process,
    ):
        feeder = threading.Thread(target=_feed, args=(process, at, stopped), name=device, daemon=True)
        feeder.start()
        try:
            yield
        finally:
            stopped.set()
            feeder.join()
            process.terminate()
            process.wait()


def _feed(process: "subprocess.Popen[bytes]", at: int, stopped: threading.Event) -> None:
    """Give an agent the rows of its part, over and over, until stopped or until it has ended."""
    if process.stdin is None:
        return
    rows = _recording()
    part = rows[at * len(rows) // DEVICES : (at + 1) * len(rows) // DEVICES]
    while not stopped.is_set():
        for row in part:
            if stopped.wait(1 / ROWS_PER_S):
                break
            try:
                process.stdin.write(json.dumps(row).encode() + b"\n")
                process.stdin.flush()
            except OSError:
                return


def _recording() -> list[dict[str, object]]:
    path = installed("acclimate_device") / "recordings" / "host_telemetry.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return [{k: v if k == LABEL else float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def _online(hub: Hub) -> int:
    with hub.database.read() as connection:
        return int(devices.counts(connection, TENANT).get("online", 0))


# -- the rollout --------------------------------------------------------------------------------------------------


def _roll_out(site: Site, digest: str) -> Phase:
    rollouts, salt = site.hub.rollouts(TENANT), even_salt(_names(), PLAN)
    rollouts.create(ROLLOUT, PLAN, author="demo", digest=digest, previous=NO_BASE, salt=salt, cohorts=(COHORT,))
    rollouts.approve(ROLLOUT, "demo", "nobody else is here")
    rollouts.start(ROLLOUT, "demo", "for you to watch")
    site.say(
        f"Rollout: http://127.0.0.1:{site.port}/ui/rollouts/{ROLLOUT}   shadow, then 40 %, then all; or press Stop"
    )
    said, desk = "", desks_of(site.hub)(TENANT)
    while True:
        rollout = rollouts.get(ROLLOUT)
        headline = desk.explanation(rollout).headline
        if headline != said:
            site.say(f"  {headline}")
            said = headline
        if rollout.phase not in {Phase.WAVE, Phase.PAUSED}:
            return rollout.phase
        time.sleep(1.0)


def _until(happened: Callable[[], bool], seconds: float, what: str, site: Site) -> None:
    end_s = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end_s:
            raise LinkError(f"waited {seconds:g} s for {what}", field="demo", remedy=f"see {site.log}")
        time.sleep(0.2)


def _idle(seconds: float) -> None:
    end_s = time.monotonic() + seconds if seconds else float("inf")
    while time.monotonic() < end_s:
        time.sleep(0.2)
