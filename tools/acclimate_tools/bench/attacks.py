"""``make bench-attacks``: wrong labels, faced by Acclimate, by Acclimate without its admission, and by one learner.

Prints a table and writes JSON with commit and machine. A fall is measured against the same learner on the same stream
without attack; the targets are a fall of at most a point, and at most 5 % of triggered events answered as the attacker
wants. Clean streams are replayed too, with ten sources, with and without admission.
"""

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from acclimate_device.admission import Policy
from acclimate_device.outputs import to_json, write_text
from acclimate_tools.bench.attack_runs import ATTACKS, Stream, Subject, face, load
from acclimate_tools.bench.replay import ROOT, data_folder, machine

STREAMS = ("elec2", "hapt_har", "gas_drift")
CLEAN = ("elec2", "hapt_har", "gas_drift", "occupancy", "weather_noaa")
SUBJECTS = ("admission", "no admission", "plain learner")
MOST_FALL, MOST_BACKDOOR = 1.0, 5.0  # points, percent


def subject(name: str, stream: Stream) -> Subject:
    """Return a fresh learner of a kind."""
    if name == "plain learner":
        return Subject(stream, learners=["softmax"], policy=None, contest=False)
    return Subject(stream, learners=None, policy=Policy() if name == "admission" else None, contest=True)


def attacked(stream: Stream, console: Console) -> list[dict[str, Any]]:
    """Let every learner face every attack on one stream."""
    rows: list[dict[str, Any]] = []
    for who in SUBJECTS:
        calm = 0.0
        for attack in ATTACKS:
            with console.status(f"{stream.name}: {attack.name}, {who}"):
                found = face(subject(who, stream), stream, attack)
            calm = found["clean_accuracy"] if attack.name == "none" else calm
            fall = 100 * (calm - found["clean_accuracy"])
            held_off = fall <= MOST_FALL and (
                not attack.backdoor or 100 * found["triggered_as_target"] <= MOST_BACKDOOR
            )
            row = {"stream": stream.name, "attack": attack.name, "learner": who, "fall_points": fall, **found}
            rows.append({**row, "reached": held_off})
    return rows


def clean(folder: Path, rows: int, console: Console) -> list[dict[str, Any]]:
    """Compare accuracy on clean streams with ten honest sources, with and without admission."""
    out = []
    for name in CLEAN:
        stream = load(folder, name, rows)
        with console.status(f"{name}, clean"):
            found = {who: face(subject(who, stream), stream, ATTACKS[0]) for who in SUBJECTS[:2]}
        with_it, without = (found[who]["clean_accuracy"] for who in SUBJECTS[:2])
        cost = 100 * (without - with_it)
        out.append({"stream": name, "admission": with_it, "no admission": without, "cost_points": cost})
    return out


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    """Print one line an attack."""
    table = Table("stream", "attack", *(f"{who}: fall, trigger" for who in SUBJECTS))
    cells: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        told = f"{row['fall_points']:.2f}, {100 * row['triggered_as_target']:.0f} %{'' if row['reached'] else ' (!)'}"
        cells.setdefault((row["stream"], row["attack"]), []).append(told)
    for key, told_of in cells.items():
        table.add_row(*key, *told_of)
    console.print(table)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "results" / "attacks.json")
@click.option("--rows", type=click.IntRange(1_000), default=3_000, show_default=True, help="Of each stream.")
def main(out: Path, rows: int) -> None:
    """Measure the attacks, print a table, write JSON."""
    console, folder = Console(), data_folder()
    result: dict[str, Any] = {**machine(), "rows": rows}
    result["attacks"] = [row for name in STREAMS for row in attacked(load(folder, name, rows), console)]
    show(console, result["attacks"])
    result["clean"] = clean(folder, rows, console)
    console.print(result["clean"])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, to_json(result))


if __name__ == "__main__":
    main()
