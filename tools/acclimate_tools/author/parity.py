"""The parity gate: a traced learner must do on a device what torch does at authoring time.

Two claims are checked. *Single steps*: from each of many states along torch's own trajectory, one step of the graph
gives every tensor within 1e-5 of torch's, relative to its norm. *Free running*: left to itself from the same start, the
graph's loss stays within 1 % of torch's on average. float32 trajectories part by chaos, so no more can be claimed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from acclimate_device.executor import Learner
from acclimate_shared.errors import PackageError
from acclimate_shared.learner import LearnerPackage
from acclimate_tools.author.source import Source

Array = np.ndarray[Any, Any]

STEPS = 1000
STEP_BOUND = 1e-5
LOSS_BOUND = 0.01
GAPS = 0.02  # share of missing values in the gate's data


class ParityError(PackageError):
    """A traced learner does not do what its torch source does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """What the gate measured: worst relative difference of a tensor and which; relative difference of the loss."""

    steps: int
    worst: float
    tensor: str
    loss_difference: float


def difference(found: Array, expected: Array) -> float:
    """Return the norm of the difference over the norm of the expected tensor, or over 1 if that is smaller."""
    a, b = np.nan_to_num(np.asarray(found, np.float64)), np.nan_to_num(np.asarray(expected, np.float64))
    return float(np.linalg.norm((a - b).ravel()) / max(float(np.linalg.norm(b.ravel())), 1.0))


def check(
    source: Source,
    package: LearnerPackage,
    *,
    steps: int = STEPS,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Parity:
    """Run the gate.

    Args:
        source: the torch functions.
        package: what was traced from them.
        steps: single steps to compare; also the length of the free run.
        seed: of the data.
        progress: called with the number of steps done.

    Returns:
        What was measured.

    Raises:
        ParityError: a tensor or the loss is out of bounds; names it.
    """
    rng = np.random.default_rng(seed)
    learner = Learner(package)
    hyper = learner.hyper()
    teacher = rng.standard_normal((_width(source), max(source.dims.get("classes", 0), _classes(source), 1)))
    start = learner.init_state(dict(source.dims), seed)
    truth: Mapping[str, Array] = start
    free: Any = start
    worst, tensor = 0.0, ""
    losses = np.zeros((steps, 2))
    for step in range(steps):
        batch = _batch(source, teacher, rng)
        expected, before, loss = _eager(source, truth, *batch, hyper)
        found, found_before, _ = learner.update(truth, *batch, hyper)
        counted = batch[2] > 0
        pairs = [(name, found[name], array) for name, array in expected.items()]
        for name, a, b in [*pairs, ("before", found_before[counted], before[counted])]:
            size = difference(a, b)
            if not size <= STEP_BOUND:
                remedy = "write the step with other operators; float32 reductions in another order are the usual cause"
                raise ParityError(f"step {step} differs from torch by {size:.1e}", field=name, remedy=remedy)
            worst, tensor = max((worst, tensor), (size, name))
        free, _, free_loss = learner.update(free, *batch, hyper)
        losses[step] = loss, free_loss
        truth = expected
        if progress:
            progress(step + 1)
    gap = abs(float(losses[:, 1].mean() / max(abs(losses[:, 0].mean()), 1e-12)) - 1.0)
    if not gap <= LOSS_BOUND:
        raise ParityError(f"the free-running loss differs by {gap:.2%}", field="loss", remedy="use a smaller rate")
    return Parity(steps=steps, worst=worst, tensor=tensor, loss_difference=gap)


def _width(source: Source) -> int:
    return int(np.prod(source.x.resolve({**source.dims})[1:]))


def _classes(source: Source) -> int:
    seen = next((spec for spec in source.state if spec.name == "class_seen"), None)
    return seen.resolve(source.dims)[0] if seen else 0


def _batch(source: Source, teacher: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Return x with a few gaps, y from a linear teacher with noise, and weights of which some are 0."""
    rows = source.max_rows or source.inner
    shape = (rows, *source.x.resolve({**source.dims})[1:])
    x = rng.standard_normal(shape)
    score = x.reshape(rows, -1) @ teacher + 0.5 * rng.standard_normal((rows, teacher.shape[1]))
    if len(shape) == 2:  # noqa: PLR2004 (rows and features)
        x = x * 3.0 + 10.0
        x[rng.random(shape) < GAPS] = np.nan
    y = score.argmax(1) if source.task == "classification" else score[:, 0] * 5.0 + 20.0
    w = rng.choice([0.0, 1.0, 2.0], rows, p=[0.1, 0.8, 0.1]).astype(np.float32)
    return x, y, w


def _eager(source: Source, state: Mapping[str, Array], *args: Array) -> tuple[dict[str, Array], Array, float]:
    """Run one update of the torch functions."""
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
    after, before, loss = source.update(tensors, *(torch.from_numpy(np.array(arg)) for arg in args))
    return {n: t.detach().numpy() for n, t in after.items()}, before.detach().numpy(), float(loss)
