"""``make newcomer``: tries the README as a new user would, in a clean Debian, with the clock.

Needs root and mmdebstrap. Writes the times as JSON, which ``docs/newcomer.md`` shows; ends with 1 if a step failed or
took longer than it may.
"""

import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from acclimate_device.outputs import to_json, write_text
from acclimate_shared.errors import AcclimateError
from acclimate_tools.bench.replay import ROOT, machine
from acclimate_tools.newcomer.room import Room, room
from acclimate_tools.newcomer.steps import STEPS, TESTS, Step

OUT = ROOT / "docs" / "results" / "newcomer.json"


def tried(inside: Room, steps: Sequence[Step], console: Console) -> Iterator[dict[str, Any]]:
    """Yield what became of each step; those after one that failed are tried all the same."""
    for step in steps:
        with console.status(step.name):
            code, seconds, said = inside.run(step.script, step.most_s)
        facts = {key: value for key, value in asdict(step).items() if key != "script"}
        yield {**facts, "seconds": round(seconds, 1), "passed": code == 0, "said": said}


def shown(found: Sequence[dict[str, Any]], console: Console) -> None:
    """Print the times, and what a step that failed has said."""
    table = Table(title="the newcomer's hour")
    for name in ("step", "seconds", "at most", ""):
        table.add_column(name)
    for step in found:
        table.add_row(
            step["name"], f"{step['seconds']:.0f}", f"{step['most_s']:.0f}", "" if step["passed"] else "FAILED"
        )
    console.print(table)
    for step in found:
        if not step["passed"]:
            console.print(f"\n{step['name']}:\n{step['said']}", markup=False)


@click.command()
@click.option("--tests", is_flag=True, help="Run `make test` as well.")
@click.option("--only", metavar="WORD", help="Only the steps whose name has this word.")
@click.option(
    "--lend", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of this machine that can be read inside, such as one of wheels; may be repeated.",
)  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=OUT, help="JSON to write.")
def main(tests: bool, only: str | None, lend: tuple[Path, ...], out: Path) -> None:  # noqa: FBT001
    """Try the README in a machine that has Python and make, with the clock.

    \b
    Examples:
      python -m acclimate_tools.newcomer.run
      python -m acclimate_tools.newcomer.run --only own --out /dev/null
    """  # noqa: D301
    console = Console(stderr=True)
    steps = [step for step in (*STEPS, *([TESTS] if tests else [])) if not only or only in step.name]
    try:
        with tempfile.TemporaryDirectory(prefix="acclimate-newcomer-") as folder:
            with console.status("a clean machine"):
                opened = room(Path(folder) / "root", ROOT, lend)
            with opened as inside:
                found = list(tried(inside, steps, console))
    except AcclimateError as error:
        console.print(f"newcomer: {error}", markup=False)
        sys.exit(1)
    shown(found, console)
    kept = [{key: value for key, value in step.items() if key != "said"} for step in found]
    hands_on = sum(step["seconds"] for step in kept if not step["installs"])
    result = {**machine(), "root": "Debian bookworm", "host": platform.system(), "steps": kept, "hands_on_s": hands_on}
    write_text(out, to_json(result))
    sys.exit(not all(step["passed"] for step in kept))


if __name__ == "__main__":
    main()
