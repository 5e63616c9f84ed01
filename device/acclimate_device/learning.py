"""How an agent learns, as the commands that run one say it, and the agent that is made of that."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from acclimate_device.admission.policy import read_policy
from acclimate_device.agent import Agent
from acclimate_device.durability import Durability
from acclimate_device.outside import Visitors
from acclimate_device.plans import read_plan
from acclimate_device.procedures import Task
from acclimate_device.rules import COMMISSION, Policy, Rules
from acclimate_device.schema import Column
from acclimate_device.slots import Bases
from acclimate_device.triggers.files import read_triggers
from acclimate_device.variants import read_variants
from acclimate_shared.errors import PackageError, StateError, UsageError

logger = logging.getLogger(__name__)

TEND_S = 5.0  # between two looks at the base models


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


@contextmanager
def living(learning: Learning, columns: Sequence[Column] | None = None) -> Iterator[Agent]:
    """Run an agent, with the released bases of its state, and look after these in a thread of its own.

    Args:
        learning: how.
        columns: of the features; None takes those of the first event.

    Raises:
        StateError, UsageError: see ``agent_of``.
    """
    bases = Bases(learning.state) if learning.state and learning.policy == "continual" else None
    agent = agent_of(learning, columns, bases)
    stopped = threading.Event()
    try:
        with agent, _tended(agent, bases, stopped):
            yield agent
    finally:
        if bases:
            bases.end()  # an exception is no crash: what raised it was not a graph


@contextmanager
def _tended(agent: Agent, bases: Bases | None, stopped: threading.Event) -> Iterator[None]:
    """Let installed bases take part and failed ones leave, from a thread, for a while."""
    if bases is None:
        yield
        return

    def look() -> None:
        while not stopped.wait(TEND_S):
            tend(agent, bases)

    thread = threading.Thread(target=look, name="acclimate-bases", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def tend(agent: Agent, bases: Bases) -> None:
    """Take note of how bases fare, once; let installed ones take part and failed ones leave."""
    try:
        agent.regroup(bases.attend(agent.health(), agent.commits, agent.unfit))
    except (PackageError, UsageError) as exc:
        agent.unfit = str(exc)
    except StateError as exc:
        logger.error("the base models wait: %s", exc)  # noqa: TRY400 (a full disk is no bug)


def agent_of(learning: Learning, columns: Sequence[Column] | None = None, bases: Bases | None = None) -> Agent:
    """Return the agent, which learns in a thread of its own.

    Args:
        learning: how.
        columns: of the features; None takes those of the first event.
        bases: of the state; None for none.

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
        visitors=Visitors(entering=bases.entering) if bases else Visitors(),
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
        bases=bases.begin() if bases else (),
        admission=read_policy(learning.admission) if learning.admission else None,
    )
