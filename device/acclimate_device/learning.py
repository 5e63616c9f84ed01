"""How an agent learns, as the commands that run one say it, and the agent that is made of that."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from acclimate_device.admission.policy import read_policy
from acclimate_device.agent import Agent
from acclimate_device.durability import Durability
from acclimate_device.plans import read_plan
from acclimate_device.procedures import Task
from acclimate_device.rules import COMMISSION, Policy, Rules
from acclimate_device.schema import Column
from acclimate_device.triggers.files import read_triggers
from acclimate_device.variants import read_variants


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """What the options of ``acclimate run`` and ``acclimate serve`` have in common."""

    task: Task = "classification"
    state: Path | None = None
    key: str | None = None
    learners: tuple[str, ...] | None = None
    micro_batch: int = 512
    seed: int = 0
    policy: Policy = "continual"
    commission: int = COMMISSION
    challengers: tuple[str, ...] | None = None
    plan: Path | None = None
    triggers: str | None = None
    durability: Durability = field(default_factory=Durability)
    scratch: int = 0
    variants: Path | None = None
    admission: Path | None = None
    outside: tuple[Path, ...] = ()


def agent_of(learning: Learning, columns: Sequence[Column] | None = None) -> Agent:
    """Return the agent, which learns in a thread of its own.

    Args:
        learning: how.
        columns: of the features; None takes those of the first event.

    Raises:
        StateError: the state cannot be used.
        UsageError: an unknown learner or challenger, or a file that cannot be used.
    """
    rules = Rules(
        policy=learning.policy,
        challengers=learning.challengers,
        plan=read_plan(learning.plan, learning.task) if learning.plan else None,
        commission=learning.commission,
        scratch=learning.scratch,
        variants=read_variants(learning.variants, learning.task) if learning.variants else (),
    )
    return Agent(
        task=learning.task,
        columns=columns,
        learners=learning.learners,
        key=learning.key,
        seed=learning.seed,
        micro_batch=learning.micro_batch,
        state=learning.state,
        background=True,
        rules=rules,
        triggers=read_triggers(learning.triggers) if learning.triggers else None,
        durability=learning.durability,
        outside=learning.outside,
        admission=read_policy(learning.admission) if learning.admission else None,
    )
