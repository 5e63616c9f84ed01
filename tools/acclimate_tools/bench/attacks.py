"""``make bench-attacks``: wrong labels, faced by Acclimate, by Acclimate without its admission, and by one learner.

Prints a table and writes JSON with commit and machine. A fall is measured against the same learner on the same stream
with the same seed without attack, and given as the mean over seeds with its standard error; the targets are a fall of
at most a point, and at most 5 % of triggered events answered as the attacker wants. Where wrong labels come from all
sources, two falls of the same learner stand beside: that of one never told a wrong label, which no defence can do
better than, and that of one told right labels alone, but so few of them that they tell as much. Clean streams are
replayed too, with ten sources, with and without admission.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from acclimate_device.admission import Policy
from acclimate_device.outputs import to_json, write_text
from acclimate_tools.bench.attack_runs import ATTACKS, SOURCES, Attack, Spared, Stream, Subject, face, load
from acclimate_tools.bench.forgetting import standard_error
from acclimate_tools.bench.replay import ROOT, data_folder, machine

STREAMS = ("elec2", "hapt_har", "gas_drift")
CLEAN = ("elec2", "hapt_har", "gas_drift", "occupancy", "weather_noaa")
SUBJECTS = ("admission", "no admission", "plain learner")
HONEST, FEWER = "honest labels only", "as much in right labels"  # of admission, that is
SPARED: dict[str, Spared] = {HONEST: "wrong labels", FEWER: "all but what is left"}
MOST_FALL, MOST_BACKDOOR = 1.0, 5.0  # points, percent


def subject(name: str, stream: Stream, seed: int = 0) -> Subject:
    """Return a fresh learner of a kind."""
    if name == "plain learner":
        return Subject(stream, learners=["softmax"], policy=None, contest=False, seed=seed)
    policy = None if name == "no admission" else Policy()
    return Subject(stream, learners=None, policy=policy, contest=True, seed=seed)


def attacked(
    stream: Stream, console: Console, seeds: int, learners: Sequence[str], attacks: Sequence[str]
) -> list[dict[str, Any]]:
    """Let learners face attacks on one stream.

    Args:
        stream: its rows.
        console: for what is going on.
        seeds: how many.
        learners: of SUBJECTS and SPARED.
        attacks: their names; the calm stream is measured for every learner anyway.
    """
    rows: list[dict[str, Any]] = []
    calm: dict[str, list[dict[str, Any]]] = {}
    for who in learners:
        of = "admission" if who in SPARED else who
        for attack in ATTACKS:
            needed = attack.name in attacks or (attack.name == "none" and of not in calm)
            if not needed or (who in SPARED and not (attack.flip and attack.corrupt == SOURCES)):
                continue
            with console.status(f"{stream.name}: {attack.name}, {who}"):
                runs = [faced(who, stream, attack, seed) for seed in range(seeds)]
            if attack.name == "none":
                calm[who] = runs
            summary = summed(attack, runs, fallen(calm[of], runs))
            rows.append({"stream": stream.name, "attack": attack.name, "learner": who, **summary})
    return rows


def faced(who: str, stream: Stream, attack: Attack, seed: int) -> dict[str, Any]:
    """Let a fresh learner of a kind face an attack once."""
    return face(subject(who, stream, seed), stream, attack, seed, spared=SPARED.get(who, "nothing"))


def fallen(calm: list[dict[str, Any]], runs: list[dict[str, Any]]) -> list[float]:
    """Return the falls in points between runs with the same seeds."""
    return [100 * (c["clean_accuracy"] - r["clean_accuracy"]) for c, r in zip(calm, runs, strict=True)]


def summed(attack: Attack, runs: list[dict[str, Any]], falls: list[float]) -> dict[str, Any]:
    """Return the means over seeds; what admission did is told of the first seed."""
    means = {key: sum(run[key] for run in runs) / len(runs) for key in ("clean_accuracy", "triggered_as_target")}
    fall = sum(falls) / len(falls)
    held_off = fall <= MOST_FALL and (not attack.backdoor or 100 * means["triggered_as_target"] <= MOST_BACKDOOR)
    return {
        "fall_points": fall,
        "standard_error": standard_error(falls),
        "falls": falls,
        "seeds": len(falls),
        **means,
        "admission": runs[0]["admission"],
        "reached": held_off,
    }


def clean(folder: Path, rows: int, console: Console, seeds: int) -> list[dict[str, Any]]:
    """Compare accuracy on clean streams with ten honest sources, with and without admission."""
    out = []
    for name in CLEAN:
        stream = load(folder, name, rows)
        with console.status(f"{name}, clean"):
            runs = {who: [faced(who, stream, ATTACKS[0], seed) for seed in range(seeds)] for who in SUBJECTS[:2]}
        costs = fallen(runs["no admission"], runs["admission"])
        means = {who: sum(run["clean_accuracy"] for run in of) / seeds for who, of in runs.items()}
        cost = {"cost_points": sum(costs) / seeds, "standard_error": standard_error(costs)}
        out.append({"stream": name, **means, **cost})
    return out


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    """Print one line an attack."""
    table = Table(
        "stream", "attack", *(f"{who}: fall, trigger" for who in SUBJECTS), *(f"{who}: fall" for who in SPARED)
    )
    cells: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        error = f" ± {row['standard_error']:.2f}" if row.get("standard_error") is not None else ""
        told = f"{row['fall_points']:.2f}{error}, {100 * row['triggered_as_target']:.0f} %"
        told += "" if row["reached"] else " (!)"
        cells.setdefault((row["stream"], row["attack"]), []).append(told)
    for key, told_of in cells.items():
        table.add_row(*key, *told_of)
    console.print(table)


def renewed(before: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows measured before, with those that were measured now in their places."""
    found = {(row["stream"], row["attack"], row["learner"]): row for row in (*before, *rows)}
    return list(found.values())


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "results" / "attacks.json")
@click.option("--rows", type=click.IntRange(1_000), default=3_000, show_default=True, help="Of each stream.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Of attacks and learners.")
@click.option("--stream", "streams", multiple=True, type=click.Choice(STREAMS), help="Only these; others are kept.")
@click.option("--learner", "learners", multiple=True, type=click.Choice((*SUBJECTS, *SPARED)), help="Likewise.")
@click.option("--attack", "attacks", multiple=True, type=click.Choice([a.name for a in ATTACKS]), help="Likewise.")
def main(
    *, out: Path, rows: int, seeds: int, streams: Sequence[str], learners: Sequence[str], attacks: Sequence[str]
) -> None:
    """Measure the attacks, print a table, write JSON."""
    console, folder, here = Console(), data_folder(), machine()
    some = bool(streams or learners or attacks)
    chosen, names = learners or (*SUBJECTS, *SPARED), attacks or [attack.name for attack in ATTACKS]
    if set(chosen) & set(SPARED) and "admission" not in chosen:
        raise click.UsageError("what is spared is measured against admission: add --learner admission")
    result: dict[str, Any] = {**here, "rows": rows, "attacks": []}
    if some and out.exists():
        result = msgspec.json.decode(out.read_bytes())
    for name in streams or STREAMS:
        fresh = attacked(load(folder, name, rows), console, seeds, chosen, names)
        measured = {"commit": here["commit"], "date": here["date"]}
        result["attacks"] = renewed(result["attacks"], [{**row, **measured} for row in fresh])
    show(console, result["attacks"])
    if not some:
        result["clean"] = clean(folder, rows, console, seeds)
        console.print(result["clean"])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, to_json(result))


if __name__ == "__main__":
    main()
