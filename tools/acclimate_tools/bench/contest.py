"""``make bench-contest``: the contest over real streams, beside the candidates in hindsight and River in the same run.

Prints tables and writes JSON with commit and machine; see ``contest_runs`` for what the honesty runs are.
"""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from acclimate_device.outputs import to_json, write_text
from acclimate_tools.bench import contest_runs as runs
from acclimate_tools.bench.replay import KDD_ROWS, ROOT, data_folder, geometric_mean, machine, replay, river

REGRESSION = ("bike_sharing", "beijing_air")


def streams(folder: Path, peers: dict[str, Any], console: Console, river_rows: int) -> list[dict[str, Any]]:
    """Replay every stream under both policies, labels at once and late."""
    out = []
    names = [name for name in peers["delay0"] if peers["delay0"][name]["task"] == "classification"]
    for name in [*names, *REGRESSION]:
        path, limit = folder / f"{name}.csv.gz", ("--rows", str(KDD_ROWS)) if name.startswith("kdd") else ()
        label = "label" if name in names else "target"
        for delay in (0, 512):
            for policy in ("continual", "superiority"):
                with console.status(f"{name} {policy} {delay}"):
                    found = replay(path, label, "--delay", str(delay), "--policy", policy, *limit)
                row = _row(name, delay, policy, found, peers[f"delay{delay}"].get(name, {}))
                if name in names and delay == 0 and policy == "continual":
                    row["river_arf10"] = river(path, label, river_rows)
                    row["speed_over_river"] = row["events_per_s"] / row["river_arf10"]["events_per_s"]
                out.append(row)
    return out


def _row(name: str, delay: int, policy: str, found: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    metric = "mae" if found["task"] == "regression" else "accuracy"
    scores = [c[metric] for c in found["candidates"]]
    served, contest = found["served"][metric], found["contest"]
    regret = served - min(scores) if metric == "mae" else 100 * (max(scores) - served)
    events = [t["event"] for t in contest["transitions"]]
    return {
        "stream": name,
        "delay": delay,
        "policy": policy,
        "metric": metric,
        "served": served,
        "peer": peer.get(metric),
        "best_candidate": min(scores) if metric == "mae" else max(scores),
        "regret": regret,
        "champion": contest["champion"],
        "tests": contest["tests_started"],
        "promotions": events.count("promote"),
        "rollbacks": events.count("rollback"),
        "events_per_s": found["throughput_events_per_s"],
        "peak_rss_mib": found["peak_rss_mib"],
    }


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    """Print the streams."""
    table = Table("stream", "late", "policy", "served", "peer", "best candidate", "regret", "promoted", "×River", "MiB")
    for row in rows:
        ratio = f"{row['speed_over_river']:.1f}" if "speed_over_river" in row else ""
        peer = f"{row['peer']:.4f}" if row["peer"] is not None else ""
        won = f"{row['promotions']}/{row['tests']}"
        scores = [f"{row['served']:.4f}", peer, f"{row['best_candidate']:.4f}", f"{row['regret']:.2f}"]
        cells = [row["stream"], str(row["delay"]), row["policy"], *scores, won, ratio, f"{row['peak_rss_mib']:.0f}"]
        table.add_row(*cells)
    console.print(table)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "results" / "bench-contest.json")
@click.option("--river-rows", type=click.IntRange(100), default=50_000, show_default=True)
@click.option(
    "--events", type=click.IntRange(10_000), default=1_000_000, show_default=True, help="Of the steady stream."
)
@click.option("--runs", "count", type=click.IntRange(10), default=400, show_default=True, help="Of A against A.")
@click.option("--streams/--no-streams", "with_streams", default=True, help="Whether to replay the streams.")
def main(out: Path, river_rows: int, events: int, count: int, with_streams: bool) -> None:  # noqa: FBT001
    """Measure the contest, print tables, write JSON."""
    console, folder, rng = Console(), data_folder(), np.random.default_rng(0)
    peers = json.loads((folder / "peers.json").read_text())
    result: dict[str, Any] = machine()
    losses = runs.series(folder)
    result["equals"] = runs.equals(losses, count, rng)
    result["better"] = runs.planted(losses, count // 2, rng, mends=0.025, breaks=0.015)
    result["worse"] = runs.planted(losses, count // 2, rng, mends=0.015, breaks=0.025)
    console.print({name: result[name] for name in ("equals", "better", "worse")})
    result["stateful_against_stateless"] = runs.stateful(folder)
    console.print(result["stateful_against_stateless"])
    result["cold_start"] = runs.cold_start(folder)
    console.print(result["cold_start"])
    result["stationary"] = runs.stationary(events, rng)
    console.print(result["stationary"])
    result["backing_off"] = runs.backing_off(events // 5)
    console.print(result["backing_off"])
    if with_streams:
        rows = streams(folder, peers, console, river_rows)
        show(console, rows)
        ratios = [row["speed_over_river"] for row in rows if "speed_over_river" in row]
        result["streams"] = rows
        result["speed_geometric_mean"] = geometric_mean(ratios)
        console.print(f"geometric mean of the speed over River: {result['speed_geometric_mean']:.1f}")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, to_json(result))


if __name__ == "__main__":
    main()
