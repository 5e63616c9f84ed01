"""Gaussian naive Bayes with forgetting: per class and feature a weight, a mean and a squared deviation.

Needs few rows a class and copes with many classes, where the other learners are still guessing. Moments are merged
by the formula of Chan et al. (1983), and old ones fade by ``forgetting`` a row. A missing value says nothing: its
factor is left out. Variances get 1 % of the feature's overall variance, so that a constant feature cannot decide alone.
"""

import torch
from torch import Tensor

from acclimate_tools.author.heads import State, masked_softmax, one_hot, visible
from acclimate_tools.author.normalise import advance

SHRINK = 0.01  # share of the overall variance added to that of each class


def _scores(state: State, x: Tensor) -> Tensor:
    """Return log joint densities (rows, classes) float64, in units of each feature's overall spread."""
    variance = state["norm_m2"] / torch.clamp(state["norm_count"], min=1.0)
    variance = torch.where(variance > 0, variance, torch.ones_like(variance))
    count = torch.clamp(state["class_count"], min=1e-9)
    spread = state["class_m2"] / count / variance + SHRINK
    known = (state["class_count"] > 0).to(torch.float64)
    present = torch.isfinite(x)
    centred = torch.where(present, x - state["norm_mean"], torch.zeros_like(x)) / torch.sqrt(variance)
    mean = (state["class_mean"] - state["norm_mean"]) / torch.sqrt(variance)
    error = torch.clamp(centred, -8.0, 8.0)[:, None, :] - torch.clamp(mean, -8.0, 8.0)[None]
    density = (error**2 / spread + torch.log(spread)) * known * present[:, None, :].to(torch.float64)
    prior = torch.log(torch.clamp(state["class_weight"], min=1e-9))
    return prior[None] - 0.5 * density.sum(2)


def predict(state: State, x: Tensor) -> Tensor:
    """Return class probabilities (rows, classes) float32."""
    return masked_softmax(_scores(state, x), visible(state["class_seen"])).to(torch.float32)


def _merge(state: State, x: Tensor, member: Tensor, fade: Tensor) -> dict[str, Tensor]:
    """Merge the moments of a step's rows, weighted by ``member`` (rows, classes) float64, into the faded old ones."""
    present = torch.isfinite(x).to(torch.float64)
    centre = state["norm_mean"]
    shifted = torch.where(torch.isfinite(x), x - centre, torch.zeros_like(x))
    n = member.T @ present
    mean = member.T @ shifted / torch.clamp(n, min=1e-12)
    m2 = torch.clamp(member.T @ shifted**2 - n * mean**2, min=0.0)
    old = state["class_count"] * fade
    total = old + n
    share = n / torch.clamp(total, min=1e-12)
    delta = torch.where(old > 0, mean + centre - state["class_mean"], torch.zeros_like(mean))
    start = torch.where(old > 0, state["class_mean"], mean + centre)
    moved = torch.where(n > 0, start + delta * share, state["class_mean"])
    return {
        "class_count": total,
        "class_mean": moved,
        "class_m2": state["class_m2"] * fade + m2 + delta**2 * old * share,
    }


def update(state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Learn a step of any size; ``hyper`` is (forgetting,). Returns next state, answers before the step, log-loss."""
    targets = one_hot(y, state["class_seen"].shape[0])
    before = predict(state, x)
    weights = w.to(torch.float64)[:, None]
    counted = (weights > 0).to(torch.float64)
    forgetting = hyper[0].to(torch.float64)
    later = counted.sum() - torch.cumsum(counted, 0)
    member = targets * weights * forgetting**later
    fade = forgetting ** counted.sum()
    chosen = torch.clamp((before.to(torch.float64) * targets).sum(1, keepdim=True), min=1e-7)
    loss = (-torch.log(chosen) * weights).sum() / torch.clamp(weights.sum(), min=1e-12)
    next_state = {
        **state,
        **advance(state, x, w),
        **_merge(state, x, member, fade),
        "class_weight": state["class_weight"] * fade + member.sum(0),
        "class_seen": state["class_seen"] + (targets * weights).sum(0).to(torch.float32),
    }
    return next_state, before, loss.to(torch.float32)
