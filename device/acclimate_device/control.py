"""What a person may do to the model of a state folder while no agent runs: look, override, roll back, add inputs.

An override is recorded with who and why; it is no evidence for anything, and voids what was gathered about the old
champion.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from acclimate_device.agent import Agent
from acclimate_device.durability import Durability
from acclimate_device.join import Window
from acclimate_device.operate import column_of
from acclimate_device.procedures import Procedure
from acclimate_device.rules import Rules
from acclimate_device.slots import Bases
from acclimate_device.store import Store
from acclimate_device.store_tables import FILE
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
    if "file_sha256" in facts:
        told = "its contest is in what the replay says (--json, --report); `acclimate lineage` tells its versions"
        raise UsageError("this is the state of a replay", field="state", value=str(folder), remedy=told)
    if saved is None or "members" not in facts:
        raise UsageError("this is not the state of an agent", field="state", value=str(folder), remedy=remedy)
    plan = Plan.from_json(saved[1]["arena"]["contest"]["plan"].encode())
    chosen = facts["challengers"]
    rules = Rules(
        policy=facts["policy"],
        challengers=tuple(chosen) if chosen else None,
        plan=plan,
        commission=facts["commission"],
        scratch=facts["scratch"],
        rehearse=facts["rehearse"],
        variants=tuple(Procedure(**told) for told in facts["variants"]),
    )
    return Agent(
        task=facts["task"],
        learners=[name for name in facts["members"] if name not in {v.name for v in rules.variants}],
        key=facts["key"],
        seed=facts["seed"],
        micro_batch=facts["micro_batch"],
        state=folder,
        rules=rules,
        window=Window.of(facts["window"]),
        durability=Durability(**saved[1].get("durability", {})),
        bases=Bases(folder).present() if facts["policy"] == "continual" else (),
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


def held_in(folder: Path) -> list[dict[str, Any]]:
    """Return the labels that an agent's state holds in quarantine, oldest first.

    Raises:
        UsageError: there is no agent's state.
        StateError: the state is in use or damaged.
    """
    agent = reopen(folder)
    try:
        return agent.desk.listed()
    finally:
        agent.release()


def settle(folder: Path, numbers: Sequence[int], source: str | None, *, learn: bool, who: str, why: str) -> int:
    """Release labels from quarantine, so that they are learned, or discard them; return how many.

    Raises:
        UsageError: nothing like that is held, no reason, or no agent's state.
        StateError: the state is in use or damaged.
    """
    if not why.strip():
        raise UsageError("this needs a reason", field="why", value=why, remedy="say why, for the record")
    agent = reopen(folder)
    try:
        items = agent.desk.chosen(numbers, source)
        agent.amend(lambda arena: agent.desk.settle(arena, items, learn=learn, note=f"{who}: {why}"))
        return len(items)
    finally:
        agent.release()


def roll_back_base(folder: Path, *, who: str, why: str) -> dict[str, Any]:
    """Take the newest released base out of service, of a state at rest or in use; return its slot.

    An agent that runs lets it go within seconds; one that does not, when it starts. If the base served, the committee
    does; the base before it takes part again.

    Raises:
        UsageError: there is none, or no reason.
        StateError: the disk refuses.
    """
    if not why.strip():
        raise UsageError("this needs a reason", field="why", value=why, remedy="say why, for the record")
    found: dict[str, Any] = msgspec.to_builtins(Bases(folder).withdraw(f"{who}: {why}"))
    return found


def add_inputs(folder: Path, inputs: Sequence[str], *, who: str, why: str) -> dict[str, Any]:
    """Let a model take up more inputs, each ``NAME`` or ``NAME:KIND``; return the contest.

    Raises:
        UsageError: not a column, one that there is already, no reason, or no agent's state.
        StateError: the state is in use or damaged.
    """
    if not why.strip():
        raise UsageError("surgery needs a reason", field="why", value=why, remedy="say why, for the record")
    fresh = [column_of(text) for text in inputs]
    with reopen(folder) as agent:
        agent.add_inputs(fresh, who=who, why=why)
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
