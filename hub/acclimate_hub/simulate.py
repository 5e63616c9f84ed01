"""A fleet of simulated devices against a real broker and a real hub: joined, a base rolled out, and rolled back.

The hub is a process of its own, as it is served; the devices are another one, with a real connection each, and say what
agents say: their enrolment, outbox and follower are those of the agent (`acclimate_tools.fleet`). At the end every
message that a device ever wanted to tell is compared with what the hub has committed and applied.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from acclimate_hub.first_release import released
from acclimate_hub.hub import Hub
from acclimate_hub.one_machine import COHORT, TENANT, Fleet, Site, brokers, even_salt, peak_mib, prepared, serving
from acclimate_hub.rollout import Criterion, Phase, RolloutPlan, Wave
from acclimate_hub.rollout.store import Store
from acclimate_hub.store.rollouts import SqlRollouts
from acclimate_hub.store.tally import tally
from acclimate_shared.errors import ConflictError, LinkError, UsageError
from acclimate_shared.rollout_reports import DeviceState
from acclimate_shared.waves import NO_BASE, Stage

ROLLOUT = "simulated"
LOOK_S = 1.0
PATIENCE_S = 600.0  # without any progress; then the simulation has failed
#: Three waves for a fleet that has little time: short blocks, wide margins; longer ones for a fleet that lives slowly.
PLAN = RolloutPlan(
    waves=(Wave(percent=100.0, stage=Stage.SHADOW), Wave(percent=25.0), Wave(percent=100.0)),
    criteria=(
        Criterion(name="loss", low=-0.5, high=0.5, expect=0.0, limit=0.2, halt=0.15, bad=0.4, sd=0.1),
        Criterion(name="crash", low=0.0, high=0.5, expect=0.01, limit=0.2, halt=0.1, bad=0.4, sd=0.05),
    ),
    block_s=5.0,
    watermark_s=5.0,
    group=1,
    halt_group=1,
    min_devices=2,
    min_blocks=4,
    max_blocks=200,
    warmup_labels=20,
    probation_s=15.0,
    second_person=False,
)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How a simulation went; times in seconds, memory in MiB.

    Attributes:
        broker: which one.
        joined_s: until all devices were enrolled and connected.
        done_s: from the start of the rollout until it was done; ``returned_s`` from its rollback until all are back.
        running: devices that say, and of which the hub says, that the base ran through its probation.
        returned: devices that have gone back.
        told: events that devices wanted to tell; ``lost`` of them are not committed, ``twice`` were applied again.
        hub_peak_mib: most memory of the hub's process.
    """

    devices: int
    broker: str
    joined_s: float = 0.0
    done_s: float = 0.0
    returned_s: float = 0.0
    running: int = 0
    returned: int = 0
    told: int = 0
    lost: int = 0
    twice: int = 0
    hub_peak_mib: float = 0.0

    @property
    def good(self) -> bool:
        """Whether all converged and nothing was lost or applied twice."""
        return self.running == self.returned == self.devices and self.lost == self.twice == 0


def run(site: Site, plan: RolloutPlan = PLAN) -> Outcome:
    """Simulate.

    Args:
        site: where, and who.
        plan: of the rollout.

    Raises:
        UsageError: the folder is in use, or something is not installed.
        LinkError: something did not start, or nothing goes on any more.
        ConflictError: the rollout ended otherwise.
    """
    if site.folder.exists() and any(site.folder.iterdir()):
        raise UsageError("the folder is not empty", field="folder", value=str(site.folder), remedy="name a new one")
    site.folder.mkdir(parents=True, exist_ok=True)
    plan = msgspec.structs.replace(plan, block_s=site.slower * plan.block_s, watermark_s=site.slower * plan.watermark_s)
    hub = prepared(site)
    kind, broker = brokers(site)
    with ExitStack() as running:
        running.callback(hub.close)
        running.enter_context(broker)
        listed = released(hub, TENANT, site.folder, "simulation")
        served = running.enter_context(serving(site))
        fleet = running.enter_context(Fleet(site, hub))
        outcome = Outcome(devices=site.devices, broker=kind)
        join(site, fleet, outcome)
        begin(site, hub, plan, listed.digest)
        roll_out(site, hub, fleet, outcome)
        roll_back(site, hub, fleet, outcome)
        settle(site, hub, fleet, outcome)
        outcome.hub_peak_mib = peak_mib(served.pid)
    return outcome


def wait(site: Site, what: str, look: Callable[[], tuple[bool, object]]) -> float:
    """Look until something has happened; return how long that took, seconds.

    Args:
        site: that hears how it goes.
        what: for people.
        look: returns whether it has happened, and how it stands.

    Raises:
        LinkError: nothing went on for long.
    """
    begun_s = moved_s = time.monotonic()
    last: object = None
    while True:
        try:
            happened, stands = look()
        except LinkError as exc:  # the database is away
            happened, stands = False, str(exc)
        if stands != last:
            last, moved_s = stands, time.monotonic()
            site.say(f"  {what}: {stands}")
        if happened:
            return time.monotonic() - begun_s
        if time.monotonic() - moved_s > PATIENCE_S:
            remedy = f"see the logs in {site.folder}"
            raise LinkError(f"nothing goes on: {what}", field="simulate", value=stands, remedy=remedy)
        time.sleep(LOOK_S)


