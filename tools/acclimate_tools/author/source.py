"""What authoring starts from: a learner as two pure torch functions and the declaration of its tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from acclimate_shared.manifest import HyperSpec, TensorSpec

State = Mapping[str, Tensor]
Predict = Callable[[State, Tensor], Tensor]
Update = Callable[[State, Tensor, Tensor, Tensor, Tensor], tuple[Mapping[str, Tensor], Tensor, Tensor]]

#: The normaliser's tensors; every learner that uses ``normalise`` declares them.
NORMALISER = tuple(
    TensorSpec(name=name, dtype="float64", shape=("features",)) for name in ("norm_count", "norm_mean", "norm_m2")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A learner before it is traced.

    Attributes:
        name: of the learner.
        task: classification or regression.
        about: one sentence for people.
        predict: ``(state, x) -> out``.
        update: ``(state, x, y, w, hyper) -> (next state, before, loss)``.
        state: the declared tensors, in order.
        hyper: the declared hyper-parameters, in order.
        x: the declared input.
        dims: example sizes of every named dim, all different and at least 2; also what the parity gate runs on.
        tensors: tensors to start from, by name; those absent are drawn as declared.
        symbolic: named dims that stay free in the graphs. ``rows`` always is.
        lanes: whether ``update`` is traced with a leading axis of lanes (several learners of the kind in one call), on
            everything but ``w``.
        weights: tensors whose change by learning may be added to another state of the same graphs.
        inner: default rows of a call.
        max_rows: hard limit of rows of a call.
    """

    name: str
    task: Literal["classification", "regression"]
    about: str
    predict: Predict
    update: Update
    state: tuple[TensorSpec, ...]
    dims: Mapping[str, int]
    hyper: tuple[HyperSpec, ...] = ()
    x: TensorSpec = field(default_factory=lambda: TensorSpec(name="x", dtype="float64", shape=("rows", "features")))
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    symbolic: tuple[str, ...] = ()
    lanes: bool = False
    weights: tuple[str, ...] = ()
    inner: int = 32
    max_rows: int | None = None
