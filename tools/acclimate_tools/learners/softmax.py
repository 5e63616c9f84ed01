"""Multinomial logistic regression, one normalised gradient step a row.

The step size of a row is ``rate / (1 + |z|^2)`` (normalised LMS, Haykin ch. 6), so no input can make it diverge and
rate 1 nearly corrects the last mistake: it tracks streams whose labels come in runs. Up to BLOCK rows go through one
call with the exact sequential answers: the weights are never touched inside, since the effect of row j on the logits
of row i is a number of the matrix ``1 + z z'``.
"""

import torch
from torch import Tensor

from acclimate_tools.author.heads import (
    BLOCK,
    State,
    hidden,
    masked_softmax,
    one_hot,
    pad_rows,
    pad_values,
    product,
    visible,
)
from acclimate_tools.author.normalise import advance, as_row, normalise


def predict(state: State, x: Tensor) -> Tensor:
    """Return class probabilities (rows, classes) float32."""
    logits = product(normalise(state, x), state["weight"]) + state["bias"]
    return masked_softmax(logits, visible(state["class_seen"]).to(torch.float32))


def update(state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Learn up to BLOCK rows; ``hyper`` is (rate,). Returns next state, answers before learning, mean log-loss."""
    rows, classes = x.shape[-2], state["class_seen"].shape[-1]
    z, weights = normalise(state, pad_rows(x)), pad_values(w)[:, None]
    exact = one_hot(pad_values(y), classes)
    targets = exact.to(torch.float32)
    mask = visible(state["class_seen"], exact * (weights > 0)).to(torch.float32)
    kernel = 1.0 + product(z, z.mT)
    steps = hyper[..., None] * weights / torch.diagonal(kernel, dim1=-2, dim2=-1)[..., None]
    reach = kernel * steps.mT
    # a row moves the logits of later ones by reach * (target - answer); what the targets do is known beforehand
    logits = (
        product(z, state["weight"]) + as_row(state["bias"]) + hidden(mask) + product(torch.tril(reach, -1), targets)
    )
    answers = []
    for i in range(BLOCK):
        row = slice(i, i + 1)
        answers.append(torch.softmax(logits[..., row, :], -1))
        if i < BLOCK - 1:
            logits = logits - reach[..., row] * answers[-1]
    before = torch.cat(answers, -2)
    moved = (targets - before) * steps
    log_loss = -torch.log(torch.clamp((before * targets).sum(-1, keepdim=True), min=1e-7))
    next_state = {
        **state,
        **advance(state, x, w),
        "weight": state["weight"] + product(z.mT, moved),
        "bias": state["bias"] + moved.sum(-2),
        "class_seen": state["class_seen"] + (targets * weights).sum(-2),
    }
    return next_state, before[..., :rows, :], (log_loss * weights).sum((-2, -1)) / torch.clamp(weights.sum(), min=1e-12)
