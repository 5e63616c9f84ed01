"""The members of the default committee, and how a name on the command line becomes learners.

A procedure is a learner with its hyper-parameters, sizes and inputs. One fixed set serves every stream: what
generalises is that the members differ (how fast they forget, what they see, how they compare), and that the pool
weighs them by what they really answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any, Literal

from acclimate_device.executor import Learner
from acclimate_shared.errors import UsageError
from acclimate_shared.learner import load_package

Task = Literal["classification", "regression"]

HISTORY = "history"
FEATURES = "features"


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """How one member learns.

    Attributes:
        name: id of the member, unique in a committee.
        learner: name of a standard learner.
        hyper: values that differ from the learner's defaults.
        dims: sizes of the learner's own dims (``fourier``: random features, ``slots``: rows in a window).
        inputs: ``history`` sees the features and the labels that had arrived, ``features`` the features alone.
        change: regression only: learn the change since the last target that had arrived, not its level.
        rehearses: whether it learns old rows again; one whose merit is to follow the present does not.
    """

    name: str
    learner: str
    hyper: Mapping[str, float] = field(default_factory=dict)
    dims: Mapping[str, int] = field(default_factory=dict)
    inputs: Literal["history", "features"] = "history"
    change: bool = False
    rehearses: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A way of weighing the members; the first of POOLS is the default champion.

    Attributes:
        name: id of the candidate.
        hyper: values that differ from the pool learner's defaults.
    """

    name: str
    hyper: Mapping[str, float] = field(default_factory=dict)


POOLS = (
    Pool(name="committee"),
    Pool(name="committee-quick", hyper={"rate": 1.0, "forgetting": 0.99}),
    Pool(name="committee-steady", hyper={"rate": 0.1, "forgetting": 1.0}),
)

CLASSIFICATION = (
    Procedure(name="rls-slow", learner="rls", hyper={"forgetting": 0.9999}),
    Procedure(name="rls", learner="rls", hyper={"forgetting": 0.999}, inputs="features"),
    Procedure(name="rls-fast", learner="rls", hyper={"forgetting": 0.99}, rehearses=False),
    Procedure(name="rls-linear", learner="rls", hyper={"forgetting": 0.9999, "waves": 0.0}),
    Procedure(name="knn", learner="knn"),
    Procedure(name="softmax", learner="softmax", hyper={"rate": 1.0}, rehearses=False),
    Procedure(name="softmax-slow", learner="softmax", hyper={"rate": 0.2}, inputs="features"),
    Procedure(name="naive-bayes", learner="naive-bayes", inputs="features"),
    Procedure(name="mlp", learner="mlp"),
)

REGRESSION = (
    Procedure(name="rls-slow", learner="rls", hyper={"forgetting": 0.9999}, change=True),
    Procedure(name="rls", learner="rls", hyper={"forgetting": 0.999}, change=True),
    Procedure(name="rls-fast", learner="rls", hyper={"forgetting": 0.995}, change=True),
    Procedure(name="rls-level", learner="rls", hyper={"forgetting": 0.999}),
    Procedure(name="knn", learner="knn"),
    Procedure(name="mlp", learner="mlp", change=True),
    Procedure(name="mlp-level", learner="mlp"),
    # They know nothing of earlier labels: where those come late, what they say is about another time.
    Procedure(name="rls-plain", learner="rls", hyper={"forgetting": 0.999}, inputs="features"),
    Procedure(name="knn-plain", learner="knn", inputs="features"),
)

ANSWERED_ROWS = 128  # by the graphs that ship in one call: their limit of rows is one of learning

DEFAULT_DIMS = {"fourier": 60, "slots": 1000, "hidden": 64}


@lru_cache(maxsize=32)
def standard_learner(name: str, task: Task) -> Learner:
    """Return a standard learner that ships with the agent.

    Raises:
        UsageError: there is none of this name for the task.
        PackageError: the installation is damaged.
    """
    folder = files("acclimate_device") / "learners" / f"{name}-{task}"
    if not folder.is_dir():
        raise UsageError(
            f"no standard learner for {task}", field="learner", value=name, remedy=f"use {', '.join(names(task))}"
        )
    with as_file(folder) as path:
        return Learner(load_package(path), answers=ANSWERED_ROWS)


def told(procedures: Sequence[Procedure]) -> list[dict[str, Any]]:
    """Return procedures as JSON values: the arguments that make them."""
    return [{**asdict(procedure), "hyper": dict(procedure.hyper)} for procedure in procedures]


def default_procedures(task: Task) -> tuple[Procedure, ...]:
    """Return the members of the default committee."""
    return CLASSIFICATION if task == "classification" else REGRESSION


def names(task: Task) -> list[str]:
    """Return the standard learners that exist for a task."""
    return sorted({p.learner for p in default_procedures(task)})


def select(task: Task, learners: Sequence[str] | None) -> tuple[Procedure, ...]:
    """Return the default procedures of the named learners (or procedures), all of them for None.

    Raises:
        UsageError: a name that is neither.
    """
    everything = default_procedures(task)
    if learners is None:
        return everything
    known = {p.learner for p in everything} | {p.name for p in everything}
    for name in learners:
        if name not in known:
            raise UsageError(
                f"no such learner for {task}", field="learners", value=name, remedy=f"use {', '.join(sorted(known))}"
            )
    return tuple(p for p in everything if p.learner in learners or p.name in learners)
