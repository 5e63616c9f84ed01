"""``make bench``: Acclimate beside what a user would pick instead, on the same rows, each on one core.

Writes JSON, a page with plots and, if all was measured, ``docs/benchmarks.md``. Peers live in virtual environments
of their own, made the first time. A run that was killed goes on with the cells that it has not done, as long as
nothing that it measures has changed.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import click

from acclimate_device.outputs import check_writable, to_json, write_text
from acclimate_shared.errors import AcclimateError
from acclimate_tools.bench.peers.catalogue import ENTRIES, FAMILIES, Entry, slug
from acclimate_tools.bench.peers.document import PLACE, RESULTS, markdown
from acclimate_tools.bench.peers.page import report
from acclimate_tools.bench.peers.running import Settings, Source, measure
from acclimate_tools.bench.peers.venvs import AbsentError
from acclimate_tools.bench.replay import IGNORED, ROOT, data_folder

PART = ROOT / "build" / "bench.json"  # of a run that is not all of it
PAGE = ROOT / "build" / "bench.html"
EXAMPLES = """
\b
Examples:
  python -m acclimate_tools.bench.compare
  python -m acclimate_tools.bench.compare --stream elec2 --peer river --peer acclimate --rows 2000
  python -m acclimate_tools.bench.compare --csv pump.csv --label state --delay 0 --delay 64 --out pump.json
"""


def chosen(parts: Sequence[str]) -> list[Entry]:
    """Return the peers whose name or family holds one of the parts, all for none; what they are compared with always.

    Raises:
        click.BadParameter: a part that nothing holds.
    """
    found = set()
    for part in parts:
        fitting = {e.name for e in ENTRIES if part.lower() in f"{e.name} {e.regression} {e.family}".lower()}
        if not fitting:
            raise click.BadParameter(
                f"no peer is called {part!r}; there are {', '.join(FAMILIES)}", param_hint="--peer"
            )
        found |= fitting
    return [entry for entry in ENTRIES if not parts or entry.name in found or entry is ENTRIES[0]]


def real(names: Sequence[str]) -> list[Source]:
    """Return the streams of the data folder, all for none.

    Raises:
        click.BadParameter: there is no such stream.
    """
    folder = data_folder()
    known = {one["name"]: one for one in json.loads((folder / "catalogue.json").read_text())["datasets"]}
    for name in names:
        if name not in known:
            raise click.BadParameter(f"no stream {name!r}; there are {', '.join(known)}", param_hint="--stream")
    return [(name, folder / known[name]["file"], known[name]["target_column"]) for name in names or known]


def own(path: Path, label: str | None) -> list[Source]:
    """Return a file of the user's as a stream.

    Raises:
        click.UsageError: the label column was not named.
    """
    if label is None:
        raise click.UsageError("--csv needs --label, the name of its label column")
    return [(slug(path.name.split(".")[0]) or "stream", path.resolve(), label)]


@click.command(epilog=EXAMPLES)
@click.option("--stream", "names", multiple=True, help="A stream of the data folder, again for more; all without.")
@click.option("--csv", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file of your own instead.")
@click.option("--label", help="The label column of --csv.")
@click.option("--ignore", default=IGNORED, show_default=True, help="Columns that are no features, by commas.")
@click.option("--peer", "parts", multiple=True, help="Part of the name of a peer or a family, again for more.")
@click.option("--rows", type=click.IntRange(100), default=20_000, show_default=True, help="Most rows of a stream.")
@click.option("--delay", "delays", type=click.IntRange(0), multiple=True, default=(0, 512), show_default=True)
@click.option("--budget", type=click.FloatRange(0.1), default=20.0, show_default=True, help="Processor seconds a cell.")
@click.option("--jobs", type=click.IntRange(1), help="Cells at a time, each on a core of its own; all cores without.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="JSON to write, and a page beside it. Without: docs/results/bench.json, docs/benchmarks.md and "
    "build/bench.html; build/bench.json where streams, peers or a file were chosen.",
)
@click.option("--fresh", is_flag=True, help="Measure everything anew.")
def main(  # noqa: PLR0913 (the options of a command)
    *,
    names: tuple[str, ...],
    csv: Path | None,
    label: str | None,
    ignore: str,
    parts: tuple[str, ...],
    rows: int,
    delays: tuple[int, ...],
    budget: float,
    jobs: int | None,
    seed: int,
    out: Path | None,
    fresh: bool,
) -> None:
    """Measure Acclimate and its peers side by side; write JSON, an HTML page and a table."""
    settings = Settings(
        rows=rows, delays=tuple(sorted(set(delays))), budget_s=budget, seed=seed, ignore=tuple(ignore.split(","))
    )
    entries, sources = chosen(parts), own(csv, label) if csv else real(names)
    out = out or (PART if names or csv or parts else RESULTS)
    try:
        check_writable(out)
        result = measure(settings, entries, sources, jobs or len(os.sched_getaffinity(0)), fresh=fresh)
    except (AcclimateError, AbsentError) as exc:
        raise click.ClickException(str(exc)) from exc
    text, page = to_json(result), PAGE if out == RESULTS else out.with_suffix(".html")
    write_text(out, text)
    write_text(page, report(json.loads(text)))
    if out == RESULTS:
        write_text(PLACE, markdown(json.loads(text)))
    print(out, page, sep="\n")


if __name__ == "__main__":
    main()
