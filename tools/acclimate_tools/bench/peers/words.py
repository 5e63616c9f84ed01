"""What the numbers say, in words: where a peer is better, by how much, and whether that is more than noise.

Everything here is made of the result of a run (``results.document``), so that no sentence and no number is typed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acclimate_tools.bench.peers.catalogue import OURS
from acclimate_tools.bench.peers.columns import CLASS_COLUMNS, VALUE_COLUMNS, Column, cell, plain, share
from acclimate_tools.bench.peers.results import LEAST_SCORED, OURS_NAME, lead

Row = Mapping[str, Any]
Group = Mapping[str, Any]
Result = Mapping[str, Any]


def rows_of(result: Result, group: Group) -> list[dict[str, Any]]:
    """Return the rows of a group with the size of their family's installation (a Java runtime included)."""
    out = []
    for row in group["peers"]:
        family = result["families"][row["family"]]
        out.append({**row, "install_bytes": family["install_bytes"] + family["runtime_bytes"]})
    return out


def ours_of(rows: Sequence[Row]) -> Row | None:
    """Return the row that the others are compared with, None if it failed."""
    return next((row for row in rows if row["peer"] == OURS_NAME and not row["failed"]), None)


def advantage(row: Row, ours: Row, column: Column) -> float | None:
    """Return by how much a peer is better in a column, negative if it is worse; None where nothing can be said."""
    if column.quality:
        compared = row.get("compared")
        if not compared:
            return None
        theirs, mine = compared["peer"].get(column.key), compared["ours"].get(column.key)
    else:
        theirs, mine = row.get(column.key), ours.get(column.key)
        if column.same_rows and row.get("rows") != ours.get("rows"):
            return None
    if theirs is None or mine is None:
        return None
    return float(theirs - mine) if column.higher else float(mine - theirs)


def within_noise(row: Row, column: Column) -> bool:
    """Return whether a difference in accuracy or error is at most twice its standard error."""
    noise = (row.get("compared") or {}).get("noise")
    gain = lead(row)
    if column.key not in {"accuracy", "mae"} or noise is None or gain is None:
        return False
    compared = row["compared"]
    difference = abs(compared["peer"][column.key] - compared["ours"][column.key])
    return bool(difference <= noise)


def better(rows: Sequence[Row], column: Column) -> list[Row]:
    """Return the peers that are better than Acclimate in a column, the best first."""
    ours = ours_of(rows)
    if ours is None:
        return []
    found = [
        (gain, row) for row in rows if row["family"] != OURS and (gain := advantage(row, ours, column)) is not None
    ]
    return [row for gain, row in sorted(found, key=lambda pair: -pair[0]) if gain > 0]


def told(row: Row, ours: Row, column: Column) -> str:
    """Return a peer's name and how much better it is."""
    if not column.quality:
        factor = row[column.key] / ours[column.key] if column.higher else ours[column.key] / max(row[column.key], 1e-12)
        return f"{row['title']} (× {factor:,.1f})"
    gain = advantage(row, ours, column) or 0.0
    text = (
        f"+{100 * gain:.2f} points" if column.show is share else f"{plain(gain)} {'more' if column.higher else 'less'}"
    )
    rows = row["compared"]["rows"]
    text += f" on the first {rows:,} rows" if rows < ours["rows"] else ""
    return f"{row['title']} ({text}{', within noise' if within_noise(row, column) else ''})"


def sentence(rows: Sequence[Row], column: Column) -> str:
    """Say which peers are better in a column."""
    ours, found = ours_of(rows), better(rows, column)
    if ours is None:
        return f"{column.title}: {OURS_NAME} has no result"
    peers = [row for row in rows if row["family"] != OURS and advantage(row, ours, column) is not None]
    if not peers:
        return f"{column.title}: nothing to compare"
    if not found:
        return f"{column.title}: none of {len(peers)} peers is better than {OURS_NAME} ({cell(ours, column)})"
    names = ", ".join(told(row, ours, column) for row in found)
    verb = "is" if len(found) == 1 else "are"
    head = f"{column.title}: {len(found)} of {len(peers)} peers {verb} better than {OURS_NAME}"
    return f"{head} ({cell(ours, column)}): {names}"


