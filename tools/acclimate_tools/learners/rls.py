"""Recursive least squares over the inputs and random Fourier features, with forgetting.

One step takes up to BLOCK rows and gives, for each, exactly the answer that learning the rows before it one by one
would have given. Row j of a step has the noise ``forgetting**j`` relative to the covariance P at its start (all
observations of the past fade alike), so the answers of a step are those of a Gaussian process with the kernel
``phi P phi'``; eliminating ``A = phi P phi' + diag(noise)`` from the top gives the innovations of the sequential
algorithm in order, and rank-BLOCK matrix products replace BLOCK passes over P. Random features: Rahimi and Recht
2007. Recursive least squares with forgetting: Haykin, Adaptive Filter Theory, ch. 10; the bound on the trace of P
stops its wind-up when inputs stand still.
"""

import torch
from torch import Tensor

from acclimate_tools.author.heads import (
    BLOCK,
    State,
    advance_target,
    in_units,
    one_hot,
    pad_rows,
    target_scale,
    visible,
)
from acclimate_tools.author.normalise import advance, normalise

TRACE_BOUND = 100.0  # mean of the diagonal of P (which starts at 1); more is wind-up
ERROR_START = 100.0  # rows after which an outlier no longer moves that scale freely
ERROR_MEMORY = 500.0  # rows over which the scale of an error is averaged


def _inputs(state: State, x: Tensor) -> Tensor:
    """Return (rows, 1 + features + fourier) float64: a constant, the normalised inputs, random cosines of them."""
    z = normalise(state, x).to(torch.float64)
    fourier = torch.scalar_tensor(state["phase"].shape[0], dtype=torch.float64)
    waves = torch.cos(z @ state["frequencies"] + state["phase"]) * torch.sqrt(2.0 / fourier)
    return torch.cat([torch.ones(z.shape[0], 1, dtype=torch.float64), z, waves], 1)


