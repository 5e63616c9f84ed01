"""Run cells, each in a process of its own on a core of its own; a run that was killed goes on where it was."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from acclimate_tools.bench.peers.catalogue import FAMILIES, OURS, Entry, slug
from acclimate_tools.bench.peers.recording import Array, Recording
from acclimate_tools.bench.peers.venvs import Environment
from acclimate_tools.bench.replay import ROOT

#: Seconds of the wall clock that a cell may take beyond ten times its budget before it is ended.
PATIENCE_S = 300.0
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream to run over.

    Attributes:
        name: of the stream.
        path: its file.
        label: its label column.
        ignore: columns that are no features.
        recording: the same rows for the peers.
    """

    name: str
    path: Path
    label: str
    ignore: tuple[str, ...]
    recording: Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A peer on a stream with labels that come ``delay`` rows late."""

    stream: Stream
    entry: Entry
    delay: int
    budget_s: float
    seed: int

    def job(self) -> dict[str, Any]:
        """Return what its process is told, but for the core and the clock."""
        job: dict[str, Any] = {
            "adapter": FAMILIES[self.entry.family].adapter,
            "model": self.entry.model,
            "delay": self.delay,
            "budget_s": self.budget_s,
            "seed": self.seed,
            "last_label": self.entry.last_label,
        }
        if self.entry.family != OURS:
            return {**job, "recording": str(self.stream.recording.folder)}
        rows, ignore = self.stream.recording.facts.rows, list(self.stream.ignore)
        return {**job, "file": str(self.stream.path), "label": self.stream.label, "ignore": ignore, "rows": rows}


@dataclass(frozen=True, slots=True)
class Ran:
    """What a cell has left: its costs and answers, or why it failed."""

    cell: Cell
    cost: Mapping[str, Any]
    answers: Array
    failed: str = ""


def run_all(
    cells: Sequence[Cell], environments: Mapping[str, Environment], folder: Path, jobs: int, told: Callable[[Ran], None]
) -> list[Ran]:
    """Run the cells that have not run yet, ``jobs`` at a time, and return all in order.

    Args:
        cells: to run.
        environments: of the families that can be had.
        folder: where cells leave what they found.
        jobs: at most this many at a time; each has a core to itself.
        told: called after every cell, by the calling thread.
    """
    cores: SimpleQueue[int] = SimpleQueue()
    mine = sorted(os.sched_getaffinity(0))
    for at in range(jobs):
        cores.put(mine[at % len(mine)])

    def one(cell: Cell) -> Ran:
        core = cores.get()
        try:
            return run_one(cell, environments[cell.entry.family], folder, core)
        finally:
            cores.put(core)

    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(one, cell): at for at, cell in enumerate(cells)}
        found: dict[int, Ran] = {}
        try:
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                told(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [found[at] for at in range(len(cells))]


def run_one(cell: Cell, environment: Environment, folder: Path, core: int) -> Ran:
    """Run a cell, unless it has run already."""
    place = folder / cell.stream.name / f"delay-{cell.delay}" / slug(cell.entry.name)
    place.mkdir(parents=True, exist_ok=True)
    failure = place / "failed.txt"
    if not (place / "cost.json").exists() and not failure.exists():
        job = {**cell.job(), "core": core, "started": time.monotonic()}
        (place / "job.json").write_text(json.dumps(job), encoding="utf-8")
        code, why = _process(place, environment, 10 * cell.budget_s + PATIENCE_S)
        if why and code < 0:  # somebody ended it: the next run tries again
            return Ran(cell, {}, np.empty(0), why)
        if why:
            failure.write_text(why, encoding="utf-8")
    if failure.exists():
        return Ran(cell, {}, np.empty(0), failure.read_text(encoding="utf-8"))
    return Ran(cell, json.loads((place / "cost.json").read_text(encoding="utf-8")), np.load(place / "answers.npy"))


def _process(place: Path, environment: Environment, most_s: float) -> tuple[int, str]:
    """Run the process of a cell; return its exit code and why it failed, nothing if it did not."""
    command = [str(environment.python), "-m", "acclimate_tools.bench.peers.cell", str(place / "job.json")]
    variables = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(map(str, environment.path))}
    log = place / "log.txt"
    with log.open("wb") as out:
        try:
            done = subprocess.run(  # noqa: S603 (our own command)
                command,
                stdout=out,
                stderr=out,
                env=variables,
                cwd=ROOT,
                timeout=most_s,
                check=False,
                start_new_session=True,  # an interrupt ends the run after the cells that are running, not within them
            )
        except subprocess.TimeoutExpired:
            return 1, f"it was ended after {most_s:.0f} s"
    if done.returncode == 0 and (place / "cost.json").exists():
        return 0, ""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return done.returncode, lines[-1][:300] if lines else f"its process ended with {done.returncode}"
