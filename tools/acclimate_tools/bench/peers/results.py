"""From cells that have run to the document that tables, page and words are made of.

A peer that did not finish within its budget is compared with Acclimate on the rows that both did, and each of its
scores stands beside that of Acclimate on exactly these rows.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from acclimate_tools.bench.peers.catalogue import ENTRIES, FAMILIES, Entry
from acclimate_tools.bench.peers.cells import Ran, Stream
from acclimate_tools.bench.peers.recording import Array
from acclimate_tools.bench.peers.scores import Judge
from acclimate_tools.bench.peers.venvs import Environment

FORMAT = 1
OURS_NAME = ENTRIES[0].name  # what others are compared with
POINTS = 24  # of a curve
LEAST_SCORED = 100  # rows; a comparison of fewer is none


def document(
    facts: Mapping[str, Any],
    settings: Mapping[str, Any],
    environments: Mapping[str, Environment],
    absent: Mapping[str, str],
    ran: Sequence[Ran],
) -> dict[str, Any]:
    """Return the result of a run as JSON values.

    Args:
        facts: of the commit and the machine.
        settings: of the run.
        environments: of the families that were measured.
        absent: why the others were not.
        ran: the cells.
    """
    streams = list({one.cell.stream.name: one.cell.stream for one in ran}.values())
    delays = sorted({one.cell.delay for one in ran})
    groups = [
        _group(stream, delay, [one for one in ran if one.cell.stream.name == stream.name and one.cell.delay == delay])
        for stream in streams
        for delay in delays
    ]
    return {
        "format": FORMAT,
        **facts,
        "settings": dict(settings),
        "families": {
            name: _family(name, environments, absent) for name in FAMILIES if name in {*environments, *absent}
        },
        "groups": groups,
    }


def _family(name: str, environments: Mapping[str, Environment], absent: Mapping[str, str]) -> dict[str, Any]:
    if name in absent:
        return {"absent": absent[name]}
    found = environments[name]
    return {
        "absent": None,
        "version": found.versions.get(FAMILIES[name].shown),
        "versions": found.versions,
        "install_bytes": found.install_bytes,
        "runtime_bytes": found.runtime_bytes,
    }


def _group(stream: Stream, delay: int, ran: Sequence[Ran]) -> dict[str, Any]:
    """Return one stream at one delay: its baselines, and a row for each peer."""
    facts = stream.recording.facts
    judge = Judge(facts.task, stream.recording.targets(), delay)
    ours = next((one for one in ran if one.cell.entry.name == OURS_NAME and not one.failed), None)
    baselines = {"last": judge.last, "usual": judge.usual}
    rows = [_row(judge, one, ours) for one in ran]
    drawn = {row["peer"] for row in _best_of_families(rows)}
    for row, one in zip(rows, ran, strict=True):
        row["curve"] = curve(judge, one.answers) if row["peer"] in drawn else None
    return {
        "stream": stream.name,
        "task": facts.task,
        "delay": delay,
        "rows": facts.rows,
        "columns": len(facts.numbers) + len(facts.categories),
        "classes": len(facts.classes),
        "baselines": {name: judge(answers, facts.rows) for name, answers in baselines.items()},
        "baseline_curve": curve(judge, judge.last),
        "spans": [[int(part[0]) + 1, int(part[-1]) + 1] for part in parts(facts.rows)],
        "peers": rows,
    }


def _row(judge: Judge, one: Ran, ours: Ran | None) -> dict[str, Any]:
    entry: Entry = one.cell.entry
    row: dict[str, Any] = {"peer": entry.name, "title": entry.title(judge.task), "family": entry.family}
    if one.failed:
        return {**row, "failed": one.failed, "rows": 0}
    cost = dict(one.cost)
    row |= {"failed": None, "rows": cost["rows"], "complete": cost["complete"], **judge(one.answers, cost["rows"])}
    row |= {
        "events_per_cpu_s": cost["rows"] / max(cost["loop_cpu_s"], 1e-9),
        "cpu_s": cost["cpu_s"],
        "first_answer_s": cost["first_answer_s"],
        "first_answer_cpu_s": cost["first_answer_cpu_s"],
        "peak_rss_bytes": cost["peak_rss_bytes"],
        "state_bytes": cost["state_bytes"],
    }
    if ours is not None and one is not ours:
        scored = min(len(one.answers), len(ours.answers)) - 1 - judge.delay
        row["compared"] = _compared(judge, one.answers, ours.answers) if scored >= LEAST_SCORED else None
    return row


def _compared(judge: Judge, theirs: Array, ours: Array) -> dict[str, Any]:
    """Return both sides' scores on the rows that both did, and twice the standard error of the main difference.

    The standard error takes rows for independent, which a stream's rows are not: it is a lower bound of the noise.
    """
    rows = min(len(theirs), len(ours))
    part = slice(1 + judge.delay, rows)
    losses = [_losses(judge, answers, part) for answers in (theirs, ours)]
    difference = losses[0] - losses[1]
    noise = 2 * float(difference.std()) / math.sqrt(len(difference)) if len(difference) else None
    return {"rows": rows, "peer": judge(theirs, rows), "ours": judge(ours, rows), "noise": noise}


def _losses(judge: Judge, answers: Array, part: slice) -> Array:
    said = np.where(np.isfinite(answers[part]), answers[part], judge.usual[part])
    y = judge.targets[part]
    losses: Array = np.abs(said - y) if judge.task == "regression" else (said != y).astype(float)
    return losses


def parts(rows: int) -> list[Array]:
    """Return the row indices of a curve's points."""
    return [part for part in np.array_split(np.arange(rows), min(POINTS, rows)) if len(part)]


def curve(judge: Judge, answers: Array) -> list[float | None]:
    """Return the share of right answers (or the mean absolute error) in each part of the stream that was done."""
    found: list[float | None] = []
    for part in parts(len(judge.targets)):
        scored = part[(part > judge.delay) & (part < len(answers))]
        if len(scored) < len(part) / 2:
            found.append(None)
            continue
        losses = _losses(judge, answers, slice(int(scored[0]), int(scored[-1]) + 1))
        mean = float(losses.mean())
        found.append(round(mean if judge.task == "regression" else 1.0 - mean, 5))
    return found


def lead(row: Mapping[str, Any]) -> float | None:
    """Return how much better than Acclimate a peer was on the same rows: a share, or a part of Acclimate's error."""
    compared = row.get("compared")
    if not compared:
        return None
    theirs, ours = compared["peer"], compared["ours"]
    if "accuracy" in theirs:
        return None if theirs["accuracy"] is None else float(theirs["accuracy"] - ours["accuracy"])
    return None if not ours["mae"] or theirs["mae"] is None else float(1.0 - theirs["mae"] / ours["mae"])


def _best_of_families(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return Acclimate, and of every other family the peer that came nearest to it or went furthest beyond."""
    known = [(gain, at) for at, row in enumerate(rows) if (gain := lead(row)) is not None]
    best = {rows[at]["family"]: rows[at] for _, at in sorted(known)}
    return [row for row in rows if row["peer"] == OURS_NAME or best.get(row["family"]) is row]
