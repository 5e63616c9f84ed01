"""``make bench-forgetting``: what is left of the old after 50 micro-batches of the new, beside plain gradient descent.

Prints a table and writes JSON with commit and machine, means over seeds with their standard errors; see
``forgetting_runs`` for what is measured, and on which parts of which real streams. The target is a fall of at most two
points.
"""

from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from acclimate_device.outputs import to_json, write_text
from acclimate_tools.bench.forgetting_runs import SPLITS, forgotten, read
from acclimate_tools.bench.replay import ROOT, data_folder, machine

LEARNERS = ("rehearsal", "no rehearsal", "plain SGD")
MOST_FALL = 2.0  # points


def averaged(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean over seeds of one split, and the standard errors of the falls."""
    first = runs[0]
    out = {name: first[name] for name in ("split", "old", "new", "aside", "micro_batches")}
    out["seeds"] = [run["seed"] for run in runs]
    for who in (name for name in (*LEARNERS, "shuffled") if name in first):
        out[who] = {key: sum(run[who][key] for run in runs) / len(runs) for key in first[who]}
        out[who]["standard_error"] = standard_error([run[who]["fall_points"] for run in runs])
    return {**out, "reached": out["rehearsal"]["fall_points"] <= MOST_FALL}


def standard_error(values: list[float]) -> float | None:
    """Return the standard error of the mean of values, None for a single one."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "results" / "forgetting.json")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Orders of the rows.")
def main(out: Path, seeds: int) -> None:
    """Measure forgetting, print a table, write JSON."""
    console, folder = Console(), data_folder()
    rows = []
    for split in SPLITS:
        with console.status(split.name):
            inputs, read_rows = read(folder, split)
            rows.append(averaged([forgotten(inputs, read_rows, split, seed) for seed in range(seeds)]))
    table = Table("old and new", "micro-batches", *(f"{who}: before, fall" for who in LEARNERS), "shuffled: fall")
    for row in rows:
        told = [f"{row[who]['before']:.3f}, {row[who]['fall_points']:.2f}" for who in LEARNERS]
        told.append(f"{row['shuffled']['fall_points']:.2f}" if "shuffled" in row else "")
        table.add_row(row["split"], str(row["micro_batches"]), *told, style="" if row["reached"] else "yellow")
    console.print(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, to_json({**machine(), "most_fall_points": MOST_FALL, "splits": rows}))


if __name__ == "__main__":
    main()
