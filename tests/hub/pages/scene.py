"""A hub with a lively fleet: devices that report, a contest, drift, releases with ancestors, a rollout."""

import math
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.applications import Starlette
from starlette.testclient import TestClient

from acclimate_hub import pages
from acclimate_hub.api.app import create
from acclimate_hub.hub import Hub
from acclimate_hub.identity import api_tokens
from acclimate_hub.ingest import Arrived, Ingest, read
from acclimate_hub.limits import Retention
from acclimate_hub.pages.views import ServiceDesk
from acclimate_hub.rollout import MemoryStore, Rollouts, Wave
from acclimate_hub.store import audit, devices, lineage, releases, tenants
from acclimate_hub.store.database import Database
from acclimate_shared.constraints import Constraints, Feature, edges_of
from acclimate_shared.messages import up
from acclimate_shared.messages.envelope import encode
from acclimate_shared.messages.topics import Kind, build
from acclimate_shared.messages.topics import up as up_topic
from acclimate_shared.release import Release
from acclimate_shared.rollout_reports import BlockReport
from acclimate_shared.waves import Stage
from tests.hub.conftest import NOW
from tests.hub.rollout.fleet import NEW, OLD, Device, small_plan
from tests.shared.messages.samples import D, wrapped

OLDER, BRANCH = "a" * 64, "b" * 64
ROLLOUT = "spring-base"
COHORTS = ("default", "shop")
LAST = up.Metrics(start_s=0.0, end_s=60.0, schema=D)


def digest(text: str) -> str:
    return text.encode().hex().ljust(64, "0")[:64]


