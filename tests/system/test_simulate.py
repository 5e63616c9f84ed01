"""Fleets of simulated devices against real brokers and hubs, calm and in every kind of trouble."""

import json
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from acclimate_hub import first_release
from acclimate_hub.hub import Hub
from acclimate_hub.one_machine import TENANT, Fleet, Part, Site, mosquitto, prepared, serving
from acclimate_hub.rollout import Phase, RolloutPlan, Wave
from acclimate_hub.simulate import PLAN, ROLLOUT, Outcome, begin, join, roll_back, roll_out, settle, wait
from acclimate_hub.store import tables
from acclimate_hub.store.rollouts import SqlRollouts
from acclimate_shared.errors import LinkError
from acclimate_shared.waves import Stage
from acclimate_tools.author.cli import main as author
from tests.device.sync.proxy import proxy
from tests.hub.servers import Cluster, cluster, free_port, program
from tests.results import FOLDER, Record, recording
from tests.system.trouble import Fault, Trouble, killed, swallowed

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
MOST_MIB = 250.0
EVENTS = 20_000


@pytest.fixture(scope="module")
def simulated_record() -> Iterator[Record]:
    yield from recording(FOLDER / "simulate.json")


@pytest.fixture(scope="module")
def faults_record() -> Iterator[Record]:
    yield from recording(FOLDER / "faults.json")


# -- calm ------------------------------------------------------------------------------------------------------------


def all_is_well(outcome: Outcome) -> None:
    assert outcome.running == outcome.returned == outcome.devices
    assert (outcome.lost, outcome.twice) == (0, 0)
    assert outcome.told > 10 * outcome.devices
    assert 0.0 < outcome.hub_peak_mib <= MOST_MIB
    assert outcome.returned_s <= 60.0


@pytest.mark.long
@pytest.mark.parametrize("devices", [300, 2_000])
def test_a_fleet_joins_follows_a_rollout_and_its_rollback(
    tmp_path: Path, simulated_record: Record, devices: int
) -> None:
    program("mosquitto")
    ports = ["--port", str(free_port()), "--broker-port", str(free_port())]
    words = ["simulate", "--devices", str(devices), "--folder", str(tmp_path / "site"), "--json", *ports]
    command = [sys.executable, "-m", "acclimate_hub.cli", *words]
    done = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=False, timeout=3_600)
    found: dict[str, Any] = json.loads(done.stdout)
    simulated_record("simulate", f"{devices} devices", found)
    all_is_well(Outcome(**found))
    assert done.returncode == 0


# -- trouble ---------------------------------------------------------------------------------------------------------


def quick(**changes: object) -> RolloutPlan:
    """Return a plan for devices that live fast."""
    waves = (Wave(percent=100.0, stage=Stage.SHADOW), Wave(percent=50.0), Wave(percent=100.0))
    return msgspec.structs.replace(PLAN, waves=waves, max_blocks=1_000, warmup_labels=5, **changes)


def in_process(module: str, words: Any) -> None:
    """Run a command of the author here, where it starts at once."""
    assert module == "acclimate_tools.author.cli"
    done = CliRunner().invoke(author, list(words))
    assert done.exit_code == 0, done.output


def events(hub: Hub) -> int:
    with hub.database.read() as rows:
        return int(rows.execute(select(func.count()).select_from(tables.events)).scalar_one())


def life(hub: Hub) -> int:
    """Return a number that grows while devices are heard; -1 while the database is away."""
    try:
        return events(hub)
    except LinkError:
        return -1


def transitions_are_whole(hub: Hub) -> None:
    store = SqlRollouts(hub.database, TENANT)
    history = list(store.transitions(ROLLOUT))
    assert [t.version for t in history] == sorted({t.version for t in history})
    assert all(one.after is two.before for one, two in pairwise(history))
    assert [t.action for t in history if t.action != "advance"] == ["create", "approve", "start", "roll back"]
    assert sum(t.action == "advance" for t in history) == 3
    assert history[-1].after is hub.rollouts(TENANT).get(ROLLOUT).phase is Phase.ROLLED_BACK


def stopped(part: Part) -> Fault:
    """Return the fault of a part that somebody stops and starts again."""

    def fault(wait: Any) -> None:
        part.end()
        wait(0.2)
        part.start()

    return fault


