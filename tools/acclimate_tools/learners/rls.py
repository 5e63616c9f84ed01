"""Recursive least squares over the inputs and random Fourier features, with forgetting.

One step takes up to BLOCK rows and gives, for each, exactly the answer that learning the rows before it one by one
would have given. Row j of a step has the noise ``forgetting**j`` relative to the covariance P at its start (all
observations of the past fade alike), so the answers of a step are those of a Gaussian process with the kernel
``phi P phi'``; eliminating ``A = phi P phi' + diag(noise)`` from the top gives the innovations of the sequential
algorithm in order, and rank-BLOCK matrix products replace BLOCK passes over P. How far a label is trusted is decided
once, from the state at the start of the step.

Random features: Rahimi and Recht 2007. Recursive least squares with forgetting: Haykin, Adaptive Filter Theory, ch. 10;
a bound on the trace of P stops its wind-up when inputs stand still.
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
    pad_values,
    product,
    target_scale,
    visible,
)
from acclimate_tools.author.normalise import advance, as_row, normalise

PANEL = 8  # rows eliminated one by one before the rest is brought up to date by matrix products
VARIANCE_BOUND = 100.0  # mean over the coefficients (which start at 1); more is wind-up
ODD = 0.2  # probability below which a label, where another is likelier, is odd
ERROR_START = 100.0  # rows after which an outlier no longer moves that scale freely
ERROR_MEMORY = 500.0  # rows over which the scale of an error is averaged


def _inputs(state: State, x: Tensor, height: Tensor | None = None) -> Tensor:
    """Return (rows, 1 + features + fourier) float64: a constant, the normalised inputs, random cosines of them.

    ``height`` () scales the cosines; with 0 they never get a coefficient, so that a prediction needs no such number.
    """
    z = normalise(state, x).to(torch.float64)
    fourier = torch.scalar_tensor(state["phase"].shape[-1], dtype=torch.float64)
    waves = torch.cos(product(z, state["frequencies"]) + as_row(state["phase"])) * torch.sqrt(2.0 / fourier)
    waves = waves if height is None else waves * height
    return torch.cat([torch.ones_like(z[..., :1]), z, waves], -1)


def _unit_lower(block: Tensor) -> tuple[Tensor, Tensor]:
    """Factor a (PANEL, PANEL) block into unit lower L and pivots: return the inverse of L and the pivots (1, PANEL).

    The block is a covariance plus 1, so no pivot may fall below 1; holding it there keeps rounding errors from turning
    into negative variances. Beside the block, row operations turn the identity into the inverse of L.
    """
    rest = torch.cat([block, torch.zeros_like(block) + torch.eye(PANEL, dtype=torch.float64)], -1)
    rows, pivots = [], []
    for j in range(PANEL):
        here = slice(j, j + 1)
        row = rest[..., here, :]
        pivot = torch.clamp(row[..., here], min=1.0)
        rows.append(row)
        pivots.append(pivot)
        if j < PANEL - 1:
            rest = rest - rest[..., here] / pivot * row
    return torch.cat(rows, -2)[..., PANEL:], torch.cat(pivots, -1)


def _eliminate(system: Tensor) -> tuple[Tensor, Tensor]:
    """Bring ``[A | right sides]`` (BLOCK, BLOCK + n) to upper form, PANEL rows at a time.

    Returns:
        The right sides as they are when their row is reached (BLOCK, n), that is multiplied by the inverse of the unit
        lower factor of A, and the pivots (1, BLOCK).
    """
    done, pivots = [], []
    for at in range(0, BLOCK, PANEL):
        inverse, pivot = _unit_lower(system[..., :PANEL, :PANEL])
        rows = product(inverse, system[..., :PANEL, PANEL:])
        left = BLOCK - PANEL - at
        done.append(rows[..., left:])
        pivots.append(pivot)
        if left:
            below = (rows[..., :left] / pivot.mT).mT  # by symmetry of A
            system = system[..., PANEL:, PANEL:] - product(below, rows)
    return torch.cat(done, -2), torch.cat(pivots, -1)


def _learn(
    state: State, phi: Tensor, residual: Tensor, noise: Tensor, fade: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Absorb a block of rows into covariance and coefficients; also return the innovations (BLOCK, outputs)."""
    covariance = state["covariance"]
    root = torch.sqrt(noise)[..., None]
    scaled = phi / root
    gain = product(scaled, covariance)
    kernel = product(gain, scaled.mT) + torch.eye(BLOCK, dtype=torch.float64)
    eliminated, pivots = _eliminate(torch.cat([kernel, residual / root, gain], -1))
    outputs = residual.shape[-1]
    innovations, directions = eliminated[..., :outputs], eliminated[..., outputs:]
    weighted = directions.mT / pivots
    covariance = covariance - product(weighted, directions)
    mean_variance = torch.diagonal(covariance, dim1=-2, dim2=-1).mean(-1)[..., None, None]
    # the half makes the sum of both triangles symmetric; the rest is fading, until the bound is reached
    covariance = (covariance + covariance.mT) * torch.minimum(0.5 / fade, 0.5 * VARIANCE_BOUND / mean_variance)
    learned = {"covariance": covariance, "coefficients": state["coefficients"] + product(weighted, innovations)}
    return learned, innovations * root


