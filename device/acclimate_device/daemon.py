"""``acclimate run``: predict and learn live until stopped, or until the source ends.

Predictions are made in this thread, learning goes on in the agent's worker. Ctrl-C and SIGTERM end the run after the
row at hand; the agent then learns what waits and commits.
"""

import json
import signal
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from acclimate_device.agent import Agent
from acclimate_device.feeds import Feed, host_feed
from acclimate_device.labelling import Known, Labelling
from acclimate_device.learning import Learning, living
from acclimate_device.river_words import Prediction
from acclimate_device.run_words import contest_lines
from acclimate_device.service import attend
from acclimate_device.sources.event import Event
from acclimate_device.sync.start import linked
from acclimate_device.tally import Tally
from acclimate_shared.errors import AcclimateError, InputError, LabelError

REMEMBERED = 10_000  # predictions of this run that the live table can still compare with their labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Learning):
    """How the daemon runs; ``period_s`` in seconds, ``events`` None for ever."""

    period_s: float = 0.5
    events: int | None = None
    as_json: bool = False


def run(settings: Settings, feed: Feed | None = None) -> Feed:
    """Run until stopped, until the source ends, or for ``settings.events`` rows; return what was learned from.

    Args:
        settings: of agent and run.
        feed: of events; None for this machine's telemetry.

    Raises:
        StateError: the state cannot be used.
        UsageError: an unknown learner or challenger, or a plan or triggers that cannot be used.
    """
    feed = feed or host_feed(settings.period_s)
    tally = Tally(settings.task)
    with living(settings, feed.columns) as agent, linked(agent), _stoppable() as stopped:
        loop = _Loop(agent, feed, settings, tally).rows(stopped)
        if attend(agent, loop, period_s=settings.period_s):
            return feed
        if settings.as_json:
            for row in loop:
                if row:
                    sys.stdout.write(json.dumps(row) + "\n")
                    sys.stdout.flush()
            return feed
        console = Console(stderr=not sys.stdout.isatty())
        with Live(_table(agent, feed, tally, {}), console=console, refresh_per_second=2) as live:
            latest: dict[str, object] = {}
            for row in loop:
                latest = row or latest
                live.update(_table(agent, feed, tally, latest))
    return feed


class _Loop:
    """Predicts each row and gives the labels that are known."""

    def __init__(self, agent: Agent, feed: Feed, settings: Settings, tally: Tally) -> None:
        self._agent, self._feed, self._settings, self._tally = agent, feed, settings, tally
        self._labelling = Labelling(agent, feed.rule)
        self._made: OrderedDict[str, tuple[int, Prediction, str | float | None]] = OrderedDict()

    def rows(self, stopped: list[bool]) -> Iterator[dict[str, object] | None]:
        """Yield what happened to each row, None while nothing comes."""
        self._feed.clock.not_before(self._agent.newest_s)
        self._give(self._labelling.resumed)
        count = 0
        for event in self._feed.events(lambda: bool(stopped)):
            told = self._row(event) if event else None
            if told:
                self._feed.say(told)
            if self._settings.triggers:
                self._agent.tick()
            count += event is not None
            yield told
            if stopped or count == self._settings.events:
                return

    def _row(self, event: Event) -> dict[str, object] | None:
        """Predict one row; None if it cannot be used."""
        at_s = self._feed.clock() if event.time_s is None else event.time_s
        try:
            answer = self._agent.predict(event.values, time_s=at_s)
        except InputError as exc:
            exc.row = event.row
            self._feed.rejects.add(exc)
            return None
        self._made[answer.id] = event.row, answer, self._tally.last
        if len(self._made) > REMEMBERED:
            self._made.popitem(last=False)
        matured = self._give(self._labelling.after(answer.id, event, at_s))
        return {
            "row": event.row,
            "predicted": answer.label if answer.value is None else answer.value,
            "probability": max(answer.probabilities.values(), default=None),
            "version": answer.version,
            "matured": matured,
        }

    def _give(self, known: Known) -> list[list[object]]:
        """Give labels; return row and label of each that was taken, the row None for one of an earlier run."""
        taken: list[list[object]] = []
        for name, label in known:
            row, answer, repeated = self._made.pop(name, (None, None, None))
            try:
                self._agent.feedback(name, label)
            except (LabelError, InputError) as exc:
                self._reject(exc, row)
                continue
            if answer is not None:
                self._tally.add(answer.label if answer.value is None else answer.value, repeated, label)
            self._tally.came(label)
            taken.append([row, label])
        return taken

    def _reject(self, exc: AcclimateError, row: int | None) -> None:
        exc.row = row
        self._feed.rejects.add(exc)


def _table(agent: Agent, feed: Feed, tally: Tally, latest: dict[str, object]) -> Table:
    status = agent.status()
    table = Table(title=f"acclimate: {feed.title}", show_header=False)
    if latest:
        table.add_row("prediction", f"{latest['predicted']}  (row {latest['row']}, version {latest['version']})")
    table.add_row("labels learned", f"{status['learned']:,}  (waiting: {status['waiting']})")
    if feed.rejects.count:
        table.add_row(
            "not used", f"{feed.rejects.count:,} rows or labels; the first: {feed.rejects.first[0]['reason']}"
        )
    for name, value in (*tally.lines(), *contest_lines(status)):
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
