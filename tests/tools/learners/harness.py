"""Run a shipped learner and the torch functions it was traced from side by side."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from acclimate_device.executor import Learner, State
from acclimate_device.procedures import standard_learner
from acclimate_tools.author.source import Source
from acclimate_tools.learners.catalogue import SOURCES

Array = np.ndarray[Any, Any]
POOLS = {"pool", "pools"}  # their inputs are answers
HIDDEN_SIZES = {"fourier": 6, "hidden": 8, "slots": 40, "members": 3}


def learner_of(source: Source) -> Learner:
    return standard_learner(source.name, source.task)


def source_of(name: str, task: str) -> Source:
    return next(s for s in SOURCES if (s.name, s.task) == (name, task))


def sizes(features: int, classes: int) -> dict[str, int]:
    return {**HIDDEN_SIZES, "features": features, "classes": classes, "phi": 1 + features + HIDDEN_SIZES["fourier"]}


def batch(
    source: Source, rows: int, features: int, classes: int, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Return x with gaps, y, and weights of which some are 0."""
    if source.name in POOLS:
        members = HIDDEN_SIZES["members"]
        x = (
            rng.dirichlet(np.ones(classes), (rows, members))
            if source.task == "classification"
            else rng.standard_normal((rows, members))
        )
    else:
        x = rng.standard_normal((rows, features)) * np.logspace(-3, 4, features)
        x[rng.random(x.shape) < 0.1] = np.nan
    y = rng.integers(0, classes, rows) if source.task == "classification" else rng.standard_normal(rows) * 30 + 7
    w = rng.choice([0.0, 1.0, 2.5], rows, p=[0.2, 0.6, 0.2]).astype(np.float32)
    return x, y, w


def eager(source: Source, state: State, *args: Array) -> tuple[Mapping[str, Array], Array, float]:
    """One update of the torch functions themselves."""
    tensors = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
    after, before, loss = source.update(tensors, *(torch.from_numpy(np.asarray(a).copy()) for a in args))
    return {name: tensor.numpy() for name, tensor in after.items()}, before.numpy(), float(loss)


def eager_predict(source: Source, state: State, x: Array) -> Array:
    tensors = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
    out: Array = source.predict(tensors, torch.from_numpy(x.copy())).numpy()
    return out


def close(a: Array, b: Array, bound: float = 1e-5) -> bool:
    """The gate's measure: difference of norms relative to the reference's, or absolute below 1."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return False
    a, b = np.nan_to_num(a), np.nan_to_num(b)  # a window holds rows as they came, gaps included
    return bool(np.linalg.norm((a - b).ravel()) <= bound * max(float(np.linalg.norm(b.ravel())), 1.0))
