"""What the graphs of a learner take and give, as its manifest implies it.

``predict(state..., x) -> out`` and ``update(state..., x, y, w, hyper) -> (state'..., before, loss)``; the new value of
a state tensor ``a`` is called ``a__next``. A graph may leave out an input that it does not use, but ``x`` (and ``y``).
Where the manifest says ``lanes``, everything in ``update`` but ``w`` has a leading axis of that name.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from acclimate_shared.errors import ManifestError, ShapeError
from acclimate_shared.manifest import NEXT, Manifest, TensorSpec

Specs = Mapping[str, TensorSpec]

_ONNX_TYPES = {"float32": "tensor(float)", "float64": "tensor(double)", "int64": "tensor(int64)"}
_REMEDY = "author the package again"


class Port(Protocol):
    """An input or output of a loaded graph; onnxruntime's ``NodeArg`` is one."""

    @property
    def name(self) -> str:
        """Name in the graph."""

    @property
    def type(self) -> str:
        """For example ``tensor(float)``."""

    @property
    def shape(self) -> Sequence[int | str | None]:
        """Sizes; a name or None where any size is taken."""


def state_specs(manifest: Manifest) -> dict[str, TensorSpec]:
    """Return the state tensors by name, in the order of the manifest."""
    return {spec.name: spec for spec in manifest.state}


def step_specs(manifest: Manifest) -> dict[str, TensorSpec]:
    """Return ``x``, ``y``, ``w`` and ``hyper``, the inputs of ``update`` beside the state."""
    y = TensorSpec(name="y", dtype="int64" if manifest.task == "classification" else "float64", shape=("rows",))
    w = TensorSpec(name="w", dtype="float32", shape=("rows",))
    hyper = TensorSpec(name="hyper", dtype="float32", shape=(len(manifest.hyper),))
    return {"x": manifest.x, "y": y, "w": w, "hyper": hyper}


def output_spec(manifest: Manifest) -> TensorSpec:
    """Return what ``predict`` gives: probabilities, or values in target units.

    A learner whose number of classes is fixed says so in the shape of its ``class_seen``.
    """
    if manifest.task == "classification":
        seen = state_specs(manifest).get("class_seen")
        classes = seen.shape[0] if seen is not None and len(seen.shape) == 1 else "classes"
        return TensorSpec(name="out", dtype="float32", shape=("rows", classes))
    return TensorSpec(name="out", dtype="float64", shape=("rows",))


def check_predict(manifest: Manifest, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
    """Check the ports of the predict graph.

    Raises:
        ManifestError: If a port is missing or not declared.
        ShapeError: If a port has another dtype or shape.
    """
    _check("predict.onnx", inputs, state_specs(manifest) | {"x": manifest.x}, {"x"})
    _check("predict.onnx", outputs, {"out": output_spec(manifest)}, {"out"})


def check_update(manifest: Manifest, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
    """Check the ports of the update graph.

    Raises:
        ManifestError: If a port is missing or not declared.
        ShapeError: If a port has another dtype or shape.
    """
    after = {name + NEXT: spec for name, spec in state_specs(manifest).items()}
    after |= {"before": output_spec(manifest), "loss": TensorSpec(name="loss", dtype="float32", shape=())}
    before = state_specs(manifest) | step_specs(manifest)
    if manifest.lanes is True:
        before, after = _in_lanes(before), _in_lanes(after)
    _check("update.onnx", inputs, before, {"x", "y"})
    _check("update.onnx", outputs, after, after)


def _in_lanes(specs: Specs) -> dict[str, TensorSpec]:
    return {
        name: spec if name == "w" else msgspec.structs.replace(spec, shape=("lanes", *spec.shape))
        for name, spec in specs.items()
    }


def _check(file: str, ports: Sequence[Port], specs: Specs, needed: Iterable[str]) -> None:
    missing = set(needed) - {port.name for port in ports}
    if missing:
        raise ManifestError(f"{file} lacks an input or output", field=min(missing), remedy=_REMEDY)
    for port in ports:
        spec = specs.get(port.name)
        if spec is None:
            raise ManifestError(f"{file} has an input or output that is not declared", field=port.name, remedy=_REMEDY)
        # A graph may leave a size open that the manifest fixes, not the other way round.
        fits = len(port.shape) == len(spec.shape) and all(
            not isinstance(size, int) or size == dim for size, dim in zip(port.shape, spec.shape, strict=True)
        )
        if port.type != _ONNX_TYPES[spec.dtype] or not fits:
            message = f"{file} does not agree with the manifest, which says {spec.dtype} {spec.shape}"
            raise ShapeError(message, field=port.name, value=f"{port.type} {port.shape}", remedy=_REMEDY)
