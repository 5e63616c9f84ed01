"""Model surgery: a learner takes up another input or class, keeps what it has learned, and answers as before.

Raiman, Zhang and Dennison 2019 (arXiv 1912.06719) trained one model through many changes of its inputs that way. What
is new gets no influence yet: zero weights and frequencies, a diagonal that continues, moments of an optimiser that
start at nothing, a normaliser that has seen nothing, gaps in rows that are kept. So every answer stays what it was,
whatever the new input holds, until the first step of learning. The waves of ``rls`` never see an input that was added:
its frequencies are not learned; it enters linearly.

Pure: tensors in, tensors out, guided by the symbolic dims of the manifest.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from acclimate_device import states
from acclimate_device.states import State
from acclimate_shared.errors import ShapeError
from acclimate_shared.manifest import Manifest, TensorSpec

FEATURES, PHI, FOURIER = "features", "phi", "fourier"  # phi: a constant, the inputs, then waves of them


def add_inputs(manifest: Manifest, state: State, at: Sequence[int]) -> State:
    """Return the state of a learner that has more inputs; no answer changes.

    Args:
        manifest: of the learner.
        state: left as it is.
        at: positions of the new inputs among all inputs afterwards, increasing.

    Raises:
        ValueError: positions that are not increasing or leave a gap.
        ShapeError: the state is not one of this learner, or its inputs go into a dim of an unknown kind.
    """
    dims = states.dims_of(manifest, state)
    if FEATURES not in dims or not at:
        return state
    features = dims[FEATURES] + len(at)
    if sorted(set(at)) != list(at) or at[0] < 0 or at[-1] >= features:
        raise ValueError(f"positions must be increasing and below {features}, not {list(at)}")
    if PHI in dims and dims[PHI] != 1 + dims[FEATURES] + dims.get(FOURIER, 0):
        remedy = f"use a learner whose {PHI} is a constant, its {FEATURES} and its {FOURIER}"
        raise ShapeError("the inputs of this learner cannot be told apart", field=PHI, value=dims[PHI], remedy=remedy)
    places = {FEATURES: list(at), PHI: [1 + place for place in at]}
    return states.freeze({s.name: _widened(manifest, s, state[s.name], places) for s in manifest.state})


def add_classes(manifest: Manifest, state: State, classes: int) -> State:
    """Return the state of a learner that can tell ``classes`` classes apart; no answer about known ones changes.

    Raises:
        ValueError: fewer classes than there are.
        ShapeError: the state is not one of this learner, or becomes too large.
    """
    dims = states.dims_of(manifest, state)
    return states.grow(manifest, state, "classes", classes) if "classes" in dims else state


def gaps(old: Sequence[str], new: Sequence[str]) -> list[int]:
    """Return the positions in ``new`` of what ``old`` does not have.

    Raises:
        ValueError: something of ``old`` is not in ``new``, or in another order.
    """
    at = [i for i, name in enumerate(new) if name not in set(old)]
    if [name for name in new if name in set(old)] != list(old):
        raise ValueError("inputs may be added, not removed, renamed or moved")
    return at


def inserted(array: NDArray[np.generic], axis: int, at: Sequence[int], fill: float) -> NDArray[np.generic]:
    """Return ``array`` with entries of ``fill`` at the positions ``at`` (of the result) of an axis."""
    shape = list(array.shape)
    shape[axis] += len(at)
    out = np.full(shape, fill, array.dtype)
    kept = np.setdiff1d(np.arange(shape[axis]), np.array(at, np.int64))
    out[(slice(None),) * axis + (kept,)] = array
    return out


def _widened(
    manifest: Manifest, spec: TensorSpec, array: NDArray[np.generic], places: dict[str, list[int]]
) -> NDArray[np.generic]:
    """Return one tensor with room for the new inputs; the array itself if it has no such dim."""
    axes = [(axis, places[dim]) for axis, dim in enumerate(spec.shape) if isinstance(dim, str) and dim in places]
    fill = np.nan if manifest.raw(spec) else spec.init.value if spec.init.kind == "constant" else 0.0
    for axis, at in axes:
        array = inserted(array, axis, at, fill)
    if spec.init.kind == "eye" and len(axes) > 1:
        new = axes[-1][1]
        array[..., new, new] = spec.init.value
    return array