class Scene:
    """A hub, its application, tokens of every scope, and functions that let something happen."""

    def __init__(self, database: Database, tokens: dict[str, str] | None = None) -> None:
        self.now_s = NOW
        self.hub = Hub(database, b"secret", lambda: self.now_s)
        self.store = MemoryStore()
        self.rollouts = Rollouts(self.store, lambda: self.now_s)
        empty = pages.in_memory(lambda: self.now_s)
        self.app = create(
            self.hub,
            least_devices=3,
            desks=lambda tenant: ServiceDesk(self.rollouts, self.store) if tenant == "main" else empty(tenant),
        )
        self.sequence = 0 if tokens is None else 100_000
        self.ingest = Ingest(self.hub, Retention())
        self.fleet: dict[str, Device] = {}
        self.tokens: dict[str, str] = {} if tokens is None else tokens
        if tokens is None:
            self._found()

    def _found(self) -> None:
        for tenant in ("main", "other"):
            self.hub.create_tenant(tenant, "cli")
            for scope in ("viewer", "operator", "releaser", "admin"):
                self.tokens[f"{tenant}:{scope}"] = self.token(tenant, scope)

    def token(self, tenant: str, scope: str, life_s: float = 1e6) -> str:
        with self.hub.database.write() as connection:
            wish = api_tokens.Wish(name=f"{scope}-of-{tenant}", scope=scope, expires_s=self.now_s + life_s)
            return api_tokens.create(connection, tenant, wish, "cli", self.now_s).text

    def client(self, *, https: bool = False, app: Starlette | None = None) -> TestClient:
        url = f"http{'s' if https else ''}://testserver/"
        return TestClient(app or self.app, base_url=url, follow_redirects=False)

    def signed_in(self, scope: str = "operator", tenant: str = "main", *, https: bool = False) -> TestClient:
        client = self.client(https=https)
        answer = sign_in(client, self.tokens[f"{tenant}:{scope}"])
        assert answer.status_code == 303, answer.text
        return client

    # -- devices ------------------------------------------------------------------------------------------------------

    def enrol(self, name: str, cohort: str = "default") -> None:
        with self.hub.database.write() as connection:
            devices.create(connection, "main", name, cohort, self.now_s)

    def hear(self, device: str, *bodies: Any) -> None:
        """Let messages of a device arrive."""
        group = []
        for body in bodies:
            self.sequence += 1
            time_s = body.end_s if isinstance(body, up.Metrics) else self.now_s
            group.append(arrived(device, body, self.sequence, time_s))
        self.ingest.commit(group)

    def settle(self, count: int = 8) -> None:
        """Enrol a fleet that has learned for six hours."""
        with self.hub.database.write() as connection:
            tenants.create_cohort(connection, "main", "shop", 2, self.now_s)
            for at in range(count):
                devices.create(connection, "main", f"gw-{at}", COHORTS[at % 4 == 3], self.now_s - 9e5)
        self.release()
        for at in range(count - 2):
            self.learn(f"gw-{at}", at)
            base = OLD if at % 3 else OLDER
            state = up.State(
                online=at != 2, agent="0.4.0", cohort="default", running=base, version="1.7", head=digest(f"gw-{at}v7"),
                wanted=OLD, differs="" if base == OLD else "waits-for-memory", memory_bytes=48 << 20,
            )  # fmt: skip
            self.hear(f"gw-{at}", state)
        with self.hub.database.write() as connection:
            devices.seen(connection, [f"gw-{count - 2}"], self.now_s - 3e5)

    def release(self) -> None:
        with self.hub.database.write() as connection:
            rows = (
                (OLDER, "forecast", "1.0", ()), (OLD, "forecast", "1.1", (OLDER,)),
                (BRANCH, "forecast-small", "1.0", (OLDER,)), (NEW, "forecast", "2.0", (OLD, BRANCH)),
            )  # fmt: skip
            for at, (name, model, version, parents) in enumerate(rows):
                time_s = self.now_s - 86_400 * (9 - 2 * at)
                manifest = msgspec.json.encode(_release(model, version))
                columns = {"digest": name, "name": model, "version": version, "manifest": manifest}
                releases.add(connection, "main", columns, {}, time_s)
                node = lineage.Node(
                    tenant="main", digest=name, device="", kind="release", version=version, model=name, time_s=time_s
                )
                lineage.add(connection, "main", [(node, parents)])
            for seen, target in enumerate((OLDER, OLD)):
                releases.point_alias(
                    connection, "main", "stable", target, seen=seen, actor="cli", now_s=self.now_s - 86_400 * (6 - seen)
                )
            act = audit.Act(actor="cli", action="alias.point", object="stable", detail={"release": OLD})
            audit.record(connection, "main", act, self.now_s)

    def learn(self, device: str, at: int) -> None:
        """Let a device report seven versions and 24 windows of metrics."""
        kinds = ("start", "commit", "import", "commit", "commit", "promote", "commit")
        records = [
            up.LineageRecord(
                digest=digest(f"{device}v{step}"), kind=kind, version=f"1.{step}", model=D, graph=D, schema=D,  # type: ignore[arg-type]
                parents=(digest(f"{device}v{step - 1}"),) if step > 1 else (),
                bundle=(OLD if at % 3 else OLDER) if kind == "import" else "",
                labels=512 if kind == "commit" else 0, gain=0.013 if kind == "promote" else None,
                time_s=self.now_s - 3600.0 * (8 - step),
            )
            for step, kind in enumerate(kinds, 1)
        ]  # fmt: skip
        windows = [metrics(self.now_s - 900.0 * (23 - window), window, at) for window in range(24)]
        self.hear(device, *records, *windows)

    # -- rollouts -----------------------------------------------------------------------------------------------------

    def draft(self, **plan: object) -> None:
        waves = (
            Wave(percent=100.0, stage=Stage.SHADOW), *(Wave(percent=percent) for percent in (40.0, 70.0, 100.0))
        )  # fmt: skip
        facts = {"digest": NEW, "previous": OLD, "salt": "a", "cohorts": COHORTS}
        self.rollouts.create(ROLLOUT, small_plan(waves=waves, **plan), author="cli", **facts)  # type: ignore[arg-type]

    def start(self, rounds: int = 0) -> None:
        self.draft()
        self.rollouts.approve(ROLLOUT, "api:ann", "the numbers of the trial are good")
        self.rollouts.start(ROLLOUT, "api:ann", "calm week")
        self.fleet = {f"gw-{at}": Device(f"gw-{at}") for at in range(6)}
        for _ in range(rounds):
            self.round()

    def round(self, loss: float = 0.0) -> None:
        """Let every device of the rollout hear, work, measure and report; then let ten seconds pass."""
        for device in self.fleet.values():
            device.hears(self.rollouts.desired(ROLLOUT, "default"))
            device.step()
            self.rollouts.report(device.report(ROLLOUT), "default")
            device.seq += 1
            self.rollouts.measured(
                BlockReport(
                    device=device.name,
                    boot=device.boot,
                    seq=device.seq,
                    rollout=ROLLOUT,
                    stage=device.stage,
                    block=int(self.now_s // 10) - 1,
                    labels=10,
                    gain=-10 * loss,
                )
            )
        self.now_s += 10.0
        for device in self.fleet.values():
            device.passes(10.0)
        self.rollouts.tick(ROLLOUT)


def _release(model: str, version: str) -> Release:
    features = (
        Feature(name="hour", kind="number"),
        Feature(name="load", kind="number", edges=edges_of((0.25, 0.5, 0.75))),
        Feature(name="heat of <b>pump</b>", kind="number", edges=edges_of((40.0,))),
    )
    return Release(
        model=model, version=version, package=D, architecture=D, plan=D, chunks="",
        constraints=Constraints(features=features, memory_mib=16, agent="0.1.0"),
    )  # fmt: skip


def metrics(end_s: float, window: int, at: int) -> up.Metrics:
    """Return what a device measured in a quarter of an hour."""
    means = {
        name: 0.84 + 0.004 * window * rate + 0.01 * math.sin(window + at)
        for name, rate in (("committee", 0.6), ("mlp", 1.0))
    }
    scores = [
        ("committee", "champion", means["committee"]),
        ("mlp", "challenger", means["mlp"]),
        ("no-change", "baseline", 0.79),
    ]
    return up.Metrics(
        start_s=end_s - 900.0,
        end_s=end_s,
        schema=D,
        scores=tuple(
            up.CandidateScore(candidate=name, role=role, measure="accuracy", labels=640, mean=mean)  # type: ignore[arg-type]
            for name, role, mean in scores
        ),
        tests=(
            up.TestState(
                challenger="mlp",
                outcome="running",
                plan=D,
                labels=640 * window,
                log_e=0.16 * window - 0.4,
                threshold=5.3,
                low=-0.004,
                high=0.031,
            ),
            up.TestState(
                challenger="knn",
                outcome="reject",
                plan=D,
                labels=2048,
                log_e=-1.5,
                threshold=6.1,
                low=-0.06,
                high=-0.01,
            ),
        ),
        drift=(
            up.Drift(detector="adwin", signal="loss", looks=640, alarms=1 if window == 23 else 0),
            up.Drift(detector="page-hinkley", signal="inputs", looks=640, alarms=0),
        ),
        features=(
            up.FeatureCounts(feature=1, counts=(200, 180, 90, 30) if window < 23 else (30, 70, 150, 250)),
            up.FeatureCounts(feature=2, counts=(430, 70)),
        ),
        bins=OLD,
        resources=up.Resources(
            predictions=64_000,
            rejects=3,
            latency_p50_s=0.00021,
            latency_p99_s=0.0013,
            memory_bytes=71 << 20,
            disk_bytes=23 << 20,
            outbox_bytes=2048,
        ),
    )


def arrived(device: str, body: Any, sequence: int, time_s: float) -> Arrived:
    kind = Kind.STATE if isinstance(body, up.State) else Kind.UP
    topic = build("main", kind, device=device) if kind is Kind.STATE else up_topic("main", device)
    envelope = wrapped(body, sender=device, sequence=sequence)
    return read(topic, encode(envelope.__class__(**{**_fields(envelope), "time_s": time_s}), kind))


def _fields(envelope: Any) -> dict[str, Any]:
    return {name: getattr(envelope, name) for name in envelope.__struct_fields__}


def token_of(page: str) -> str:
    """Return the token of the first form of a page."""
    return page.partition('name="form" value="')[2].partition('"')[0]


def sign_in(client: TestClient, token: str, **fields: str) -> Any:
    page = client.get("/ui/sign-in")
    return client.post("/ui/sign-in", data={"form": token_of(page.text), "token": token, **fields})


def rollout_url(name: str = ROLLOUT) -> str:
    return f"/ui/rollouts/{quote(name, safe='')}"
