"""From any torch module to a learner: forward, backward, optimiser, normaliser and options as pure functions.

The parameters are one flat vector that is split inside the graph. ``before`` is the forward pass of the step itself, so
test-then-train costs nothing. What a module must be: stateless (no buffers such as BatchNorm's), deterministic (no
dropout), made of operators that ONNX has.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from acclimate_shared.errors import UsageError
from acclimate_shared.manifest import HyperSpec, TensorSpec
from acclimate_tools.author import reservoir
from acclimate_tools.author.heads import advance_target, in_units, masked_softmax, one_hot, target_scale, visible
from acclimate_tools.author.normalise import advance, normalise
from acclimate_tools.author.optimisers import Optimiser, clipped
from acclimate_tools.author.source import NORMALISER, Source, State

_EXAMPLE_ROWS = range(5, 9999, 2)
TARGET = tuple(
    TensorSpec(name=f"target_{name}", dtype="float64", shape=(1,)) for name in ("count", "mean", "m2", "low", "high")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How a module becomes a learner.

    Attributes:
        module: maps (rows, inputs) float32 to logits (rows, classes) or values (rows, 1).
        name: of the learner.
        task: classification or regression.
        features: columns of x.
        classes: for classification.
        optimiser: and its constants.
        clip_norm: largest norm of a gradient.
        replay_size: rows of a reservoir buffer in the state (which then holds rows), 0 for none.
        replay_rows: rows drawn from it into each step.
        ewc: strength of the pull towards the parameters at the start, weighted by ``fisher`` (Kirkpatrick et al. 2017).
        fisher: (parameters,) float32 importance of each trained parameter; None for 1.
        frozen: prefixes of parameter names that are never trained (a backbone); they have no optimiser state.
        class_balanced: weigh rows by the inverse frequency of their class.
        flag_missing: give the module a 0/1 input more per feature that says what was missing.
        categories: column to number of codes, for embeddings: such a column is passed on unscaled, held in 0 .. n - 1.
        inner: default rows of a step.
    """

    module: nn.Module
    name: str
    task: Literal["classification", "regression"]
    features: int
    classes: int = 0
    optimiser: Optimiser = field(default_factory=Optimiser)
    clip_norm: float | None = None
    replay_size: int = 0
    replay_rows: int = 0
    ewc: float = 0.0
    fisher: Tensor | None = None
    frozen: Sequence[str] = ()
    class_balanced: bool = False
    flag_missing: bool = False
    categories: Mapping[int, int] = field(default_factory=dict)
    inner: int = 32

    def source(self) -> Source:
        """Return the learner, ready to be traced.

        Raises:
            UsageError: the module has buffers, no trainable parameter, or the sizes make no sense.
        """
        return _Builder(self).source()


