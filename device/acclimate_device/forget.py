"""To forget what a source has taught: back to the last state before it, and learn again what others taught since.

A source's labels are in every state since its first one, so those states leave the disk, the copy of the file, old
journals and what was set aside as damaged with them. What is learned again are the rows of others that are kept
(``admission.provenance``): the latest of each. What others taught before those is lost, and is said so.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from acclimate_device.admission.provenance import Taught
from acclimate_device.agent import Agent
from acclimate_device.arena import Arena
from acclimate_device.checkpoint import Saved
from acclimate_device.control import reopen
from acclimate_device.store import Store
from acclimate_device.wipe import destroy, leftovers
from acclimate_shared.errors import StateError, UsageError

CHUNK = 32  # rows learned at once


def forget(folder: Path, source: str, *, who: str, why: str, revoke: bool = False) -> dict[str, Any]:
    """Forget what a source has taught; return what was done.

    Args:
        folder: of the state of an agent that does not run.
        source: its name.
        who: decides.
        why: for the record.
        revoke: whether labels that it gives from now on are refused.

    Raises:
        UsageError: no such source, no reason, or no agent's state.
        StateError: the state is in use or damaged, or the disk refuses.
    """
    if not why.strip():
        raise UsageError("to forget needs a reason", field="why", value=why, remedy="say why, for the record")
    with reopen(folder) as agent:
        known = agent.desk.provenance.known
        if not source or source not in known:
            remedy = f"use one of {', '.join(name for name in known if name) or 'none: no source has a name'}"
            raise UsageError("this source has taught nothing", field="source", value=source, remedy=remedy)
        told = _forget(agent, source, who=who, why=why, revoke=revoke)
    return told | {"files_destroyed": _clear(folder)}


def _clear(folder: Path) -> int:
    """Destroy journals and damaged files from before, in which the source's labels are; return how many."""
    with closing(Store(folder)) as store:
        saved = store.load()
    number = saved[1]["journal"][0] if saved and "journal" in saved[1] else 0
    files = leftovers(folder, number)
    try:
        for path in files:
            destroy(path)
    except OSError as exc:
        message = f"what the source has taught is forgotten, but old files stay: {exc.strerror}"
        raise StateError(message, field="state", value=str(folder), remedy="check disk and rights, and repeat") from exc
    return len(files)


def _forget(agent: Agent, source: str, *, who: str, why: str, revoke: bool) -> dict[str, Any]:
    store = agent.store
    if store is None:
        raise RuntimeError("an agent without a state has nothing to go back to")
    agent.commit()
    labels, stained, clean = agent.desk.provenance.known[source][1], list[int](), None
    for generation, saved in store.checkpoints():
        if _knows(saved, source):
            stained.append(generation)
        elif clean is None and _columns(saved) == _columns(store.load() or saved):
            clean = saved
    after = clean[1]["provenance"][0] if clean else 0
    provenance = agent.desk.provenance
    rows = provenance.others(source, after)
    between = provenance.labels - after - labels
    agent.desk.forget(source, revoke=revoke)

    def again(arena: Arena) -> int:
        _teach(arena, rows)
        arena.operated(f"what {source} taught is forgotten; {why}", who, "forget")
        return len(rows)

    agent.start_over(clean, again)
    store.drop(stained)
    return {
        "source": source,
        "labels_forgotten": labels,
        "back_to": ".".join(map(str, clean[1]["arena"]["version"])) if clean else "the beginning",
        "learned_again": len(rows),
        "labels_of_others_lost": max(0, between - len(rows)),
        "version": agent.version,
        "revoked": revoke,
        "promise": "nothing on this disk was taught by it; flash may keep old blocks, and copies elsewhere stay",
    }


def _knows(saved: Saved, source: str) -> bool:
    _, known, _, crowded = saved[1].get("provenance", [0, [], [], False])
    return bool(crowded) or any(name == source for name, *_ in known)


def _columns(saved: Saved) -> Any:  # noqa: ANN401 (JSON)
    return saved[1]["columns"]


def _teach(arena: Arena, rows: list[Taught]) -> None:
    """Learn rows in order, without judging anybody by them."""
    whole = np.int64 if arena.committee.task == "classification" else np.float64
    for at in range(0, len(rows), CHUNK):
        part = rows[at : at + CHUNK]
        x, w = np.stack([row.x for row in part]), np.array([row.weight for row in part], np.float32)
        arena.train(x, np.array([row.target for row in part]).astype(whole), w, logged=None, delay=0.0)
