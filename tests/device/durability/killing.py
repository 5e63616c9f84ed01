"""Processes that die: forked from a warm one, killed after a while or at the n-th write, fsync or rename.

Run as ``python -m tests.device.durability.killing MODE FOLDER KILLS SEED``; prints what was found as JSON. A process of
its own, since it forks: no thread may run when it does.
"""

import ctypes
import json
import mmap
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from acclimate_device.agent import Agent
from acclimate_device.durability import Durability
from acclimate_device.fleet_rows import FleetRows
from acclimate_device.journal import Journal, Mark, Reader
from acclimate_device.records import Given
from acclimate_device.relearning import tidy
from acclimate_device.spare import COPY
from acclimate_device.store import Store
from acclimate_device.store_tables import put_waiting, waiting
from acclimate_shared.errors import StateError
from tests.device.test_agent import events

OPTIONS: dict[str, Any] = {"task": "classification", "learners": ["softmax", "naive-bayes"], "micro_batch": 8}
TRACEME, PEEKUSER, POKEUSER, DETACH, SYSCALL, SETOPTIONS = 0, 3, 6, 17, 24, 0x4200
SYSGOOD, EXITKILL = 1, 0x100000
ORIG_RAX, RAX = 15 * 8, 10 * 8
NO_CALL = 2**63 - 1  # a system call that there is not
EIO, ENOSPC = 5, 28
TURNS = (4, 7)  # labels before which a checkpoint is made
# x86-64: write, pwrite64, writev, fsync, fdatasync, rename, renameat2, unlink, ftruncate
CHANGING = {1, 18, 20, 74, 75, 82, 316, 87, 77, 263, 264}
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long] * 4
_libc.ptrace.restype = ctypes.c_long