def _eliminate(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Factor ``kernel + 1`` into unit lower L and pivots: return the inverse of L and the pivots (BLOCK,).

    The kernel is positive semidefinite, so no pivot may fall below 1; holding it there keeps rounding errors from
    turning into negative variances. L is inverted by doubling: with N = L - 1 nilpotent,
    (1 + N)^-1 = (1 - N)(1 + N^2)(1 + N^4)..., until the power reaches BLOCK / 2.
    """
    one = torch.eye(BLOCK, dtype=torch.float64)
    rest = kernel + one
    columns, pivots = [], []
    for j in range(BLOCK):
        row = rest[j : j + 1]
        pivot = torch.clamp(row[:, j : j + 1], min=1.0)
        column = rest[:, j : j + 1] / pivot
        columns.append(column)
        pivots.append(pivot)
        if j < BLOCK - 1:
            rest = rest - column * row
    below = torch.tril(torch.cat(columns, 1), -1)
    inverse, power = one - below, below
    for _ in range(BLOCK.bit_length() - 2):
        power = power @ power
        inverse = inverse + inverse @ power
    return inverse, torch.cat(pivots, 1)[0]


def _learn(
    state: State, phi: Tensor, residual: Tensor, noise: Tensor, fade: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Absorb a block of rows into covariance and coefficients; also return the innovations (BLOCK, outputs)."""
    covariance = state["covariance"]
    root = torch.sqrt(noise)[:, None]
    gain = (phi / root) @ covariance
    inverse, pivots = _eliminate(gain @ (phi / root).T)
    innovations = inverse @ (residual / root)
    directions = inverse @ gain
    weighted = directions.T / pivots
    covariance = (covariance - weighted @ directions) / fade
    covariance = 0.5 * (covariance + covariance.T)
    mean_variance = torch.diagonal(covariance).mean()
    covariance = covariance * torch.clamp(TRACE_BOUND / mean_variance, max=1.0)
    learned = {"covariance": covariance, "coefficients": state["coefficients"] + weighted @ innovations}
    return learned, innovations * root


def _noise(w: Tensor, forgetting: Tensor) -> tuple[Tensor, Tensor]:
    """Return the relative noise of each row of a block (BLOCK,) and the fading of the whole block, float64."""
    counted = (w > 0).to(torch.float64)
    age = torch.cumsum(counted, 0)
    return forgetting**age / torch.clamp(w.to(torch.float64), min=1e-30), forgetting ** counted.sum()


def _probabilities(scores: Tensor, mask: Tensor) -> Tensor:
    """Return least-squares scores (rows, classes) clipped and normalised over the visible classes, float32."""
    weight = (torch.clamp(scores, 0.0, 1.0) + 1e-3) * mask
    return (weight / weight.sum(1, keepdim=True)).to(torch.float32)


def predict_class(state: State, x: Tensor) -> Tensor:
    """Return class probabilities (rows, classes) float32."""
    return _probabilities(_inputs(state, x) @ state["coefficients"], visible(state["class_seen"]))


def update_class(
    state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Learn up to BLOCK rows; ``hyper`` is (forgetting,). Returns next state, answers before learning, mean loss."""
    rows = x.shape[0]
    weights = pad_rows(w)
    classes = state["class_seen"].shape[0]
    targets = one_hot(pad_rows(y), classes)
    counted = targets * (weights > 0).to(torch.float64)[:, None]
    phi = _inputs(state, pad_rows(x))
    noise, fade = _noise(weights, hyper[0].to(torch.float64))
    learned, innovations = _learn(state, phi, targets - phi @ state["coefficients"], noise, fade)
    before = _probabilities(targets - innovations, visible(state["class_seen"], counted))
    weight_sum = torch.clamp(weights.sum(), min=1e-12)
    loss = (((targets - before) ** 2).sum(1) * weights).sum() / weight_sum
    seen = state["class_seen"] + (targets * weights[:, None].to(torch.float64)).sum(0).to(torch.float32)
    next_state = {**state, **learned, **advance(state, x, w), "class_seen": seen}
    return next_state, before[:rows], loss.to(torch.float32)


def predict_value(state: State, x: Tensor) -> Tensor:
    """Return values (rows,) float64 in target units."""
    return in_units(state, (_inputs(state, x) @ state["coefficients"])[:, 0])


def _robust(state: State, residual: Tensor) -> Tensor:
    """Return how much more noise a row has than it claims: its error over the usual one, at least 1 (BLOCK,).

    Least squares with these weights approximates least absolute deviation for large errors (Huber 1964).
    """
    known = state["error_count"] > 0
    scale = torch.where(known, state["error_scale"], 1.0)
    return torch.clamp(residual.abs() / torch.clamp(scale, min=1e-9), min=1.0)


def _advance_error(state: State, innovation: Tensor, counted: Tensor) -> dict[str, Tensor]:
    """Average the size of the errors (normalised units), each held under 5 times the average once it is known."""
    n = counted.sum()[None]
    count = state["error_count"] + n
    mean = (innovation.abs() * counted).sum()[None] / torch.clamp(n, min=1.0)
    limit = torch.where(state["error_count"] >= ERROR_START, 5.0 * state["error_scale"], 1e30)
    share = torch.maximum(n / ERROR_MEMORY, n / torch.clamp(count, min=1.0))
    scale = state["error_scale"] + (torch.minimum(mean, limit) - state["error_scale"]) * torch.clamp(share, max=1.0)
    return {"error_count": count, "error_scale": scale}


def _rescale(state: State, target: dict[str, Tensor], coefficients: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    """Express coefficients and error in the new units of the target so that no prediction changes.

    The first input is the constant 1, so a moved mean goes into its coefficient (as Pop-Art does for a network's
    last layer, van Hasselt et al. 2016).
    """
    old, new = target_scale(state), target_scale(target)
    ratio = old / new
    shift = torch.where(state["target_count"] > 0, state["target_mean"] - target["target_mean"], 0.0)
    moved = coefficients * ratio
    return torch.cat([moved[:1] + (shift / new)[None], moved[1:]], 0), error * ratio


def update_value(
    state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Learn up to BLOCK rows; ``hyper`` is (forgetting,). Returns next state, answers before learning, mean loss."""
    rows = x.shape[0]
    weights, targets = pad_rows(w), pad_rows(y)
    counted = (weights > 0).to(torch.float64)
    target = advance_target(state, y, w)
    first = state["target_count"] == 0
    base = {**state, "target_mean": torch.where(first, target["target_mean"], state["target_mean"])}
    normal = ((targets - base["target_mean"]) / target_scale(base))[:, None]
    phi = _inputs(state, pad_rows(x))
    residual = (normal - phi @ state["coefficients"]) * counted[:, None]
    noise, fade = _noise(weights, hyper[0].to(torch.float64))
    learned, innovations = _learn(state, phi, residual, noise * _robust(state, residual[:, 0]), fade)
    before = in_units(state, (normal - innovations)[:, 0])
    errors = _advance_error(state, innovations[:, 0], counted)
    coefficients, scale = _rescale(base, target, learned["coefficients"], errors["error_scale"])
    loss = ((before - targets).abs() * weights).sum() / torch.clamp(weights.sum(), min=1e-12)
    next_state = {
        **state,
        **advance(state, x, w),
        **target,
        "covariance": learned["covariance"],
        "coefficients": coefficients,
        "error_count": errors["error_count"],
        "error_scale": scale,
    }
    return next_state, before[:rows], loss.to(torch.float32)
