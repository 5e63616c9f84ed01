"""``docs/benchmarks.md``, made of ``docs/results/bench.json``: ``python -m acclimate_tools.bench.peers.document``."""

import json
import sys
from collections.abc import Sequence

from acclimate_tools.bench.peers.columns import NONE, cell, columns, plain, size
from acclimate_tools.bench.peers.words import Group, Result, about, ours_of, place, rows_of, sentence, standings
from acclimate_tools.bench.replay import ROOT

RESULTS = ROOT / "docs" / "results" / "bench.json"
PLACE = ROOT / "docs" / "benchmarks.md"
MARK = "†"


def markdown(result: Result) -> str:
    """Return the page."""
    parts = [_head(result), _standings(result), _families(result)]
    parts += [_group(result, group) for group in result["groups"]]
    return "\n".join(parts)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are set right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(text.replace('|', chr(92) + '|') for text in line)} |\n" for line in lines)


def machine(result: Result) -> str:
    """Say when and on what it was measured."""
    memory, commit = size(result["memory_bytes"]), result["commit"][:12] or "unknown"
    return (
        f"Measured on {result['date']} at commit {commit}: {result['processor']}, {result['cores']} cores, {memory} "
        f"of memory, {result['system']}, Python {result['python']}."
    )


def _head(result: Result) -> str:
    lines = "\n".join(f"- {line}" for line in about(result))
    return f"""\
# Benchmarks

What a user would pick instead of Acclimate, measured side by side. {machine(result)}

This page is written by `python -m acclimate_tools.bench.peers.document` from `docs/results/bench.json`; `make bench`
measures and writes both.

## How it was measured

{lines}
"""


def _standings(result: Result) -> str:
    rows = [
        [one.title, str(one.ahead), str(one.even), str(one.behind), _times(one.speed), _times(one.memory)]
        for one in standings(result)
    ]
    head = ["", "better", "within noise", "worse", "events/s per core", "peak memory"]
    text = (
        "In how many of the streams and delays below the accuracy (or mean absolute error) was better than that of "
        "Acclimate continual on the same rows; speed and memory as multiples of Acclimate's (geometric means)."
    )
    return f"## Beside Acclimate\n\n{text}\n\n{table(head, rows)}"


def _times(value: float | None) -> str:
    return NONE if value is None else f"× {value:.3g}"


def _families(result: Result) -> str:
    rows = []
    for name, family in result["families"].items():
        if family["absent"]:
            rows.append([name, f"not measured: {family['absent']}", NONE, NONE])
            continue
        java = size(family["runtime_bytes"]) if family["runtime_bytes"] else NONE
        rows.append([name, family["version"] or NONE, size(family["install_bytes"]), java])
    return f"## Versions and installations\n\n{table(['', 'version', 'packages', 'Java runtime'], rows)}"


def _group(result: Result, group: Group) -> str:
    rows, wanted = rows_of(result, group), columns(group["task"])
    ours, main = ours_of(rows), wanted[0]
    body = []
    for row in rows:
        if row["failed"]:
            body.append([row["title"], "failed", *[NONE] * (len(wanted) + 1)])
            continue
        same = row.get("compared")
        mine = main.show(same["ours"][main.key]) if same and row["rows"] < (ours or row)["rows"] else ""
        mark = "" if row["complete"] else f" {MARK}"
        body.append([f"{row['title']}{mark}", f"{row['rows']:,}", *(cell(row, column) for column in wanted), mine])
    for key, title in (("last", "*the last label*"), ("usual", "*the usual label*")):
        scores = group["baselines"][key]
        body.append([title, f"{group['rows']:,}", *(cell(scores, column) for column in wanted), ""])
    head = ["", "rows", *(column.title for column in wanted), "Acclimate on these rows"]
    said = "\n".join(f"- {sentence(rows, column)}." for column in wanted)
    failed = "".join(f"- {row['title']} failed: `{row['failed']}`\n" for row in rows if row["failed"])
    size_of = f"{group['rows']:,} rows, {group['columns']} columns"
    classes = f", {group['classes']} classes" if group["classes"] else ""
    return (
        f"## {place(group)}\n\n{size_of}{classes}.\n\n{table(head, body)}\nWhere a peer is better:\n\n{said}\n{failed}"
    )


def main() -> None:
    """Write the page."""
    PLACE.write_text(markdown(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
    sys.stdout.write(f"{PLACE} ({plain(PLACE.stat().st_size)} bytes)\n")


if __name__ == "__main__":
    main()
