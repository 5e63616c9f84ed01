"""The normaliser inside every learner: running mean and variance of each feature, as state and in the graph.

Moments are merged step by step (Chan, Golub and LeVeque 1983) in float64; below |x| = 1e30, which the agent enforces,
nothing overflows. A missing value (NaN) counts for nothing and becomes the running mean, that is z = 0. The numpy twin
is ``acclimate_shared.normaliser``.
"""

import torch
from torch import Tensor

from acclimate_tools.author.source import State

CLIP = 5.0  # standard deviations; what lies further out is an outlier and is held there


def as_row(values: Tensor) -> Tensor:
    """Return ``values`` (features,) or (lanes, features) so that they broadcast over the rows of a step."""
    return values.unsqueeze(-2) if values.dim() > 1 else values


def normalise(state: State, x: Tensor, clip: float = CLIP) -> Tensor:
    """Return z (rows, features) float32 for raw ``x`` (rows, features) float64.

    A feature that has not varied yet has no scale: it is only centred. As everywhere here, a leading axis of lanes
    may come before the rows.
    """
    deviation = torch.sqrt(state["norm_m2"] / torch.clamp(state["norm_count"], min=1.0))
    scale = deviation + (deviation == 0).to(torch.float64)
    z = torch.clamp((x - as_row(state["norm_mean"])) * as_row(1.0 / scale), -clip, clip)
    return torch.where(torch.isnan(x), 0.0, z).to(torch.float32)


def advance(state: State, x: Tensor, w: Tensor, forgetting: Tensor | None = None) -> dict[str, Tensor]:
    """Return the three tensors after the rows of ``x``; rows with ``w == 0`` and missing values do not count.

    Args:
        state: holds norm_count, norm_mean and norm_m2, (features,) float64.
        x: (rows, features) float64.
        w: (rows,) float32; only whether it is 0 matters, so that an important row does not move the scale twice.
        forgetting: () fading of the old moments a counted row; None keeps everything.
    """
    present = torch.logical_not(torch.isnan(x))
    counted = present.to(torch.float64) * (w > 0).to(torch.float64)[:, None]
    filled = torch.where(present, x, 0.0)
    n = counted.sum(-2)
    mean = (counted * filled).sum(-2) / torch.clamp(n, min=1.0)
    m2 = (counted * (filled - as_row(mean)) ** 2).sum(-2)
    old, old_m2 = state["norm_count"], state["norm_m2"]
    if forgetting is not None:
        fade = forgetting.to(torch.float64) ** n
        old, old_m2 = old * fade, old_m2 * fade
    total = old + n
    delta = (mean - state["norm_mean"]) * (n > 0).to(torch.float64)
    share = n / torch.clamp(total, min=1e-30)
    return {
        "norm_count": total,
        "norm_mean": state["norm_mean"] + delta * share,
        "norm_m2": old_m2 + m2 + delta * delta * old * share,
    }