@dataclass(frozen=True)
class Course:
    """What a fleet goes through: a rollout, faults with calm between them, and how many events at least."""

    plan: RolloutPlan
    seed: int
    calm_s: float
    rounds: int = 0
    least: int = 0
    database: Cluster | None = None
    kill_hub: bool = True


def troubled(site: Site, course: Course) -> tuple[Outcome, Counter[str]]:
    """Let a fleet join, follow a rollout and its rollback in trouble; compare what was told with what is there."""
    with ExitStack() as ends:
        hub = prepared(site)
        ends.callback(hub.close)
        broker = ends.enter_context(mosquitto(site, program("mosquitto")))
        listed = first_release.released(hub, TENANT, site.folder, "simulation")
        served = ends.enter_context(serving(site))
        between = ends.enter_context(proxy(site.broker_port))
        fleet = ends.enter_context(Fleet(replace(site, device_port=between.port), hub))
        faults: dict[str, Fault] = {
            "agents killed": killed(fleet, 1.0),
            "broker killed": killed(broker, 1.0),
            "connections cut": lambda _: between.cut(),
            "connections swallowed": swallowed(between, 2.0),
            "hub killed": killed(served, 1.0) if course.kill_hub else stopped(served),
        }
        if course.database:
            faults["database killed"] = killed(course.database, 1.0)
        outcome = Outcome(devices=site.devices, broker="mosquitto")
        join(site, fleet, outcome)
        with Trouble(faults, course.seed, course.calm_s, partial(life, hub), course.rounds) as trouble:
            begin(site, hub, course.plan, listed.digest)
            roll_out(site, hub, fleet, outcome)
            roll_back(site, hub, fleet, outcome)

            def enough() -> tuple[bool, object]:
                count = events(hub)
                return count >= course.least and all(trouble.counts[name] for name in faults), count

            wait(site, "events", enough)
        assert trouble.failed is None
        settle(site, hub, fleet, outcome)
        transitions_are_whole(hub)
    return outcome, trouble.counts


def site_in(folder: Path, devices: int, pace: Mapping[str, float], database: str = "") -> Site:
    folder.mkdir()
    return Site(
        folder=folder,
        port=free_port(),
        broker_port=free_port(),
        devices=devices,
        say=logging.getLogger(__name__).info,
        database=database,
        pace={"disorder": 0.2, "answer_s": 3.0, **pace},
    )


def nothing_is_lost_or_doubled(outcome: Outcome) -> None:
    assert outcome.running == outcome.returned == outcome.devices
    assert (outcome.lost, outcome.twice) == (0, 0)


@pytest.mark.slow
def test_a_small_fleet_in_trouble_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_release, "command", in_process)
    pace = {"labels_per_s": 20.0, "bucket_s": 0.5, "commit_s": 0.5, "turn_s": 0.3, "follow_s": 0.3, "again_s": 1.0}
    pace["fetch_again_s"] = 1.0
    plan = quick(block_s=1.0, watermark_s=0.5, min_blocks=2, probation_s=1.0)
    course = Course(plan=plan, seed=1, calm_s=1.0, rounds=1, kill_hub=False)
    outcome, counts = troubled(site_in(tmp_path / "site", 6, pace), course)
    nothing_is_lost_or_doubled(outcome)
    assert outcome.told > 200
    assert min(counts.values()) >= 1


@pytest.mark.long
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_fleet_in_trouble_loses_nothing_of_20_000_events(tmp_path: Path, faults_record: Record, kind: str) -> None:
    pace = {"labels_per_s": 10.0, "bucket_s": 1.0, "commit_s": 1.0, "turn_s": 1.0, "follow_s": 1.0, "again_s": 5.0}
    pace["fetch_again_s"] = 5.0
    plan = quick(block_s=5.0, watermark_s=5.0, probation_s=8.0)
    with ExitStack() as ends:
        database = ends.enter_context(cluster()) if kind == "postgresql" else None
        url = database.url.format("postgres") if database else ""
        course = Course(plan=plan, seed=7, calm_s=20.0, rounds=3, least=EVENTS, database=database)
        outcome, counts = troubled(site_in(tmp_path / "site", 24, pace, url), course)
    facts = {name: value for name, value in asdict(outcome).items() if name != "hub_peak_mib"}  # of which of its lives?
    faults_record("fleet in trouble", kind, {**facts, "faults": dict(sorted(counts.items()))})
    nothing_is_lost_or_doubled(outcome)
    assert outcome.told >= EVENTS
    assert min(counts.values()) >= 3
