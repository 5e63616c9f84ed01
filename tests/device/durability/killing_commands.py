"""``acclimate run`` and ``acclimate replay`` as processes that are killed at random moments, forked from a warm one.

Run as ``python -m tests.device.durability.killing_commands MODE FOLDER KILLS SEED``; prints what was found as JSON.
"""

import gzip
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import acclimate_device
from acclimate_device.agent import Agent
from acclimate_device.cli import main
from acclimate_device.control import lineage_of, reopen
from acclimate_device.daemon import Settings
from acclimate_device.daemon import run as run_daemon
from acclimate_device.feeds import host_feed
from acclimate_shared.errors import UsageError

RECORDING = Path(acclimate_device.__file__).parent / "recordings" / "host_telemetry.csv.gz"
ROWS = 2_000
PERIOD_S = 0.01
AT_WORK = 0.8  # of the kills come after the first row, the others at any moment of the start
START_S = 60.0  # the longest that a start may take
SAME = ("rows_read", "rows_scored", "served", "baselines", "windows", "candidates", "promotions")


def started(work: Callable[[], object], out: Path) -> int:
    """Fork, work in the child with its output in a file; return the child."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        for stream, target in ((1, out), (2, Path(os.devnull))):
            os.dup2(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        work()
        code = 0
    finally:
        os._exit(code)


def command(words: list[str]) -> None:
    """Run a command of the program."""
    main(words, standalone_mode=False)


def daemon(settings: Settings) -> None:
    """Run what ``acclimate run`` runs, on a machine whose labels come soon."""
    run_daemon(settings, host_feed(settings.period_s, horizon_s=4 * settings.period_s))


def ended(child: int, after_s: float) -> bool:
    """Kill a child after a while; return whether it had ended well by itself.

    Raises:
        AssertionError: it failed.
    """
    until = time.monotonic() + after_s
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if status:
                raise AssertionError(f"it ended with {status}")
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def replay(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill replays until ``kills`` are reached; each that comes to its end must equal one that nobody disturbed."""
    rng, source, found = random.Random(seed), folder / "host.csv", {"kills": 0, "ends": 0}  # noqa: S311 (when to kill)
    source.write_bytes(gzip.decompress(RECORDING.read_bytes()))
    words = ["replay", str(source), "--label", "cpu_ahead", "--rows", str(ROWS), "--micro-batch", "64"]
    words += ["--learners", "softmax,naive-bayes"]
    begun = time.monotonic()
    if not ended(started(partial(command, [*words, "--json", str(folder / "whole.json")]), folder / "out"), 600):
        raise AssertionError("it does not end")
    usual_s = time.monotonic() - begun
    whole = json.loads((folder / "whole.json").read_text())
    while found["kills"] < kills or not found["ends"]:
        state, out = folder / "state", folder / "killed.json"
        resumed = [*words, "--state", str(state), "--json", str(out)]
        while not ended(started(partial(command, resumed), folder / "out"), rng.uniform(0.0, usual_s / 2 + 0.1)):
            found["kills"] += 1
        killed = json.loads(out.read_text())
        for field in SAME:
            if killed[field] != whole[field]:
                raise AssertionError(f"{field} differs after {found['kills']} kills")
        found["ends"] += 1
        shutil.rmtree(state)
        out.unlink()
    return {**found, "bit_exact": True}


def run(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill the daemon; after each kill no label that it had told of is lost, and the lineage is whole."""
    rng, state, out = random.Random(seed), folder / "state", folder / "out"  # noqa: S311 (when to kill)
    settings = Settings(
        state=state, period_s=PERIOD_S, as_json=True, learners=("softmax", "naive-bayes"), micro_batch=8
    )
    learned, told, versions = 0, 0, 0
    for _ in range(kills):
        out.unlink(missing_ok=True)
        child = started(partial(daemon, settings), out)
        if rng.random() < AT_WORK:
            at_work(out)
        if ended(child, rng.uniform(0.0, 0.8)):
            raise AssertionError("it ended")
        labels = given(out)
        now, versions = learned_in(state)
        if not learned + labels <= now <= learned + labels + 2:
            raise AssertionError(f"{learned} learned, {labels} more told, {now} kept")
        learned, told = now, told + labels
    return {"kills": kills, "labels": learned, "told": told, "lost": 0, "twice": 0, "versions": versions}


def at_work(out: Path) -> None:
    """Wait until a run has told of its first row."""
    until = time.monotonic() + START_S
    while not out.exists() or not out.stat().st_size:
        if time.monotonic() > until:
            raise AssertionError("it does not start")
        time.sleep(0.002)


def given(out: Path) -> int:
    """Return how many labels a run has told of; its last line may be torn."""
    if not out.exists():
        return 0
    rows = [json.loads(line) for line in out.read_bytes().split(b"\n")[:-1]]
    return sum(len(row["matured"]) for row in rows)


def learned_in(state: Path) -> tuple[int, int]:
    """Return how many labels a state holds after its recovery, and the records of its lineage.

    A child asks: who has once run a session must not fork any more, since its threads stay behind.
    """
    out = state.parent / "found"
    if not ended(started(partial(tell, state), out), START_S):
        raise AssertionError("it does not open")
    learned, records = json.loads(out.read_text())
    return learned, records


def tell(state: Path) -> None:
    """Print what a state holds; a folder in which no checkpoint is yet holds nothing."""
    try:
        agent: Agent = reopen(state)
    except UsageError:
        sys.stdout.write("[0, 0]")
    else:
        learned = int(agent.status()["learned"])
        agent.close()  # and so the next life goes on from a checkpoint as often as from a journal
        sys.stdout.write(json.dumps([learned, len(list(lineage_of(state)))]))
    sys.stdout.flush()


MODES = {"replay": replay, "run": run}

if __name__ == "__main__":
    mode, where, most, start_seed = sys.argv[1:]
    sys.stdout.write(json.dumps(MODES[mode](Path(where), int(most), int(start_seed))) + "\n")
