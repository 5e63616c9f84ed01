"""``make bench``: Acclimate beside what a user would pick instead, on the same rows, each on one core.

Writes JSON, a page with plots and, with the default output, ``docs/benchmarks.md``. Peers live in virtual environments
of their own, made the first time. A run that was killed goes on with the cells that it has not done, as long as
nothing that it measures has changed.
"""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from acclimate_device.outputs import check_writable, to_json, write_text
from acclimate_shared.errors import AcclimateError
from acclimate_tools.bench.peers.catalogue import ENTRIES, FAMILIES, OURS, Entry, slug
from acclimate_tools.bench.peers.cells import Cell, Ran, Stream, run_all
from acclimate_tools.bench.peers.document import PLACE, RESULTS, markdown
from acclimate_tools.bench.peers.page import report
from acclimate_tools.bench.peers.prepare import record
from acclimate_tools.bench.peers.results import document
from acclimate_tools.bench.peers.venvs import AbsentError, Environment, environment
from acclimate_tools.bench.replay import IGNORED, ROOT, data_folder, machine

WORK = ROOT / "build" / "bench"
PAGE = ROOT / "build" / "bench.html"  # of the default output; else it goes beside the JSON
MEASURED = ("shared/acclimate_shared", "device/acclimate_device", "tools/acclimate_tools/bench/peers")
TELLING = {"page.py", "scatter.py", "words.py", "document.py", "results.py", "scores.py"}  # they measure nothing

EXAMPLES = """
\b
Examples:
  python -m acclimate_tools.bench.compare
  python -m acclimate_tools.bench.compare --stream elec2 --peer river --peer acclimate --rows 2000
  python -m acclimate_tools.bench.compare --csv pump.csv --label state --delay 0 --delay 64 --out pump.json
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a run is; two runs of equal settings and equal sources are the same run.

    Attributes:
        rows: most rows of a stream.
        delays: rows that labels come late.
        budget_s: processor seconds that a cell may predict and learn.
        seed: of every peer.
        ignore: columns that are no features.
    """

    rows: int
    delays: tuple[int, ...]
    budget_s: float
    seed: int
    ignore: tuple[str, ...]


Source = tuple[str, Path, str]  # name, file, label column


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


def digest_of(settings: Settings, sources: Sequence[Source]) -> str:
    """Return what names a run's folder: a digest of its settings, its files and everything that it measures."""
    digest = hashlib.sha256(
        repr((settings, [(*s, s[1].stat().st_size, s[1].stat().st_mtime_ns) for s in sources])).encode()
    )
    for folder in MEASURED:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix != ".pyc" and path.name not in TELLING:
                digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def installed(entries: Sequence[Entry], console: Console) -> tuple[dict[str, Environment], dict[str, str]]:
    """Return the environment of each family that is needed, and why others cannot be had."""
    found: dict[str, Environment] = {}
    absent: dict[str, str] = {}
    for name in dict.fromkeys(entry.family for entry in entries):
        with console.status(f"installing {name}"):
            try:
                found[name] = environment(FAMILIES[name])
            except AbsentError as exc:
                absent[name] = str(exc)
                console.print(f"{name} is left out: {exc}")
    if OURS not in found:
        raise click.ClickException(f"Acclimate itself: {absent[OURS]}")
    return found, absent


def cells_of(streams: Sequence[Stream], entries: Sequence[Entry], settings: Settings) -> list[Cell]:
    """Return every cell of a run: stream by stream, delay by delay."""
    return [
        Cell(stream=stream, entry=entry, delay=delay, budget_s=settings.budget_s, seed=settings.seed)
        for stream in streams
        for delay in settings.delays
        for entry in entries
        if stream.recording.facts.task in entry.tasks
    ]


def measured(
    cells: Sequence[Cell], environments: Mapping[str, Environment], folder: Path, jobs: int, console: Console
) -> list[Ran]:
    """Run the cells under a progress bar."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("cells", total=len(cells))

        def told(ran: Ran) -> None:
            cell = ran.cell
            progress.update(
                task, advance=1, description=f"{cell.stream.name} +{cell.delay} {cell.entry.name}"[:44].ljust(44)
            )
            if ran.failed:
                progress.console.print(f"{cell.entry.name} on {cell.stream.name}, {cell.delay} late: {ran.failed}")

        return run_all(cells, environments, folder, jobs, told)


def hardware() -> dict[str, Any]:
    """Return the processor's name and the memory in bytes, where the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"processor": name, "memory_bytes": memory, "kernel": platform.release(), "load": os.getloadavg()[0]}


@click.command(epilog=EXAMPLES)
@click.option("--stream", "names", multiple=True, help="A stream of the data folder, again for more; all without.")
@click.option("--csv", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file of your own instead.")
@click.option("--label", help="The label column of --csv.")
@click.option("--ignore", default=IGNORED, show_default=True, help="Columns that are no features, by commas.")
@click.option("--peer", "parts", multiple=True, help="Part of the name of a peer or a family, again for more.")
@click.option("--rows", type=click.IntRange(100), default=8000, show_default=True, help="Most rows of a stream.")
@click.option("--delay", "delays", type=click.IntRange(0), multiple=True, default=(0, 512), show_default=True)
@click.option("--budget", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Processor seconds a cell.")
@click.option("--jobs", type=click.IntRange(1), help="Cells at a time, each on a core of its own; all cores without.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=RESULTS,
    help="JSON to write; the page goes beside it, or to build/bench.html without --out.",
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
    out: Path,
    fresh: bool,
) -> None:
    """Measure Acclimate and its peers side by side; write JSON, an HTML page and a table."""
    settings = Settings(
        rows=rows, delays=tuple(sorted(set(delays))), budget_s=budget, seed=seed, ignore=tuple(ignore.split(","))
    )
    entries, sources = chosen(parts), own(csv, label) if csv else real(names)
    try:
        check_writable(out)
        result = measure(settings, entries, sources, jobs or len(os.sched_getaffinity(0)), fresh=fresh)
    except AcclimateError as exc:
        raise click.ClickException(str(exc)) from exc
    text, page = to_json(result), PAGE if out == RESULTS else out.with_suffix(".html")
    write_text(out, text)
    write_text(page, report(json.loads(text)))
    if out == RESULTS:
        write_text(PLACE, markdown(json.loads(text)))
    print(out, page, sep="\n")


def measure(
    settings: Settings, entries: Sequence[Entry], sources: Sequence[Source], jobs: int, *, fresh: bool
) -> dict[str, Any]:
    """Run everything and return the result as JSON values.

    Raises:
        AcclimateError: a file cannot be used.
    """
    console = Console(stderr=True)
    work = WORK / digest_of(settings, sources)
    if fresh:
        shutil.rmtree(work, ignore_errors=True)
    streams = []
    for name, path, label in sources:
        with console.status(f"reading {name}"):
            recording = record(path, label, settings.ignore, settings.rows, work / "recordings" / name)
        streams.append(Stream(name=name, path=path, label=label, ignore=settings.ignore, recording=recording))
    environments, absent = installed(entries, console)
    there = [entry for entry in entries if entry.family in environments]
    ran = measured(cells_of(streams, there, settings), environments, work / "cells", jobs, console)
    return document({**machine(), **hardware()}, {**asdict(settings), "jobs": jobs}, environments, absent, ran)


if __name__ == "__main__":
    main()
