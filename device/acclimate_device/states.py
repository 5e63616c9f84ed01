"""Make and grow the state of a learner as its manifest says; pure numpy, no runtime.

A state is a mapping from tensor name to a read-only array: what serves is never changed in place.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acclimate_shared.errors import ShapeError
from acclimate_shared.learner import LearnerPackage
from acclimate_shared.manifest import Manifest, TensorSpec

State = Mapping[str, NDArray[Any]]

MAX_STATE_BYTES = 1 << 30  # of all tensors together
_REMEDY = "use fewer features or classes, or a smaller learner"


def init_state(package: LearnerPackage, dims: Mapping[str, int], seed: int) -> State:
    """Return the state a learner starts with.

    Args:
        package: Its tensors are used where it has them; the others are drawn in the order of the manifest.
        dims: Size of every named dim of the state, e.g. ``features`` and ``classes``.
        seed: Of the generator; the same seed gives the same bits.

    Returns:
        Name to read-only array.

    Raises:
        ShapeError: If a size is missing, is not that of the package's own tensors, or makes the state too large.
    """
    manifest = package.manifest
    _check_size(manifest, dims)
    rng = np.random.default_rng(seed)
    state: dict[str, NDArray[Any]] = {}
    for spec in manifest.state:
        given = package.state.get(spec.name)
        if given is None:
            given = _draw(spec, dims, rng)
        elif given.shape != spec.resolve(dims):
            message = f"tensor {spec.name} of the package has another size; grow the state instead"
            raise ShapeError(message, field=spec.name, value=given.shape, remedy=f"expected {spec.resolve(dims)}")
        state[spec.name] = given
    return freeze(state)


def freeze(state: dict[str, NDArray[Any]]) -> State:
    """Make every array read-only and return the same mapping."""
    for array in state.values():
        array.setflags(write=False)
    return state


def dims_of(manifest: Manifest, state: State) -> dict[str, int]:
    """Return the sizes of the named dims in a state, after checking its names, dtypes and shapes.

    Raises:
        ShapeError: If the state is not one of this learner.
    """
    dims: dict[str, int] = {}
    for spec in manifest.state:
        array = state.get(spec.name)
        if array is None:
            raise ShapeError("a tensor of the state is missing", field=spec.name, remedy="start from init_state")
        for dim, size in zip(spec.shape, array.shape, strict=False):
            if isinstance(dim, str):
                dims.setdefault(dim, size)
        if array.dtype.name != spec.dtype or array.ndim != len(spec.shape) or spec.resolve(dims) != array.shape:
            message = f"tensor {spec.name} is not {spec.dtype} of shape {spec.shape}"
            raise ShapeError(message, field=spec.name, value=f"{array.dtype} {array.shape}", remedy="use init_state")
    if len(state) != len(manifest.state):
        unknown = min(state.keys() - {spec.name for spec in manifest.state})
        raise ShapeError("the learner has no such tensor", field=unknown, remedy="start from init_state")
    return dims


def grow(manifest: Manifest, state: State, dim: str, size: int) -> State:
    """Return a state whose dim ``dim`` is longer; what is new holds the fill value of each tensor.

    The fill is the value of kind ``constant`` and zero of the random kinds; ``eye`` continues its diagonal where both
    of the last axes grow. Tensors without the dim are shared, not copied.

    Args:
        manifest: Of the learner.
        state: Left as it is.
        dim: A named dim, usually ``classes``.
        size: The new size.

    Raises:
        ValueError: If the size would shrink the dim, or no tensor has it.
        ShapeError: If the state is not one of this learner, or becomes too large.
    """
    dims = dims_of(manifest, state)
    if size < dims.get(dim, size + 1):
        raise ValueError(f"cannot grow {dim} from {dims.get(dim)} to {size}")
    dims[dim] = size
    _check_size(manifest, dims)
    return freeze({spec.name: _grown(spec, state[spec.name], dims) for spec in manifest.state})


def _grown(spec: TensorSpec, old: NDArray[Any], dims: Mapping[str, int]) -> NDArray[Any]:
    shape = spec.resolve(dims)
    if shape == old.shape:
        return old
    new = np.full(shape, spec.init.value if spec.init.kind == "constant" else 0, spec.dtype)
    if spec.init.kind == "eye":
        for at in range(min(old.shape[-2:]), min(shape[-2:])):
            new[..., at, at] = spec.init.value
    new[tuple(slice(size) for size in old.shape)] = old
    return new


def _draw(spec: TensorSpec, dims: Mapping[str, int], rng: np.random.Generator) -> NDArray[Any]:
    shape, init = spec.resolve(dims), spec.init
    if init.kind == "normal":
        fan = 1 if init.fan is None else TensorSpec(name="fan", dtype="int64", shape=(init.fan,)).resolve(dims)[0]
        return (rng.standard_normal(shape) * (init.value / math.sqrt(fan))).astype(spec.dtype)
    if init.kind == "uniform":
        return (rng.random(shape) * init.value).astype(spec.dtype)
    new = np.full(shape, init.value if init.kind == "constant" else 0, spec.dtype)
    if init.kind == "eye":
        new[...] = init.value * np.eye(shape[-2], shape[-1])
    return new


def _check_size(manifest: Manifest, dims: Mapping[str, int]) -> None:
    total = sum(math.prod(spec.resolve(dims)) * np.dtype(spec.dtype).itemsize for spec in manifest.state)
    if total > MAX_STATE_BYTES:
        raise ShapeError("the state would be too large", field="bytes", value=total, remedy=_REMEDY)