def join(site: Site, fleet: Fleet, outcome: Outcome) -> None:
    """Wait until all devices are enrolled and connected."""

    def look() -> tuple[bool, object]:
        if fleet.process and fleet.process.poll() is not None:
            raise ConflictError("the devices ended", field="simulate", remedy=f"see {site.folder / 'fleet.log'}")
        trouble = fleet.news.get("trouble", "")
        stands = f"{fleet.number('connected')} of {site.devices}{f' ({trouble})' if trouble else ''}"
        return fleet.number("connected") == site.devices, stands

    outcome.joined_s = wait(site, "devices enrolled and connected", look)


def standing(store: Store, rollout: str) -> Counter[DeviceState]:
    """Return how many devices stand where, as far as the hub knows."""
    return Counter(row.state for row in store.devices(rollout))


def begin(site: Site, hub: Hub, plan: RolloutPlan, digest: str) -> None:
    """Begin the rollout of a released base."""
    rollouts, salt = hub.rollouts(TENANT), even_salt(site.names, plan)
    rollouts.create(ROLLOUT, plan, author="simulation", digest=digest, previous=NO_BASE, salt=salt, cohorts=(COHORT,))
    rollouts.approve(ROLLOUT, "simulation", "simulated")
    rollouts.start(ROLLOUT, "simulation", "simulated")


def roll_out(site: Site, hub: Hub, fleet: Fleet, outcome: Outcome) -> None:
    """Wait until the rollout is done, and runs everywhere.

    Raises:
        ConflictError: it ended otherwise.
    """
    rollouts, store = hub.rollouts(TENANT), SqlRollouts(hub.database, TENANT)

    def look() -> tuple[bool, object]:
        rollout, states = rollouts.get(ROLLOUT), standing(store, ROLLOUT)
        outcome.running = min(states[DeviceState.RUNNING], fleet.states()[DeviceState.RUNNING.value])
        done = rollout.phase is Phase.DONE and outcome.running == site.devices
        if rollout.phase not in {Phase.WAVE, Phase.DONE}:
            raise ConflictError(f"the rollout ended: {rollout.why}", field="rollout", value=rollout.phase.value)
        return done, f"{rollout.phase.value} {rollout.wave + 1}, {_words(states)}"

    outcome.done_s = wait(site, "rollout", look)


def roll_back(site: Site, hub: Hub, fleet: Fleet, outcome: Outcome) -> None:
    """Roll back, and wait until all are back."""
    store = SqlRollouts(hub.database, TENANT)
    hub.rollouts(TENANT).roll_back(ROLLOUT, "simulation", "simulated")

    def look() -> tuple[bool, object]:
        states = standing(store, ROLLOUT)
        outcome.returned = min(states[DeviceState.ROLLED_BACK], fleet.states()[DeviceState.ROLLED_BACK.value])
        return outcome.returned == site.devices, _words(states)

    outcome.returned_s = wait(site, "rollback", look)


def _words(states: Counter[DeviceState]) -> str:
    return ", ".join(f"{count} {state.value}" for state, count in sorted(states.items()))


def settle(site: Site, hub: Hub, fleet: Fleet, outcome: Outcome) -> None:
    """Let everything that waits arrive, and compare it."""
    fleet.say("quiet")
    wait(
        site,
        "devices with nothing left to tell",
        lambda: (fleet.number("drained") == site.devices, fleet.number("drained")),
    )
    fleet.end()
    compare(hub, site.folder / "devices" / "told.jsonl", outcome)


def compare(hub: Hub, told: Path, outcome: Outcome) -> None:
    """Compare what devices wanted to tell with what the hub has.

    Raises:
        ConflictError: the devices did not write down all of it.
    """
    if not told.is_file():
        raise ConflictError("the devices did not end in time", field="simulate", remedy=f"see {told.parent}")
    rows = [json.loads(line) for line in told.read_text().splitlines()]
    keys = {(row["device"], row["boot"], row["sequence"]) for row in rows}
    metrics = sum(row["kind"].startswith("metrics") for row in rows)
    lineage = sum(row["kind"] == "lineage" for row in rows)
    with hub.database.read() as connection:
        found = tally(connection, TENANT)
    outcome.told = len(rows)
    outcome.lost = len(keys - found.keys) + max(0, metrics - found.metrics) + max(0, lineage - found.lineage)
    outcome.twice = len(rows) - len(keys) + max(0, found.metrics - metrics) + max(0, found.lineage - lineage)


def report(outcome: Outcome) -> str:
    """Return the outcome for people."""
    facts = asdict(outcome)
    width = max(map(len, facts))
    return "\n".join(f"{name:{width}}  {value:.1f}" if isinstance(value, float) else f"{name:{width}}  {value}"
                     for name, value in facts.items())  # fmt: skip
