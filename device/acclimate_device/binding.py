"""What a state is tied to: facts that its results depend on, sealed, since names of columns are among them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acclimate_device.join import Window
from acclimate_device.plans import default_plan
from acclimate_device.procedures import Procedure, Task
from acclimate_device.rules import Rules
from acclimate_shared.errors import StateMismatchError

if TYPE_CHECKING:  # what seals takes memory: loaded where a state is kept
    from acclimate_device.vault import Vault

PLACE = "meta/binding"


def facts_of(
    task: Task,
    procedures: Sequence[Procedure],
    rules: Rules,
    window: Window,
    *,
    key: str | None,
    seed: int,
    micro_batch: int,
) -> dict[str, Any]:
    """Return what the state of an agent is tied to; see ``Agent``."""
    return {
        "task": task,
        "members": [procedure.name for procedure in procedures],
        "key": key,
        "seed": seed,
        "micro_batch": micro_batch,
        "plan": (rules.plan or default_plan(task)).digest,
        **rules.facts(),
        "window": window.facts(),
    }


def sealed(facts: Mapping[str, Any], vault: "Vault") -> str:
    """Return facts as text that only the vault opens."""
    return vault.seal(PLACE, json.dumps(facts, sort_keys=True).encode()).hex()


def opened(text: str, vault: "Vault") -> dict[str, Any]:
    """Return the facts.

    Raises:
        CorruptStateError: they are damaged.
    """
    return dict(json.loads(vault.open(PLACE, bytes.fromhex(text))))


def check(bound: Mapping[str, Any], facts: Mapping[str, Any], folder: Path) -> None:
    """Refuse a state that is tied to something else.

    Raises:
        StateMismatchError: naming the first fact that differs.
    """
    for name in sorted(bound.keys() | facts.keys()):
        if bound.get(name) != facts.get(name):
            message = f"the state in {folder} belongs to another run: {name} was {bound.get(name)!r}"
            remedy = "repeat the first command, or use another --state folder"
            raise StateMismatchError(message, field=name, value=facts.get(name), remedy=remedy)
