"""Optimisers as pure functions on one flat parameter vector, with the semantics of torch.optim."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from acclimate_shared.manifest import TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimiser:
    """Which optimiser, and its constants; ``rate`` is the default of the hyper-parameter of that name."""

    kind: Literal["sgd", "momentum", "adam", "adamw"] = "adam"
    rate: float = 1e-3
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def state(self, size: int) -> tuple[TensorSpec, ...]:
        """Return the tensors it keeps for ``size`` parameters."""
        one = TensorSpec(name="optimiser_step", dtype="float32", shape=(1,))
        first = TensorSpec(name="optimiser_m", dtype="float32", shape=(size,))
        second = TensorSpec(name="optimiser_v", dtype="float32", shape=(size,))
        kept: dict[str, tuple[TensorSpec, ...]] = {"sgd": (), "momentum": (first,)}
        return kept.get(self.kind, (one, first, second))

    def step(
        self, state: Mapping[str, Tensor], parameters: Tensor, gradient: Tensor, rate: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the next parameters (n,) float32 and the optimiser's next tensors."""
        if self.kind == "adamw":
            parameters = parameters * (1.0 - rate * self.weight_decay)
        elif self.weight_decay:
            gradient = gradient + self.weight_decay * parameters
        if self.kind == "sgd":
            return parameters - rate * gradient, {}
        if self.kind == "momentum":
            moved = self.momentum * state["optimiser_m"] + gradient
            return parameters - rate * moved, {"optimiser_m": moved}
        first, second = self.betas
        step = state["optimiser_step"] + 1.0
        m = first * state["optimiser_m"] + (1.0 - first) * gradient
        v = second * state["optimiser_v"] + (1.0 - second) * gradient * gradient
        scale = torch.sqrt(v / (1.0 - second**step)) + self.epsilon
        after = parameters - rate * (m / (1.0 - first**step)) / scale
        return after, {"optimiser_step": step, "optimiser_m": m, "optimiser_v": v}


def clipped(gradient: Tensor, norm: float | None) -> Tensor:
    """Return the gradient scaled down to at most ``norm``, as torch.nn.utils.clip_grad_norm_ does."""
    if norm is None:
        return gradient
    total = torch.sqrt((gradient * gradient).sum())
    return gradient * torch.clamp(norm / (total + 1e-6), max=1.0)