def killed_at(number: int, work: Callable[[], None]) -> bool:
    """Fork, let the child work, kill it before its ``number``-th changing system call; return whether it got there."""
    child = _traced(work)
    seen, entering = 0, False
    while True:
        _libc.ptrace(SYSCALL, child, 0, 0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return False
        if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
            continue
        entering = not entering
        if entering and _libc.ptrace(PEEKUSER, child, ORIG_RAX, 0) in CHANGING:
            seen += 1
            if seen == number:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return True


def refused_at(number: int, error: int, work: Callable[[], None]) -> bool:
    """Fork, let the child work, and refuse its ``number``-th changing system call; return whether it got there."""
    child = _traced(work)
    seen, entering = 0, False
    while True:
        _libc.ptrace(SYSCALL, child, 0, 0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return False
        if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
            continue
        entering = not entering
        if not entering or _libc.ptrace(PEEKUSER, child, ORIG_RAX, 0) not in CHANGING:
            continue
        seen += 1
        if seen == number:
            _libc.ptrace(POKEUSER, child, ORIG_RAX, NO_CALL)
            _libc.ptrace(SYSCALL, child, 0, 0)
            os.waitpid(child, 0)
            _libc.ptrace(POKEUSER, child, RAX, -error)
            _libc.ptrace(DETACH, child, 0, 0)
            os.waitpid(child, 0)
            return True


def _traced(work: Callable[[], None]) -> int:
    """Fork a child that works under the eyes of this process; return it."""
    child = os.fork()
    if child == 0:
        _libc.ptrace(TRACEME, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    _libc.ptrace(SETOPTIONS, child, 0, SYSGOOD | EXITKILL)
    return child


def one_commit(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill at every change that a commit of the store with a turn of the journal makes; ``kills`` of them at most."""
    start, mark = _begun(folder)
    numbers = list(range(1, 400))
    if kills < len(numbers):
        numbers = sorted(random.Random(seed).sample(range(1, 60), kills))  # noqa: S311 (when to kill)
    found = {"kills": 0, "old": 0, "new": 0, "acknowledged": 0}
    for number in numbers:
        place = folder / "place"
        shutil.copytree(start, place)
        told = folder / "told"
        told.write_bytes(b"")
        reached = killed_at(number, lambda place=place, told=told: _commit(place, mark, told))  # type: ignore[misc]
        with closing(Store(place)) as store:
            saved = store.load()
            if saved is None:
                raise AssertionError("no checkpoint")
            n = saved[1]["n"]
            if saved[0]["t"].tolist() != [n] * 5000:
                raise AssertionError("a mixture of two checkpoints")
            marked = Mark(saved[1]["mark"][0], bytes.fromhex(saved[1]["mark"][1]))
            labels = [r.sequence for r in Reader(place, store.vault).records(marked) if isinstance(r, Given)]
            store.commit({"t": np.full(5000, 9)}, {"n": 9})
        acknowledged = [int(line) for line in told.read_text().split()]
        expected = [label for label in acknowledged if n == 1 or label >= 5]
        if labels[: len(expected)] != expected or len(labels) > len(expected) + 1:
            raise AssertionError(f"acknowledged {acknowledged}, kept {labels} after checkpoint {n}")
        found["old" if n == 1 else "new"] += 1
        found["kills"] += reached
        found["acknowledged"] += len(acknowledged)
        shutil.rmtree(place)
        if not reached and kills >= len(numbers):
            break
    return found


def _begun(folder: Path) -> tuple[Path, Mark]:
    """Make a state with a checkpoint, and without a copy, so that the copy is part of what happens."""
    start, mark = folder / "start", Mark(1, b"c" * 16)
    with closing(Store(start)) as store:
        store.commit({"t": np.full(5000, 1)}, {"n": 1, "mark": [mark.number, mark.chain.hex()]})
    (start / COPY).unlink()
    return start, mark


def refused(folder: Path, refusals: int, seed: int) -> dict[str, Any]:
    """Let the disk refuse one change of a commit, each in turn; what was acknowledged before and after it is kept."""
    start, mark = _begun(folder)
    numbers = [(number, error) for number in range(1, 120) for error in (EIO, ENOSPC)]
    if refusals < len(numbers):
        numbers = random.Random(seed).sample(numbers[:120], refusals)  # noqa: S311 (what to refuse)
    found = {"refused": 0, "old": 0, "new": 0, "acknowledged": 0, "said": 0}
    for number, error in numbers:
        place = folder / "place"
        shutil.copytree(start, place)
        told = mmap.mmap(-1, 4096)  # shared with the child, and written without a system call
        found["refused"] += refused_at(number, error, lambda place=place, told=told: _stubborn(place, mark, told))  # type: ignore[misc]
        if told[100]:
            raise AssertionError(f"change {number}, error {error}: {told[101 : 101 + told[100]].decode()}")
        with closing(Store(place)) as store:
            saved = store.load()
            if saved is None or saved[0]["t"].tolist() != [saved[1]["n"]] * 5000:
                raise AssertionError("no checkpoint, or a mixture of two")
            marked = Mark(saved[1]["mark"][0], bytes.fromhex(saved[1]["mark"][1]))
            labels = [r.sequence for r in Reader(place, store.vault).records(marked) if isinstance(r, Given)]
        first = (0, *TURNS)[saved[1]["n"] - 1]
        expected = [label for label in range(first, 10) if told[label]]
        if sorted(set(labels)) != list(dict.fromkeys(labels)) or not set(expected) <= set(labels):
            raise AssertionError(f"change {number}, error {error}: acknowledged {expected}, kept {labels}")
        found["new" if first == TURNS[-1] else "old"] += 1
        found["acknowledged"] += len(expected)
        found["said"] += told[20]
        shutil.rmtree(place)
    return found


def _stubborn(place: Path, mark: Mark, told: mmap.mmap) -> None:
    """As ``_commit``, but whoever is refused tries once more, and the rest goes on; anything but a refusal is told."""
    try:
        store, kept = Store(place), mark.number
        journal = Journal(place, store.vault, mark, idle_s=None)
        for i in range(10):
            if i in TURNS:
                following = journal.turn()
                try:
                    journal.sync()
                    n = 2 + TURNS.index(i)
                    store.commit({"t": np.full(5000, n)}, {"n": n, "mark": [following.number, following.chain.hex()]})
                    tidy(place, journal, kept)
                    kept = following.number
                except StateError:
                    told[20] = 1
            ticket = journal.append(Given(i, f"b-{i}", "on", 1.0, 0))
            for _ in range(2):
                try:
                    journal.sync(ticket)
                except StateError:
                    told[20] = 1
                    continue
                told[i] = 1
                break
        journal.close()
        store.close()
    except StateError:
        told[20] = 1
    except BaseException as exc:  # noqa: BLE001 (told to the parent)
        text = repr(exc).encode()[:100]
        told[100], told[101 : 101 + len(text)] = len(text), text


def _commit(place: Path, mark: Mark, told: Path) -> None:
    """Acknowledge labels, turn, commit, acknowledge more; tell each acknowledgement as a caller would see it."""
    line = os.open(told, os.O_WRONLY | os.O_APPEND)
    store = Store(place)
    journal = Journal(place, store.vault, mark, idle_s=None)
    for i in range(10):
        if i == 5:
            following = journal.turn()
            journal.sync()
            store.commit({"t": np.full(5000, 2)}, {"n": 2, "mark": [following.number, following.chain.hex()]})
            journal.forget(following.number - 1)
        journal.sync(journal.append(Given(i, f"b-{i}", "on", 1.0, 0)))
        os.write(line, f"{i}\n".encode())
    journal.close()
    store.close()


def rotation(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill while both keys of a state are changed."""
    from acclimate_device.wipe import rewrap

    def change(place: Path) -> None:
        with closing(Store(place)) as store:
            store.rotate()
        rewrap(place)

    start = folder / "start"
    make_folder = closing(Store(start))
    rows, lines = [(4, b"four"), (7, b"seven")], [b"one\n", b"two\n"]
    with make_folder as store:
        store.commit({"t": np.arange(3000)}, {"n": 1}, lines)
        store.bind({"key": "who"})
        FleetRows(store).keep("fact", b"secret")
        with store.rows() as execute:
            put_waiting(execute, store.vault, rows)
    found = 0
    for number in sorted(random.Random(seed).sample(range(1, 90), min(kills, 89))):  # noqa: S311
        place = folder / "place"
        shutil.copytree(start, place)
        found += killed_at(number, lambda place=place: change(place))  # type: ignore[misc]
        with closing(Store(place)) as store:
            saved = store.load()
            sealed: list[Any] = [store.lineage(), store.binding(), FleetRows(store).fact("fact")]
            with store.rows() as execute:
                sealed.append(waiting(execute, store.vault))
        if saved is None or saved[0]["t"].tolist() != list(range(3000)):
            raise AssertionError("lost by a rotation")
        if sealed != [b"".join(lines), {"key": "who"}, b"secret", rows]:
            raise AssertionError(f"lost by a rotation: {sealed}")
        change(place)
        shutil.rmtree(place)
    return {"kills": found}


def agent_kills(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill an agent at random moments; then compare it with one that nobody disturbed."""
    rows, rng, state = events(40 * kills + 400), random.Random(seed), folder / "state"  # noqa: S311
    due = Durability.due
    Agent(**OPTIONS)  # loads the graphs before the first fork
    told, begun, done = folder / "told", time.monotonic(), 0
    told.write_bytes(b"")
    total = len(rows) - 100
    while done < kills:
        child = os.fork()
        if child == 0:
            try:
                # checkpoints often, or nothing of them is ever killed
                Durability.due = lambda self, **facts: due(self, **(facts | {"since_s": 9e9}))  # type: ignore[method-assign]
                _live(state, rows, told, total)
            finally:
                os._exit(0)
        _wait(told, rng)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        done += 1
        if time.monotonic() - begun > 1700:
            break
    acknowledged = [int(line) for line in told.read_text().split()]
    if acknowledged != sorted(set(acknowledged)):
        raise AssertionError("a label was acknowledged twice")
    agent = Agent(**OPTIONS, state=state)
    learned = agent.status()["learned"]
    if not acknowledged or not acknowledged[-1] + 1 <= learned <= acknowledged[-1] + 2:
        raise AssertionError(f"{len(acknowledged)} acknowledged, {learned} learned")
    whole = Agent(**OPTIONS)
    for features, label in rows[:learned]:
        whole.feedback(whole.predict(features).id, label)
    if _bits(agent) != _bits(whole):
        raise AssertionError("not the bits of an undisturbed run")
    agent.release()
    return {"kills": done, "labels": learned, "bit_exact": True, "lost": 0, "twice": 0}


def _wait(told: Path, rng: random.Random) -> None:
    """Wait for a moment to kill: while the child starts and recovers, or some labels later."""
    if rng.random() < 0.25:
        time.sleep(rng.uniform(0.0, 0.1))
        return
    enough, limit = told.stat().st_size + rng.randint(1, 80), time.monotonic() + 10
    while told.stat().st_size < enough and time.monotonic() < limit:
        time.sleep(0.001)
    time.sleep(rng.uniform(0.0, 0.01))


def _live(state: Path, rows: list[tuple[dict[str, object], str]], told: Path, total: int) -> None:
    line = os.open(told, os.O_WRONLY | os.O_APPEND)
    with Agent(**OPTIONS, state=state) as agent:
        for i in range(agent.status()["learned"], total):
            agent.feedback(agent.predict(rows[i][0]).id, rows[i][1])
            os.write(line, f"{i}\n".encode())
        time.sleep(5)


def _bits(agent: Agent) -> str:
    if agent._arena is None or agent._inputs is None:
        raise AssertionError("the agent knows nothing")
    agent._complete(agent._arena)
    tensors = {name: np.asarray(array).tobytes().hex() for name, array in agent._arena.tensors().items()}
    arena = agent._arena.document()
    arena["gains"] = [way[:2] for way in arena["gains"]]  # CPU-seconds are of this run
    return json.dumps([tensors, arena, agent._inputs.document()], sort_keys=True)


MODES = {"commit": one_commit, "refused": refused, "rotation": rotation, "agent": agent_kills}

if __name__ == "__main__":
    mode, where, most, start_seed = sys.argv[1:]
    found = MODES[mode](Path(where), int(most), int(start_seed))
    sys.stdout.write(json.dumps(found) + "\n")
