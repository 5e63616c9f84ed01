"""What a person may do to the model of a state folder while no agent runs: look at the contest, override, roll back.

An override is recorded with who and why; it is no evidence for anything, and voids what was gathered about the old
champion.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

from acclimate_device.agent import Agent
from acclimate_device.rules import Rules
from acclimate_device.store import FILE, Store
from acclimate_shared.errors import UsageError
from acclimate_shared.evidence import Plan
from acclimate_shared.lineage import Lineage


def reopen(folder: Path) -> Agent:
    """Return the agent of a state folder as it was configured.

    Raises:
        UsageError: there is no agent's state.
        StateError: it is in use or damaged.
    """
    remedy = "name a folder that `acclimate run` or an Agent was given as state"
    if not (folder / FILE).is_file():
        raise UsageError("no state here", field="state", value=str(folder), remedy=remedy)
    with closing(Store(folder)) as store:
        facts, saved = store.binding(), store.load()
    if facts.get("outside"):
        wanted = "start the agent itself with the packages, and use its methods"
        raise UsageError("this state has candidates from outside", field="state", value=str(folder), remedy=wanted)
    if saved is None or "members" not in facts:
        raise UsageError("this is not the state of an agent", field="state", value=str(folder), remedy=remedy)
    plan = Plan.from_json(saved[1]["arena"]["contest"]["plan"].encode())
    chosen = facts["challengers"]
    rules = Rules(policy=facts["policy"], challengers=tuple(chosen) if chosen else None, plan=plan)
    return Agent(
        task=facts["task"],
        learners=facts["members"],
        key=facts["key"],
        seed=facts["seed"],
        micro_batch=facts["micro_batch"],
        state=folder,
        rules=rules,
    )


def promote(folder: Path, candidate: str, *, who: str, why: str) -> dict[str, Any]:
    """Let a candidate serve because a person says so; return the contest.

    Raises:
        UsageError: no such candidate, no reason, a frozen policy, or no agent's state.
        StateError: the state is in use or damaged.
    """
    with reopen(folder) as agent:
        agent.amend(lambda arena: arena.override(candidate, who, why))
        return agent.contest() or {}


def roll_back(folder: Path, *, who: str, why: str) -> dict[str, Any]:
    """Let the last proven state serve; return the contest.

    Raises:
        UsageError: there is none, it serves already, no reason, or no agent's state.
        StateError: the state is in use or damaged.
    """
    if not why.strip():
        raise UsageError("a rollback needs a reason", field="why", value=why, remedy="say why, for the record")
    with reopen(folder) as agent:
        agent.amend(lambda arena: arena.roll_back(f"{who}: {why}"))
        return agent.contest() or {}


def contest_of(folder: Path) -> dict[str, Any]:
    """Return the contest of an agent's state.

    Raises:
        UsageError: there is no agent's state.
        StateError: the state is in use or damaged.
    """
    agent = reopen(folder)
    try:
        return agent.contest() or {}
    finally:
        agent.release()


def lineage_of(folder: Path) -> Lineage:
    """Return the lineage of a state folder, of an agent or of a replay, every byte checked.

    Raises:
        UsageError: there is no state.
        StateError: it is in use or damaged.
    """
    if not (folder / FILE).is_file():
        remedy = "name the folder that was given as --state"
        raise UsageError("no state here", field="state", value=str(folder), remedy=remedy)
    with closing(Store(folder)) as store:
        return Lineage.loads(store.lineage())
