"""A lineage for people and for programs: all versions, newest last, or one with everything that it rests on.

``overview`` and ``detail`` return values for JSON, ``overview_text`` and ``detail_text`` the same for a terminal.
Nothing is read or written here. Text that came from people loses its control characters on the way to a terminal.

Example:
    >>> from acclimate_shared.lineage import Change
    >>> lineage, facts = Lineage(), {"model": "a" * 64, "graph": "b" * 64, "schema": "c" * 64, "time_s": 0.0}
    >>> first = lineage.append(Change(kind="start", **facts))
    >>> last = lineage.append(Change(kind="commit", parents=(first.digest,), cpu_s=2.0, gain=0.5, **facts))
    >>> print(overview_text(lineage).splitlines()[2].rstrip())
    ●  1.1      commit    1.0             0     +0.5      2.00
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgspec

from acclimate_shared.lineage import Lineage, Record, Sums

MOST_WINDOWS = 10  # that a terminal shows
SHORT = 12  # digits of a digest on a terminal
FIRST_DATE_S = 1e8  # a smaller time is the row of a replay, not a date


def overview(lineage: Lineage) -> dict[str, Any]:
    """Return every version, newest last, the digest of the newest, and the ledger."""
    names = _names(lineage)
    records = [_brief(record, names) for record in lineage]
    return {"head": lineage.head, "versions": records, "ledger": _ledger(lineage)}


def detail(lineage: Lineage, version: str) -> dict[str, Any]:
    """Return a version: its ``record`` (plan, evidence, gates, cost), family, and all its data from the root on.

    Raises:
        UsageError: there is no such version.
    """
    record = lineage[version]
    path = [*lineage.ancestors(version), record]
    windows = [
        {"version": each.version, "first": window.first, "last": window.last, "labels": window.labels}
        for each in path
        if (window := each.window)
    ]
    sums = Sums.of(path)
    return {
        "record": {"digest": record.digest, **msgspec.to_builtins(record)},
        "parents": [parent.version for parent in lineage.parents(version)],
        "children": [child.version for child in lineage.children(version)],
        "roots": [each.version for each in path if not each.parents],
        "windows": windows,
        "labels": sums.labels,
        "cpu_s_from_root": sums.cpu_s,
    }


def overview_text(lineage: Lineage) -> str:
    """Return the versions as a table, oldest first, with their branches on the left, and the ledger below it."""
    names = _names(lineage)
    gutters = list(_gutters(lineage))
    width = max((len(gutter) for gutter in gutters), default=1)
    lines = [f"{'':{width}}  {'version':<8} {'kind':<9} {'from':<8} {'labels':>8} {'gain':>8} {'cpu s':>9}  why"]
    for gutter, record in zip(gutters, lineage, strict=True):
        brief = _brief(record, names)
        gain = "" if record.gain is None else f"{record.gain:+.3g}"
        lines.append(
            f"{gutter:<{width}}  {record.version:<8} {record.kind:<9} {' '.join(brief['parents']):<8} "
            f"{brief['labels']:>8,} {gain:>8} {record.cpu_s:>9.2f}  {_why(record)}"
        )
    lines.append("")
    for name, sums in _ledger(lineage).items():
        gain = "not measured" if sums["gain_per_cpu_s"] is None else f"{sums['gain_per_cpu_s']:.3g} a CPU second"
        lines.append(f"{name:>8}: {sums['records']:,} versions, {sums['cpu_s']:,.2f} CPU s, gain {gain}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def detail_text(lineage: Lineage, version: str) -> str:
    """Return one version as lines ``name  value``.

    Raises:
        UsageError: there is no such version.
    """
    record, found = lineage[version], detail(lineage, version)
    rows = [("version", f"{record.version} ({record.kind}, {_when(record)})"), ("digest", record.digest)]
    rows += [(name, getattr(record, name)[:SHORT]) for name in ("model", "graph", "schema", "plan", "origin")]
    rows += [("parents", ", ".join(found["parents"]) or "none: a root"), ("children", ", ".join(found["children"]))]
    if evidence := record.evidence:
        numbers = f"test {evidence.index}, alpha {evidence.alpha:.3g}, log evidence {evidence.log_e:.3f}"
        said = f"{evidence.outcome}: {numbers} of {evidence.threshold:.3f}, {evidence.labels:,} labels"
        rows.append(("evidence", f"{said}, difference in [{evidence.low:.4f}, {evidence.high:.4f}]"))
    rows += [("gate", f"{name}: {'passed' if good else 'shut'}") for name, good in sorted(record.gates.items())]
    rows += [("seed", "" if record.seed is None else str(record.seed)), ("why", _why(record))]
    gain = "gain not measured" if record.gain is None else f"gain {record.gain:+.3g}"
    total = found["cpu_s_from_root"]
    rows.append(("cost", f"{record.cpu_s:.2f} CPU s since the parent, {total:.2f} from the root, {gain}"))
    windows = found["windows"]
    rows.append(("data", f"{found['labels']:,} labels in {len(windows):,} windows"))
    if len(windows) > MOST_WINDOWS:
        rows.append(("", f"… {len(windows) - MOST_WINDOWS:,} windows before these"))
    for window in windows[-MOST_WINDOWS:]:
        rows.append(("", f"{window['version']}: {window['first']} to {window['last']}, {window['labels']:,} labels"))
    return "".join(f"{name:>9}  {_clean(text)}\n" for name, text in rows if text)


def _names(lineage: Lineage) -> dict[str, str]:
    """Return the version of each record that is a parent, by digest; cheaper than to ask for each."""
    return {parent: lineage[parent].version for record in lineage for parent in record.parents}


def _brief(record: Record, names: dict[str, str]) -> dict[str, Any]:
    told = {name: getattr(record, name) for name in ("version", "kind", "gain", "cpu_s", "time_s", "reason", "who")}
    parents = [names[parent] for parent in record.parents]
    return {**told, "parents": parents, "labels": record.window.labels if record.window else 0}


def _ledger(lineage: Lineage) -> dict[str, dict[str, Any]]:
    return {
        name: {**asdict(sums), "cpu_s": sums.cpu_s, "gain_per_cpu_s": sums.gain_per_cpu_s}
        for name, sums in lineage.ledger().items()
    }


def _gutters(lineage: Lineage) -> Iterator[str]:
    """Yield the drawing beside each record: ``●`` it, ``│`` branches that go on past it."""
    youngest = {parent: at for at, record in enumerate(lineage) for parent in record.parents}
    lanes: list[str | None] = []  # digest of the newest record of each branch that goes on
    tips = [*(record.previous for record in lineage), lineage.head][1:]
    for at, (record, digest) in enumerate(zip(lineage, tips, strict=True)):
        lane = lanes.index(record.parents[0]) if record.parents and record.parents[0] in lanes else None
        if lane is None:
            lane = lanes.index(None) if None in lanes else len(lanes)
            lanes[lane : lane + 1] = [None]
        lanes[lane] = digest
        yield "".join("●" if here == lane else "│" if tip else " " for here, tip in enumerate(lanes)).rstrip()
        lanes = [tip if tip and youngest.get(tip, -1) > at else None for tip in lanes]


def _why(record: Record) -> str:
    return _clean(": ".join(part for part in (record.who, record.reason) if part))


def _when(record: Record) -> str:
    if record.time_s < FIRST_DATE_S:
        return f"row {record.time_s:,.0f}"
    return datetime.fromtimestamp(record.time_s, UTC).isoformat(" ", "seconds")


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