def place(group: Group) -> str:
    """Name a stream with its delay."""
    late = "labels at once" if group["delay"] == 0 else f"labels {group['delay']:,} late"
    return f"{group['stream']}, {late}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a peer stands to Acclimate over all streams and delays.

    Attributes:
        title: of the peer.
        ahead, even, behind: groups in which its accuracy or error was better, not told apart by noise, or worse.
        speed: geometric mean of its events a second and core over Acclimate's; None if it never ran.
        memory: geometric mean of its peak memory over Acclimate's.
    """

    title: str
    ahead: int
    even: int
    behind: int
    speed: float | None
    memory: float | None


def standings(result: Result) -> list[Standing]:
    """Return every peer's standing, in the order of the catalogue."""
    pairs: dict[str, list[tuple[Row, Row]]] = {}
    for group in result["groups"]:
        ours = ours_of(group["peers"])
        for row in group["peers"]:
            if ours is not None and row.get("compared"):
                pairs.setdefault(row["peer"], []).append((row, ours))
    return [_standing(name, found) for name, found in pairs.items()]


def _standing(name: str, pairs: Sequence[tuple[Row, Row]]) -> Standing:
    counts = {"ahead": 0, "even": 0, "behind": 0}
    for row, _ in pairs:
        column = VALUE_COLUMNS[0] if "mae" in row["compared"]["peer"] else CLASS_COLUMNS[0]
        gain = lead(row)
        if gain is None or gain == 0 or within_noise(row, column):
            counts["even"] += 1
        else:
            counts["ahead" if gain > 0 else "behind"] += 1

    def mean(key: str) -> float | None:
        ratios = [row[key] / ours[key] for row, ours in pairs if row[key] and ours[key]]
        return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None

    return Standing(title=name, **counts, speed=mean("events_per_cpu_s"), memory=mean("peak_rss_bytes"))


def about(result: Result) -> list[str]:
    """Say how it was measured, in sentences."""
    settings = result["settings"]
    busy = f"the machine's load average was {result['load']:.1f} at the end"
    lines = (
        f"""The first {settings["rows"]:,} rows of each stream (all where it is shorter), in their order, seed
        {settings["seed"]}. Every row is predicted before its label is learned; labels that come late are learned in
        the order in which they arrive.""",
        """All are given the same rows, the same columns of numbers and categories (one-hot, or nominal where a peer
        takes them so), gaps filled with the last value, and the classes beforehand; Acclimate reads the file itself,
        gaps included, and learns of classes as they come.""",
        """Acclimate's own inputs include the labels that had arrived; peers are fed the row, as their documentation
        shows, and those called "+ last label" also the label that had arrived last. Peers in batches learn a batch
        once all of its labels are there.""",
        """Scores count from the first arrived label on; where a peer gave no answer, the most common label so far (or
        the mean) stands in. kappa-temporal is the part of the way from repeating the last arrived label to
        perfection.""",
        f"""A cell is a process of its own on one core with one thread. It may predict and learn for
        {settings["budget_s"]:g} processor seconds; one that does not finish is marked † and compared with {OURS_NAME}
        on the rows that it did, whose score there stands in the last column; with fewer than {LEAST_SCORED} scored
        rows in common, nothing is compared.""",
        f"""Events a second per core are rows by processor seconds of predicting and learning, without reading and
        converting rows, so that a busy machine changes them little; {busy}, with {settings["jobs"]} cells at a time.
        CPU-seconds are those of the whole process, start included; time to the first prediction is wall clock from
        the start of the process, and a busy machine does lengthen it.""",
        """Peak memory and time to the first prediction of Vowpal Wabbit include numpy, which the protocol needs and
        it does not. An installation is all files of a virtual environment's packages, and the Java runtime where one
        is needed. A state is what the peer itself writes (pickle, Java serialisation, its own file); Acclimate's is
        the bytes of all its tensors, those of every candidate.""",
        """Differences within twice the standard error of the paired differences are called within noise; the rows of
        a stream depend on each other, so the true noise is larger. Only accuracy and mean absolute error have it.""",
    )
    return [" ".join(line.split()) for line in lines]
