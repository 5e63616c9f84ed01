"""``acclimate watch``: the contest of an agent, live from its socket, or as its state at rest left it.

The agent is only asked for its status. Rates are differences between two looks, so the first look has none.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from acclimate_device.control import reopen
from acclimate_device.local.bridge import LOSSES
from acclimate_device.local.client import Client, LocalError
from acclimate_device.outputs import strict
from acclimate_device.run_words import contest_lines
from acclimate_shared.errors import LinkError

Status = Mapping[str, Any]
Look = Callable[[], Status]
PATIENCE_S = 10.0
RATED = ("predictions", "learned")
MOST_HEARD = 3  # members of the committee that are named


def of_socket(place: Path) -> Look:
    """Return what asks an agent that runs; a connection a look, so that a watcher keeps none from others.

    What is returned raises LinkError: nobody answers as an agent does.
    """

    def look() -> Status:
        try:
            with Client(place, timeout_s=PATIENCE_S) as client:
                return client.status()
        except (OSError, LocalError, ValueError, KeyError) as exc:
            remedy = "start acclimate serve, or name its socket"
            raise LinkError("no agent answers", field="socket", value=str(place), remedy=remedy) from exc

    return look


def of_state(folder: Path) -> Look:
    """Return what reads a state at rest.

    What is returned raises UsageError: there is no agent's state; StateError: it is in use or damaged.
    """

    def look() -> Status:
        agent = reopen(folder)
        try:
            found: Status = strict(agent.status())
            return found
        finally:
            agent.release()

    return look


def rates(before: Status | None, now: Status, passed_s: float) -> dict[str, float]:
    """Return predictions and labels a second between two looks; empty at the first, and when the agent began anew.

    Args:
        before: the status of the look before, if any.
        now: the status of this look.
        passed_s: seconds between them.
    """
    if before is None or passed_s <= 0 or any(now[name] < before[name] for name in RATED):
        return {}
    return {name: (now[name] - before[name]) / passed_s for name in RATED}


def lines(status: Status, rate: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return the (name, value) lines of a look.

    Args:
        status: of the agent, under ``local`` that of its socket if it has one.
        rate: from ``rates``.
    """
    local = status.get("local") or {}
    found = [
        ("version", f"{status['version']}  ({status['task']})"),
        ("predictions", f"{status['predictions']:,}{_rate(rate, 'predictions')}"),
        ("labels learned", f"{status['learned']:,}{_rate(rate, 'learned')}  (waiting: {status['waiting']:,})"),
        *_scores(local.get("recent") or {}),
        *contest_lines(status),
    ]
    heard = sorted(status["weights"].items(), key=lambda pair: -pair[1])[:MOST_HEARD]
    found.append(("listens most to", ", ".join(f"{name} {100 * weight:.0f} %" for name, weight in heard)))
    if "link" in local:
        found.append(("link to the hub", local["link"]))
    if "connections" in local:
        turned = f", {local['turned_away']:,} turned away" if local["turned_away"] else ""
        found.append(("socket", f"{local['connections']} open, {local['refused']:,} requests refused{turned}"))
    if "broker" in local:
        found.append(("topics", _topics(local["broker"])))
    return found


def _topics(broker: Mapping[str, Any]) -> str:
    """Return how the topics of a broker on this device fare."""
    lost = sum(broker[name] for name in LOSSES)
    told = f", {lost:,} refused or lost because too much came" if lost else ""
    return f"broker {'up' if broker['connected'] else 'down'}, {broker['requests']:,} requests{told}"


def _rate(rate: Mapping[str, float], name: str) -> str:
    return f"  ({rate[name]:,.1f} a second)" if name in rate else ""


def _scores(recent: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how good the latest answers were, beside what repeating the last label would have got."""
    count, last = recent.get("labels"), recent.get("last_label")
    if not count or last is None:
        return []
    if recent.get("mae") is not None:
        return [(f"mean error, last {count}", f"{recent['mae']:.4g}  (repeating the last label: {last:.4g})")]
    shares = f"{100 * (1 - recent['wrong']):.1f} %  (repeating the last label: {100 * (1 - last):.1f} %)"
    return [(f"right, last {count}", shares)]


def table(status: Status, rate: Mapping[str, float]) -> Table:
    """Return a look as a table."""
    found = Table(title="acclimate", show_header=False)
    for name, value in lines(status, rate):
        found.add_row(Text(name), Text(value))  # names of learners and labels are no markup
    return found


def show(
    look: Look,
    every_s: float,
    *,
    once: bool,
    console: Console | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show look after look until Ctrl-C.

    Args:
        look: what is watched.
        every_s: seconds between two looks.
        once: one look is enough.
        console: where it is shown; None for standard output.
        clock: monotonic seconds.
        sleep: waits seconds.

    Raises:
        LinkError: the agent does not answer, or does so no more.
        UsageError, StateError: see ``of_state``.
    """
    console = console or Console()
    before, before_s = look(), clock()
    if once:
        console.print(table(before, {}))
        return
    with Live(table(before, {}), console=console, auto_refresh=False) as live:
        try:
            while True:
                sleep(every_s)
                now, now_s = look(), clock()
                live.update(table(now, rates(before, now, now_s - before_s)), refresh=True)
                before, before_s = now, now_s
        except KeyboardInterrupt:
            return
