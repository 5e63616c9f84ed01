"""Another tree of this project beside this one: are all results of replays the same, and what do they cost?

    python -m acclimate_tools.bench.sides ../before --rows 10000

replays the classification streams in both, in turn, each in a process of its own. Compared is the whole JSON of a
replay but what it cost; the costs are CPU-seconds, a ratio of which means something on a busy machine too.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from acclimate_tools.bench.replay import IGNORED, ROOT, data_folder, geometric_mean

COSTS = ("throughput_events_per_s", "wall_s", "cpu_s", "peak_rss_mib")
DELAYS = (0, 512)


def replayed(tree: Path, path: Path, delay: int, rows: int) -> tuple[dict[str, Any], float]:
    """Return the result of a replay by the code of a tree, without its costs, and its CPU-seconds."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, "-m", "acclimate_device.cli", "replay", str(path), "--label", "label"]
        command += ["--ignore", IGNORED, "--delay", str(delay), "--rows", str(rows), "--json", str(out)]
        code = os.pathsep.join(str(tree.resolve() / part) for part in ("shared", "device"))
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": code})  # noqa: S603
        found: dict[str, Any] = json.loads(out.read_text())
    cpu_s = float(found["cpu_s"])
    return {name: value for name, value in found.items() if name not in COSTS}, cpu_s


@click.command()
@click.argument("other", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--rows", type=click.IntRange(100), default=10_000, show_default=True)
@click.option("--stream", "streams", multiple=True, help="Only these.")
def main(other: Path, rows: int, streams: tuple[str, ...]) -> None:
    """Replay the streams with the code of OTHER and of this tree; fail if a result differs."""
    folder = data_folder()
    known = json.loads((folder / "peers.json").read_text())["delay0"]
    names = streams or [name for name, peer in known.items() if peer["task"] == "classification"]
    ratios, different = [], 0
    for name in names:
        for delay in DELAYS:
            (before, old), (after, new) = (
                replayed(tree, folder / f"{name}.csv.gz", delay, rows) for tree in (other, ROOT)
            )
            different += before != after
            ratios.append(new / old)
            said = "the same" if before == after else "DIFFERENT"
            click.echo(f"{name:>14} {delay:>4} late: {said}, {old:.2f} -> {new:.2f} CPU s, x {new / old:.3f}")
    click.echo(f"geometric mean of the CPU-seconds: x {geometric_mean(ratios):.3f}")
    if different:
        raise click.ClickException(f"{different} results differ")


if __name__ == "__main__":
    main()
