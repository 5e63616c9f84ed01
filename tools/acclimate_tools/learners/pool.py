"""How the committee weighs its members: exponential weights over bounded losses, slowed by the delay of the labels.

A member's weight is ``exp(sum of faded gains)``. The gain of a label is minus the member's bounded loss on the
prediction it made *when the event came*, logged with it, so late labels judge the members as they really answered.
Each gain counts ``rate / sqrt(1 + delay)``: with labels ``delay`` events late, the best fixed rate of exponential
weights falls with the root of the delay (Weinberger and Ordentlich 2002; Joulani et al. 2013), because what was
learned from one label comes too late to correct the next ones. Rows of one step are answered in order: the weights of
row i know the gains of the rows before it.
"""

import torch
from torch import Tensor

from acclimate_tools.author.heads import State

FLOOR = 0.02  # probability shared among the classes before a loss is taken: no member is ever certain
ERROR_MEMORY = 1000.0  # rows over which the usual size of an error is averaged


def _floored(x: Tensor) -> Tensor:
    """Return member probabilities (rows, members, classes) that are at least FLOOR / classes before normalising."""
    classes = torch.ones_like(x[0, :1]).sum()
    p = torch.maximum(x, FLOOR / classes * torch.ones_like(x))
    return p / p.sum(2, keepdim=True)


def _weights(log_weights: Tensor) -> Tensor:
    """Return normalised weights (..., members) float64."""
    return torch.softmax(log_weights, -1)


def _in_order(log_weights: Tensor, gains: Tensor, counted: Tensor, forgetting: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-weights in force at each row (rows, members) and after the last (members,).

    Args:
        log_weights: (members,) float64 before the step.
        gains: (rows, members) float64, already scaled.
        counted: (rows,) float64, 1 for rows that count.
        forgetting: () float64, fading a row.
    """
    upto = torch.cumsum(counted, 0)
    ago = upto - counted
    causal = torch.tril(torch.ones_like(gains @ gains.T), -1)
    reach = causal * forgetting ** torch.clamp(ago[:, None] - upto[None], min=0.0)
    at_row = forgetting ** ago[:, None] * log_weights[None] + reach @ gains
    total = counted.sum()
    after = forgetting**total * log_weights + forgetting ** (total - upto) @ gains
    return at_row, after - after.amax(0)


def _step(w: Tensor, hyper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (forgetting, scaled rate per row (rows, 1), counted (rows,)) float64 from (forgetting, rate, delay)."""
    values = hyper.to(torch.float64)
    rate = values[1] / torch.sqrt(1.0 + values[2])
    return values[0], rate * w.to(torch.float64)[:, None], (w > 0).to(torch.float64)


def predict_class(state: State, x: Tensor) -> Tensor:
    """Return the weighted mean of member probabilities (rows, members, classes) as (rows, classes) float32."""
    return (_weights(state["log_weights"])[None, :, None] * x).sum(1).to(torch.float32)


def update_class(
    state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Learn from logged member answers; loss is the mean Brier score of the committee, halved to stay in [0, 1]."""
    forgetting, rate, counted = _step(w, hyper)
    target = (y[:, None] == torch.arange(x.shape[2])[None]).to(torch.float64)
    gains = -0.5 * ((_floored(x) - target[:, None]) ** 2).sum(2) * rate
    at_row, after = _in_order(state["log_weights"], gains, counted, forgetting)
    before = (_weights(at_row)[:, :, None] * x).sum(1)
    weights = w.to(torch.float64)
    loss = (0.5 * ((before - target) ** 2).sum(1) * weights).sum() / torch.clamp(weights.sum(), min=1e-12)
    return {**state, "log_weights": after}, before.to(torch.float32), loss.to(torch.float32)


def predict_value(state: State, x: Tensor) -> Tensor:
    """Return the weighted mean of member values (rows, members) as (rows,) float64."""
    return (_weights(state["log_weights"])[None] * x).sum(1)


def update_value(
    state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Learn from logged member values; a loss is the absolute error over 4 usual errors, at most 1."""
    forgetting, rate, counted = _step(w, hyper)
    error = (x - y[:, None]).abs()
    n = counted.sum()[None]
    count = state["error_count"] + n
    usual = (error.amin(1) * counted).sum()[None] / torch.clamp(n, min=1.0)
    share = torch.clamp(torch.maximum(n / ERROR_MEMORY, n / torch.clamp(count, min=1.0)), max=1.0)
    scale = state["error_scale"] + (usual - state["error_scale"]) * share
    known = torch.clamp(torch.where(state["error_count"] > 0, state["error_scale"], scale), min=1e-12)
    gains = -torch.clamp(error / (8.0 * known), max=1.0) * rate
    at_row, after = _in_order(state["log_weights"], gains, counted, forgetting)
    before = (_weights(at_row) * x).sum(1)
    loss = ((before - y).abs() * w).sum() / torch.clamp(w.sum(), min=1e-12)
    next_state = {**state, "log_weights": after, "error_count": count, "error_scale": scale}
    return next_state, before, loss.to(torch.float32)
