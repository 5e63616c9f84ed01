"""The pools of a committee in lanes: those over the same members learn in one call.

It is ``pool.update_class`` once more, in a form that takes a leading axis of lanes, and gives the very same bits (a
test compares them): what a pool is has not changed, so states and procedures stay those of ``pool``. That holds for
numbers of classes that are powers of 2, which room for classes always is. For values there is no such twin: sums over
an odd number of members begin at another alignment in each lane, and the last bits differ.
"""

import torch
from torch import Tensor

from acclimate_tools.author.heads import State, one_hot, product
from acclimate_tools.learners.pool import FLOOR, predict_class

__all__ = ["predict_class", "update_class"]


def _in_order(log_weights: Tensor, gains: Tensor, counted: Tensor, forgetting: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-weights in force at each row (rows, members) and after the last (members,).

    Args:
        log_weights: (members,) float64 before the step.
        gains: (rows, members) float64, already scaled.
        counted: (rows,) float64, 1 for rows that count; without an axis of lanes.
        forgetting: (1, 1) float64, fading a row.
    """
    upto = torch.cumsum(counted, 0)
    ago = upto - counted
    causal = torch.tril(torch.ones_like(upto[:, None] * upto[None]), -1)
    reach = causal * forgetting ** torch.clamp(ago[:, None] - upto[None], min=0.0)
    old = log_weights.unsqueeze(-2)
    at_row = forgetting ** ago[:, None] * old + product(reach, gains)
    total = counted.sum()
    after = (forgetting**total * old + product(forgetting ** (total - upto)[None], gains)).squeeze(-2)
    return at_row, after - after.amax(-1, keepdim=True)


def update_class(
    state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Learn from logged member answers (rows, members, classes); as ``pool.update_class``."""
    values = hyper.to(torch.float64).unsqueeze(-1)
    forgetting, rate, delay = values[..., 0:1, :], values[..., 1:2, :], values[..., 2:3, :]
    weights, counted = w.to(torch.float64), (w > 0).to(torch.float64)
    target = one_hot(y, x.shape[-1])
    floored = torch.maximum(x, FLOOR / x.shape[-1] * torch.ones_like(x))
    floored = floored / floored.sum(-1, keepdim=True)
    gains = -0.5 * ((floored - target.unsqueeze(-2)) ** 2).sum(-1) * (rate / torch.sqrt(1.0 + delay) * weights[:, None])
    at_row, after = _in_order(state["log_weights"], gains, counted, forgetting)
    before = (torch.softmax(at_row, -1)[..., None] * x).sum(-2)
    loss = (0.5 * ((before - target) ** 2).sum(-1) * weights).sum(-1) / torch.clamp(weights.sum(), min=1e-12)
    return {**state, "log_weights": after}, before.to(torch.float32), loss.to(torch.float32)
