"""``acclimate run``: predict and learn live from this machine's telemetry until stopped.

Predictions are made in this thread, learning goes on in the agent's worker. Ctrl-C and SIGTERM end the run after the
row at hand; the agent then learns what waits and commits.
"""

import json
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from acclimate_device.admission.policy import read_policy
from acclimate_device.agent import Agent
from acclimate_device.durability import Durability
from acclimate_device.plans import read_plan
from acclimate_device.river_words import Prediction
from acclimate_device.rules import COMMISSION, Policy, Rules
from acclimate_device.run_words import contest_lines
from acclimate_device.schema import Column
from acclimate_device.service import attend
from acclimate_device.sources.host import HostSource, Matured, take_snapshot
from acclimate_device.sync.start import linked
from acclimate_device.triggers.files import read_triggers
from acclimate_device.variants import read_variants

RECENT = 200  # rows whose hits the live table shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the daemon runs; ``period_s`` in seconds, ``events`` None for ever."""

    state: Path | None = None
    period_s: float = 0.5
    events: int | None = None
    as_json: bool = False
    learners: tuple[str, ...] | None = None
    micro_batch: int = 512
    seed: int = 0
    policy: Policy = "continual"
    commission: int = COMMISSION
    challengers: tuple[str, ...] | None = None
    plan: Path | None = None
    triggers: str | None = None
    durability: Durability = field(default_factory=Durability)
    scratch: int = 0
    variants: Path | None = None
    admission: Path | None = None
    outside: tuple[Path, ...] = ()


@dataclass(slots=True)
class _Tally:
    """What was right lately, beside what repeating the last label would have got."""

    hits: deque[bool]
    repeats: deque[bool]
    last: str | None = None
    labels: int = 0

    def add(self, predicted: str | None, repeated: str | None, label: str) -> None:
        self.labels += 1
        self.hits.append(predicted == label)
        self.repeats.append(repeated == label)


def columns_of_host() -> tuple[Column, ...]:
    """Return the columns of this machine's telemetry."""
    names = [*("cpu_user", "cpu_system", "cpu_iowait", "cpu_use", "cpu_max_core")]
    snapshot = take_snapshot(0.0)
    names += [*snapshot.levels, *snapshot.counters]
    return tuple(Column(name=name, kind="number") for name in names)


def run_host(settings: Settings, source: HostSource | None = None) -> None:
    """Run until stopped, or for ``settings.events`` rows.

    Raises:
        StateError: the state cannot be used.
        UsageError: an unknown learner or challenger, or a plan or triggers that cannot be used.
    """
    plan = read_plan(settings.plan, "classification") if settings.plan else None
    source = source or HostSource(clock=time.monotonic, sleep=time.sleep, period_s=settings.period_s)
    agent = Agent(
        task="classification",
        columns=columns_of_host(),
        learners=settings.learners,
        seed=settings.seed,
        micro_batch=settings.micro_batch,
        state=settings.state,
        background=True,
        rules=Rules(
            policy=settings.policy,
            challengers=settings.challengers,
            plan=plan,
            commission=settings.commission,
            scratch=settings.scratch,
            variants=read_variants(settings.variants, "classification") if settings.variants else (),
        ),
        triggers=read_triggers(settings.triggers) if settings.triggers else None,
        durability=settings.durability,
        outside=settings.outside,
        admission=read_policy(settings.admission) if settings.admission else None,
    )
    tally = _Tally(deque(maxlen=RECENT), deque(maxlen=RECENT))
    with agent, linked(agent), _stoppable() as stopped:
        if attend(agent, _loop(agent, source, settings, tally, stopped), period_s=settings.period_s):
            return
        if settings.as_json:
            for line in _loop(agent, source, settings, tally, stopped):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
            return
        console = Console(stderr=not sys.stdout.isatty())
        with Live(_table(agent, tally, None), console=console, refresh_per_second=2) as live:
            for line in _loop(agent, source, settings, tally, stopped):
                live.update(_table(agent, tally, json.loads(line)))


def _loop(agent: Agent, source: HostSource, settings: Settings, tally: _Tally, stopped: list[bool]) -> Iterator[str]:
    """Predict each row, give the labels that matured, yield one JSON line a row."""
    made: dict[int, tuple[Prediction, str | None]] = {}
    for event, matured in source:
        answer = agent.predict(event.values)
        made[event.row] = (answer, tally.last)
        for item in matured:
            _give(agent, tally, made, item)
        if settings.triggers:
            agent.tick()
        yield json.dumps(
            {
                "row": event.row,
                "predicted": answer.label,
                "probability": max(answer.probabilities.values(), default=None),
                "version": answer.version,
                "matured": [[item.row, item.label] for item in matured],
            }
        )
        if stopped or (settings.events is not None and event.row >= settings.events):
            return


def _give(agent: Agent, tally: _Tally, made: dict[int, tuple[Prediction, str | None]], item: Matured) -> None:
    answer, repeated = made.pop(item.row, (None, None))
    if answer is not None:
        agent.feedback(answer.id, item.label)
        tally.add(answer.label, repeated, item.label)
    tally.last = item.label


def _table(agent: Agent, tally: _Tally, latest: dict[str, object] | None) -> Table:
    status = agent.status()
    table = Table(title="acclimate: how busy will this machine be over the next 5 seconds?", show_header=False)
    if latest:
        table.add_row("prediction", f"{latest['predicted']}  (row {latest['row']}, version {latest['version']})")
    table.add_row("labels learned", f"{status['learned']:,}  (waiting: {status['waiting']})")
    if tally.hits:
        table.add_row(f"right, last {len(tally.hits)}", f"{100 * sum(tally.hits) / len(tally.hits):.1f} %")
        table.add_row("repeating the last label", f"{100 * sum(tally.repeats) / len(tally.repeats):.1f} %")
    for name, value in contest_lines(status):
        table.add_row(name, value)
    weights = sorted(status["weights"].items(), key=lambda pair: -pair[1])
    table.add_row("listens most to", ", ".join(f"{name} {100 * weight:.0f} %" for name, weight in weights[:3]))
    return table


@contextmanager
def _stoppable() -> Iterator[list[bool]]:
    """Collect SIGINT and SIGTERM in a list instead of dying of them."""
    stopped: list[bool] = []

    def note(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stopped.append(True)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
