"""What learners share: masks of seen classes, targets in their own units, causal order inside a step.

Every function is a pure tensor program with symbolic sizes, so that one graph serves every device. Shapes are those of
one learner; a leading axis of *lanes* may come before the rows, for several learners of a kind that learn in one call.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

#: Rows that the sequential learners take in one call. They give the exact answer of one row after another, by
#: eliminating a BLOCK x BLOCK system, so the constant trades the overhead of a call against work that grows with it.
BLOCK = 32

State = Mapping[str, Tensor]


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return the product ``a @ b``, lane by lane (``@`` itself would bring shape arithmetic into the graph)."""
    return torch.bmm(a, b) if a.dim() > 2 else a @ b  # noqa: PLR2004 (rows and columns)


def one_hot(y: Tensor, classes: int) -> Tensor:
    """Return ``y`` (rows,) int64 as (rows, classes) float64 zeros and ones."""
    return (y[..., None] == torch.arange(classes)[None]).to(torch.float64)


def visible(seen: Tensor, targets: Tensor | None = None) -> Tensor:
    """Return which classes may be predicted, as zeros and ones.

    Args:
        seen: (classes,) float32, weight of each class learned so far.
        targets: (rows, classes) float64 of the rows of a step; row i then also sees the classes of the rows before i.

    Returns:
        (1, classes) or (rows, classes) float64; all ones where no class was seen yet.
    """
    count = seen.to(torch.float64).unsqueeze(-2)
    if targets is not None:
        count = count + before_each(targets)
    mask = (count > 0).to(torch.float64)
    return mask + (mask.sum(-1, keepdim=True) == 0).to(torch.float64)


def before_each(values: Tensor) -> Tensor:
    """Return for each row the sum of the rows before it, (rows, n)."""
    return torch.cumsum(values, -2) - values


def hidden(mask: Tensor) -> Tensor:
    """Return what to add to logits so that the classes outside of ``mask`` get exactly 0 from a softmax."""
    return (mask - 1.0) * 1e9


def masked_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Return the softmax over the classes of ``mask`` (rows or 1, classes); the others get exactly 0."""
    return torch.softmax(logits + hidden(mask), -1)


def pad_rows(x: Tensor) -> Tensor:
    """Pad the axis of rows (the last but one) of ``x`` with zeros to BLOCK rows."""
    return torch.nn.functional.pad(x, (0, 0, 0, BLOCK - x.shape[-2]))


def pad_values(y: Tensor) -> Tensor:
    """Pad the last axis of ``y`` (rows,) with zeros to BLOCK rows."""
    return torch.nn.functional.pad(y, (0, BLOCK - y.shape[-1]))


def advance_target(state: State, y: Tensor, w: Tensor) -> dict[str, Tensor]:
    """Merge the targets of a step into their running mean, squared deviation and range (Chan et al. 1983).

    Args:
        state: holds target_count, target_mean, target_m2, target_low, target_high, each (1,) float64.
        y: (rows,) float64.
        w: (rows,) float32; rows with w == 0 do not count.
    """
    counted = (w > 0).to(torch.float64)
    n = counted.sum()[None]
    mean = (counted * y).sum(-1, keepdim=True) / torch.clamp(n, min=1.0)
    m2 = (counted * (y - mean) ** 2).sum(-1, keepdim=True)
    total = torch.clamp(state["target_count"] + n, min=1.0)
    delta = mean - state["target_mean"]
    return {
        "target_count": state["target_count"] + n,
        "target_mean": state["target_mean"] + delta * n / total,
        "target_m2": state["target_m2"] + m2 + delta**2 * state["target_count"] * n / total,
        "target_low": torch.minimum(state["target_low"], torch.where(counted > 0, y, 1e30).amin(-1, keepdim=True)),
        "target_high": torch.maximum(state["target_high"], torch.where(counted > 0, y, -1e30).amax(-1, keepdim=True)),
    }


def target_scale(state: State) -> Tensor:
    """Return the standard deviation of the targets learned so far, (1,) float64; 1 while it is unknown."""
    deviation = torch.sqrt(state["target_m2"] / torch.clamp(state["target_count"], min=1.0))
    return deviation + (deviation == 0).to(torch.float64)


def in_units(state: State, normal: Tensor) -> Tensor:
    """Return normalised predictions (rows,) in target units, kept within a tenth of the range seen so far.

    The bound is what makes divergence impossible: no input moves a prediction far beyond the targets that occurred.
    """
    known = state["target_count"] > 0
    low = torch.where(known, state["target_low"], 0.0)
    high = torch.where(known, state["target_high"], 0.0)
    slack = 0.1 * (high - low)
    value = state["target_mean"] + target_scale(state) * normal
    return torch.minimum(torch.maximum(value, low - slack), high + slack)