def _noise(w: Tensor, forgetting: Tensor) -> tuple[Tensor, Tensor]:
    """Return the relative noise of each row of a block (BLOCK,) and the fading of the whole block (1, 1), float64."""
    counted = (w > 0).to(torch.float64)
    age = torch.cumsum(counted, 0)
    noise = forgetting**age / torch.clamp(w.to(torch.float64), min=1e-30)
    return noise, (forgetting ** counted.sum())[..., None]


def _probabilities(scores: Tensor, mask: Tensor) -> Tensor:
    """Return least-squares scores (rows, classes) clipped and normalised over the visible classes, float32."""
    weight = (torch.clamp(scores, 0.0, 1.0) + 1e-3) * mask
    return (weight / weight.sum(-1, keepdim=True)).to(torch.float32)


def predict_class(state: State, x: Tensor) -> Tensor:
    """Return class probabilities (rows, classes) float32."""
    return _probabilities(product(_inputs(state, x), state["coefficients"]), visible(state["class_seen"]))


def _doubt(scores: Tensor, targets: Tensor, mask: Tensor, doubt: Tensor) -> Tensor:
    """Return how much more noise a row has than it claims, ``doubt`` where its label is odd (BLOCK,).

    A wrong label pulls squares as hard as it is far off, and stays for as long as the memory lasts; one that is right
    comes again. It is learned all the same: what contradicts is also what corrects (cf. Huber 1964).

    Args:
        scores: (BLOCK, classes) float64 before the step.
        targets: (BLOCK, classes) float64, one-hot.
        mask: classes that may be predicted, as ``visible`` gives them.
        doubt: (1,) float64.
    """
    p = _probabilities(scores, mask).to(torch.float64)
    given = (p * targets).sum(-1)
    return torch.where((given < ODD) & (given < p.amax(-1)), doubt, 1.0)


def update_class(
    state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Learn up to BLOCK rows; ``hyper`` is (forgetting, waves, doubt). Returns next state, answers before, loss."""
    rows, classes = x.shape[-2], state["class_seen"].shape[-1]
    weights = pad_values(w)
    targets = one_hot(pad_values(y), classes)
    counted = targets * (weights > 0).to(torch.float64)[:, None]
    phi = _inputs(state, pad_rows(x), hyper[..., 1:2].unsqueeze(-1).to(torch.float64))
    noise, fade = _noise(weights, hyper[..., :1].to(torch.float64))
    mask, scores = visible(state["class_seen"], counted), product(phi, state["coefficients"])
    doubted = noise * _doubt(scores, targets, mask, hyper[..., 2:3].to(torch.float64))
    learned, innovations = _learn(state, phi, targets - scores, doubted, fade)
    before = _probabilities(targets - innovations, mask)
    weight_sum = torch.clamp(weights.sum(), min=1e-12)
    loss = (((targets - before) ** 2).sum(-1) * weights).sum(-1) / weight_sum
    seen = state["class_seen"] + (targets * weights[:, None].to(torch.float64)).sum(-2).to(torch.float32)
    next_state = {**state, **learned, **advance(state, x, w), "class_seen": seen}
    return next_state, before[..., :rows, :], loss.to(torch.float32)


def predict_value(state: State, x: Tensor) -> Tensor:
    """Return values (rows,) float64 in target units."""
    return in_units(state, product(_inputs(state, x), state["coefficients"])[..., 0])


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
    mean = (innovation.abs() * counted).sum(-1, keepdim=True) / torch.clamp(n, min=1.0)
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
    moved = coefficients * ratio[..., None]
    return torch.cat([moved[..., :1, :] + (shift / new)[..., None], moved[..., 1:, :]], -2), error * ratio


def update_value(
    state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Learn up to BLOCK rows; ``hyper`` is (forgetting, waves). Returns next state, answers before, mean loss."""
    rows = x.shape[-2]
    weights, targets = pad_values(w), pad_values(y)
    counted = (weights > 0).to(torch.float64)
    target = advance_target(state, y, w)
    first = state["target_count"] == 0
    base = {**state, "target_mean": torch.where(first, target["target_mean"], state["target_mean"])}
    normal = ((targets - base["target_mean"]) / target_scale(base))[..., None]
    phi = _inputs(state, pad_rows(x), hyper[..., 1:2].unsqueeze(-1).to(torch.float64))
    residual = (normal - product(phi, state["coefficients"])) * counted[:, None]
    noise, fade = _noise(weights, hyper[..., :1].to(torch.float64))
    learned, innovations = _learn(state, phi, residual, noise * _robust(state, residual[..., 0]), fade)
    before = in_units(state, (normal - innovations)[..., 0])
    errors = _advance_error(state, innovations[..., 0], counted)
    coefficients, scale = _rescale(base, target, learned["coefficients"], errors["error_scale"])
    loss = ((before - targets).abs() * weights).sum(-1) / torch.clamp(weights.sum(), min=1e-12)
    next_state = {
        **state,
        **advance(state, x, w),
        **target,
        "covariance": learned["covariance"],
        "coefficients": coefficients,
        "error_count": errors["error_count"],
        "error_scale": scale,
    }
    return next_state, before[..., :rows], loss.to(torch.float32)
