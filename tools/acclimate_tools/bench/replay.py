"""``make bench-replay``: the agent over real streams beside the best figures on record and River in the same run.

Prints a table and writes JSON with commit and machine. River runs in a virtual environment of its own. The streams are
found at ``../shared/data`` or where ``ACCLIMATE_DATA`` points.
"""

import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import venv
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from acclimate_device.outputs import to_json, write_text

ROOT = Path(__file__).resolve().parents[3]
IGNORED = "timestamp,device"
KDD_ROWS = 50_000  # the rows that the peers' figure is about
REGRESSION = (("beijing_air", None), ("beijing_air", "device"), ("bike_sharing", None))


def data_folder() -> Path:
    """Return where the streams are.

    Raises:
        click.ClickException: nowhere.
    """
    folder = Path(os.environ.get("ACCLIMATE_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "peers.json").is_file():
        raise click.ClickException(f"no streams at {folder}; set ACCLIMATE_DATA to the folder that holds peers.json")
    return folder


def replay(path: Path, label: str, *options: str) -> dict[str, Any]:
    """Run ``acclimate replay`` in a process of its own and return its JSON."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, "-m", "acclimate_device.cli", "replay", str(path), "--label", label]
        command += ["--ignore", IGNORED, *options, "--json", str(out)]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 (our own command)
        found: dict[str, Any] = json.loads(out.read_text())
    return found


def river_python() -> Path:
    """Return an interpreter that has river, installing it the first time."""
    folder = ROOT / "build" / "river"
    python = folder / "bin" / "python"
    if not (folder / ".done").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "river==0.26.1"], check=True)  # noqa: S603
        (folder / ".done").touch()
    return python


def river(path: Path, label: str, rows: int) -> dict[str, Any]:
    """Run River's ARF(10) over the first rows of a stream."""
    script = Path(__file__).with_name("river_peer.py")
    command = [str(river_python()), str(script), str(path), label, str(rows), IGNORED]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def classification(folder: Path, peers: dict[str, Any], river_rows: int, console: Console) -> list[dict[str, Any]]:
    """Measure the classification streams at both delays; River runs between the two, on the same machine."""
    rows = []
    for name, at_once in peers["delay0"].items():
        if at_once["task"] != "classification":
            continue
        path = folder / f"{name}.csv.gz"
        limit = ("--rows", str(KDD_ROWS)) if name.startswith("kdd") else ()
        row: dict[str, Any] = {"stream": name}
        with console.status(name):
            for delay in (0, 512):
                found = replay(path, "label", "--delay", str(delay), *limit)
                peer = peers[f"delay{delay}"][name]
                row[f"delay{delay}"] = {
                    **{
                        key: found[key]
                        for key in ("throughput_events_per_s", "cpu_s", "wall_s", "peak_rss_mib", "state_bytes")
                    },
                    **found["served"],
                    "no_change": found["baselines"]["no_change"]["accuracy"],
                    "peer": peer["peer"],
                    "peer_accuracy": peer["accuracy"],
                    "points_above_peer": 100 * (found["served"]["accuracy"] - peer["accuracy"]),
                }
                if not delay:
                    row["river_arf10"] = river(path, "label", river_rows)
                    alone = replay(path, "label", "--challengers", "none", *limit)
                    row["without_contest"] = {
                        **alone["served"],
                        "throughput_events_per_s": alone["throughput_events_per_s"],
                    }
        peer_speed = row["river_arf10"]["events_per_s"]
        row["speed_over_river"] = row["delay0"]["throughput_events_per_s"] / peer_speed
        row["speed_without_contest_over_river"] = row["without_contest"]["throughput_events_per_s"] / peer_speed
        rows.append(row)
    return rows


def regression(folder: Path, peers: dict[str, Any], console: Console) -> list[dict[str, Any]]:
    """Measure the regression streams, labels at once."""
    rows = []
    for name, key in REGRESSION:
        with console.status(name):
            found = replay(folder / f"{name}.csv.gz", "target", *(("--key", key) if key else ()))
        peer = peers["delay0"][name]
        bar = peer["last_value_per_device_mae"] if key else peer["mae"]
        cost = {key_: found[key_] for key_ in ("throughput_events_per_s", "peak_rss_mib")}
        last = found["baselines"]["last"]["mae"]
        rows.append({"stream": name, "key": key, **found["served"], "peer_mae": bar, "last": last, **cost})
    return rows


def geometric_mean(ratios: list[float]) -> float:
    """Return the geometric mean of ratios above 0."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def machine() -> dict[str, Any]:
    """Return what the numbers were measured on."""
    commit = ""  # where there is no git
    with suppress(FileNotFoundError):
        words = ["git", "rev-parse", "HEAD"]
        commit = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return {
        "commit": commit,
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
    }


def show(console: Console, result: dict[str, Any]) -> None:
    """Print what was measured."""
    table = Table("stream", "delay", "ours", "best peer", "points", "events/s", "× River (no contest)", "MiB")
    for row in result["classification"]:
        for delay in (0, 512):
            d = row[f"delay{delay}"]
            speeds = f"{row['speed_over_river']:.1f} ({row['speed_without_contest_over_river']:.1f})"
            ratio = speeds if not delay else ""
            cells = [row["stream"], str(delay), f"{d['accuracy']:.4f}", f"{d['peer_accuracy']:.4f} {d['peer']}"]
            cells += [
                f"{d['points_above_peer']:+.2f}",
                f"{d['throughput_events_per_s']:,.0f}",
                ratio,
                f"{d['peak_rss_mib']:.0f}",
            ]
            table.add_row(*cells)
    console.print(table)
    for row in result["regression"]:
        console.print(
            f"{row['stream']} key={row['key']}: MAE {row['mae']:.2f}, peer {row['peer_mae']}, last {row['last']:.2f}"
        )
    console.print(f"geometric mean of the speed over River's ARF(10): {result['speed_geometric_mean']:.1f}")
    console.print(f"  without a contest: {result['speed_without_contest_geometric_mean']:.1f}")
    console.print({"training step, µs": result["training_step"], "one answer, µs": result["answer_us"]})


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "results" / "bench-replay.json")
@click.option(
    "--river-rows", type=click.IntRange(100), default=50_000, show_default=True, help="Most rows that River runs."
)
def main(out: Path, river_rows: int) -> None:
    """Measure accuracy and speed on every stream, print the table, write JSON."""
    from acclimate_tools.bench.micro import answer_us, training_step

    console = Console()
    folder = data_folder()
    peers = json.loads((folder / "peers.json").read_text())
    rows = classification(folder, peers, river_rows, console)
    result = {
        **machine(),
        "classification": rows,
        "regression": regression(folder, peers, console),
        "speed_geometric_mean": geometric_mean([row["speed_over_river"] for row in rows]),
        "speed_without_contest_geometric_mean": geometric_mean(
            [row["speed_without_contest_over_river"] for row in rows]
        ),
        "training_step": training_step(),
        "answer_us": answer_us(),
    }
    show(console, result)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, to_json(result))


if __name__ == "__main__":
    main()