class _Builder:
    """The functions of one network, closed over its constants."""

    def __init__(self, network: Network) -> None:
        self.net = network
        self.module = network.module.eval()
        if list(self.module.buffers()):
            remedy = "replace BatchNorm by LayerNorm or GroupNorm"
            raise UsageError("the module keeps buffers, which a pure function cannot", field="module", remedy=remedy)
        named = {name: p.detach().to(torch.float32) for name, p in self.module.named_parameters()}
        self.constants = (
            {n: p for n, p in named.items() if n.startswith(tuple(network.frozen))} if network.frozen else {}
        )
        self.trained = {n: p for n, p in named.items() if n not in self.constants}
        if not self.trained:
            raise UsageError("no parameter is trained", field="frozen", value=network.frozen, remedy="freeze less")
        if network.task == "classification" and network.classes < 2:  # noqa: PLR2004
            raise UsageError("at least two classes are needed", field="classes", value=network.classes)
        self.flat = torch.cat([p.reshape(-1) for p in self.trained.values()])

    def source(self) -> Source:
        net = self.net
        size = len(self.flat)
        state = [TensorSpec(name=s.name, dtype=s.dtype, shape=(net.features,)) for s in NORMALISER]
        tensors = {"parameters": self.flat}
        if net.task == "classification":
            state.append(TensorSpec(name="class_seen", dtype="float32", shape=(net.classes,)))
        else:
            state += TARGET
            tensors |= {"target_low": torch.tensor([1e300]).double(), "target_high": torch.tensor([-1e300]).double()}
        state.append(TensorSpec(name="parameters", dtype="float32", shape=(size,)))
        state += net.optimiser.state(size)
        if self.constants:
            tensors["frozen_parameters"] = torch.cat([p.reshape(-1) for p in self.constants.values()])
            frozen = len(tensors["frozen_parameters"])
            state.append(TensorSpec(name="frozen_parameters", dtype="float32", shape=(frozen,)))
        if net.replay_size:
            state += reservoir.specs(
                net.replay_size, net.features, "int64" if net.task == "classification" else "float64"
            )
        if net.ewc:
            state += [TensorSpec(name=n, dtype="float32", shape=(size,)) for n in ("anchor", "fisher")]
            tensors |= {"anchor": self.flat.clone(), "fisher": torch.ones(size) if net.fisher is None else net.fisher}
        zeros = {s.name: torch.zeros(s.resolve({}), dtype=getattr(torch, s.dtype)) for s in state}
        classes = net.task == "classification"
        return Source(
            name=net.name,
            task=net.task,
            about=f"{type(self.module).__name__} with {size:,} trained parameters, {net.optimiser.kind}.",
            predict=self.predict_class if classes else self.predict_value,
            update=self.update_class if classes else self.update_value,
            state=tuple(state),
            dims={"rows": self._rows({size for spec in state for size in spec.resolve({})})},
            hyper=(HyperSpec(name="rate", default=net.optimiser.rate, low=0.0, high=max(1.0, net.optimiser.rate)),),
            x=TensorSpec(name="x", dtype="float64", shape=("rows", net.features)),
            weights=("parameters",),
            tensors={**zeros, **{name: tensor.clone() for name, tensor in tensors.items()}},
            inner=net.inner,
        )

    def _rows(self, sizes: set[int]) -> int:
        """Return an example number of rows that is no other size: tracing would take the two for one."""
        net, shapes = self.net, [p.shape for p in self.module.parameters()]
        taken = sizes | {size for shape in shapes for size in shape} | {net.features * 2, net.replay_rows}
        return next(n for n in _EXAMPLE_ROWS if n not in taken and n + net.replay_rows not in taken)

    # -- forward ------------------------------------------------------------------------------------------------

    def inputs(self, state: State, x: Tensor) -> Tensor:
        """Return what the module sees, (rows, inputs) float32."""
        z = normalise(state, x)
        if self.net.categories:
            columns = list(torch.split(z, 1, dim=1))
            for column, codes in self.net.categories.items():
                raw = x[:, column : column + 1]
                known = torch.clamp(torch.where(torch.isnan(raw), 0.0, raw), 0.0, codes - 1.0)
                columns[column] = torch.floor(known).to(torch.float32)
            z = torch.cat(columns, 1)
        return torch.cat([z, torch.isnan(x).to(torch.float32)], 1) if self.net.flag_missing else z

    def forward(self, state: State, flat: Tensor, z: Tensor) -> Tensor:
        """Return what the module makes of ``z`` with the trained ``flat`` and the frozen parameters of the state."""
        parameters = _split(flat, self.trained)
        if self.constants:
            parameters |= _split(state["frozen_parameters"], self.constants)
        out: Tensor = functional_call(self.module, parameters, (z,))
        return out

    def predict_class(self, state: State, x: Tensor) -> Tensor:
        logits = self.forward(state, state["parameters"], self.inputs(state, x))
        return masked_softmax(logits, visible(state["class_seen"]).to(torch.float32))

    def predict_value(self, state: State, x: Tensor) -> Tensor:
        return in_units(state, self.forward(state, state["parameters"], self.inputs(state, x))[:, 0].to(torch.float64))

    # -- learning -----------------------------------------------------------------------------------------------

    def batch(self, state: State, x: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the rows of a step with those drawn from the replay buffer after them."""
        if not self.net.replay_size:
            return x, y, w
        old_x, old_y, known = reservoir.draw(state, self.net.replay_rows)
        return torch.cat([x, old_x], 0), torch.cat([y, old_y], 0), torch.cat([w, known], 0)

    def descend(
        self, state: State, losses: Callable[[Tensor], tuple[Tensor, Tensor]], rate: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Take one step; return parameters and optimiser tensors, the outputs before it, the loss."""
        flat = state["parameters"]
        gradient, (loss, outputs) = grad_and_value(losses, has_aux=True)(flat)
        if self.net.ewc:
            gradient = gradient + self.net.ewc * state["fisher"] * (flat - state["anchor"])
        moved, kept = self.net.optimiser.step(state, flat, clipped(gradient, self.net.clip_norm), rate)
        return {"parameters": moved, **kept}, outputs, loss

    def keep(self, state: State, x: Tensor, y: Tensor, w: Tensor) -> dict[str, Tensor]:
        """Return normaliser and replay buffer after the rows of a step."""
        kept = advance(state, x, w)
        if self.net.replay_size:
            kept |= reservoir.insert(state, x, y, w, self.net.replay_rows)
        return kept

    def update_class(
        self, state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        rows = x.shape[0]
        all_x, all_y, all_w = self.batch(state, x, y, w)
        targets = one_hot(all_y, self.net.classes).to(torch.float32)
        seen = state["class_seen"] + (targets[:rows] * w[:, None]).sum(0)
        if self.net.class_balanced:
            share = seen / torch.clamp(seen.sum(), min=1e-12)
            present = (seen > 0).to(torch.float32).sum()
            all_w = all_w * (targets / torch.clamp(share * present, min=1e-6)).sum(1)
        weight = all_w / torch.clamp(all_w.sum(), min=1e-12)
        z = self.inputs(state, all_x)
        unseen = (1.0 - (seen > 0).to(torch.float32)) * -1e9

        def losses(flat: Tensor) -> tuple[Tensor, Tensor]:
            logits = self.forward(state, flat, z)
            return -((torch.log_softmax(logits + unseen, 1) * targets).sum(1) * weight).sum(), logits

        moved, logits, loss = self.descend(state, losses, hyper[0])
        before = masked_softmax(logits[:rows], visible(state["class_seen"]).to(torch.float32))
        return {**state, **self.keep(state, x, y, w), **moved, "class_seen": seen}, before, loss

    def update_value(
        self, state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        rows = x.shape[0]
        target = advance_target(state, y, w)
        all_x, all_y, all_w = self.batch(state, x, y, w)
        normal = torch.clamp((all_y - target["target_mean"]) / target_scale(target), -10.0, 10.0).to(torch.float32)
        weight = all_w / torch.clamp(all_w.sum(), min=1e-12)
        z = self.inputs(state, all_x)

        def losses(flat: Tensor) -> tuple[Tensor, Tensor]:
            output = self.forward(state, flat, z)[:, 0]
            error = (output - normal).abs()
            huber = torch.where(error < 1.0, 0.5 * error * error, error - 0.5)
            return (huber * weight).sum(), output

        moved, output, loss = self.descend(state, losses, hyper[0])
        before = in_units(state, output[:rows].to(torch.float64))
        return {**state, **self.keep(state, x, y, w), **target, **moved}, before, loss


def _split(flat: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a flat vector, named and shaped as in ``like``."""
    parts = torch.split(flat, [tensor.numel() for tensor in like.values()])
    return {name: part.reshape(t.shape) for (name, t), part in zip(like.items(), parts, strict=True)}
