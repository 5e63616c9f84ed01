"""One run: what it is called, what it needs, its cells under a progress bar, and the document that comes of it."""

import hashlib
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from acclimate_tools.bench.peers.catalogue import FAMILIES, OURS, Entry
from acclimate_tools.bench.peers.cells import Cell, Ran, Stream, run_all
from acclimate_tools.bench.peers.prepare import record
from acclimate_tools.bench.peers.results import document
from acclimate_tools.bench.peers.venvs import AbsentError, Environment, environment
from acclimate_tools.bench.replay import ROOT, machine

WORK = ROOT / "build" / "bench"
MEASURED = ("shared/acclimate_shared", "device/acclimate_device", "tools/acclimate_tools/bench/peers")
TELLING = {
    "page.py",
    "scatter.py",
    "columns.py",
    "words.py",
    "document.py",
    "results.py",
    "scores.py",
}  # they measure nothing


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
    """Return the environment of each family that is needed, and why others cannot be had.

    Raises:
        AbsentError: Acclimate itself cannot be installed.
    """
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
        raise AbsentError(f"Acclimate itself: {absent[OURS]}")
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
    return {"processor": name, "memory_bytes": memory, "load": os.getloadavg()[0]}


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
