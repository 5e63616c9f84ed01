"""Multinomial logistic regression, one normalised gradient step a row.

The step size of a row is ``rate / (1 + |z|^2)`` (normalised LMS, Haykin ch. 6), so no input can make it diverge and
rate 1 nearly corrects the last mistake: it tracks streams whose labels come in runs. Up to BLOCK rows go through one
call with the exact sequential answers: the weights are never touched inside, since the effect of row j on the logits
of row i is a number of the matrix ``1 + z z'``.
"""

import torch
from torch import Tensor

from acclimate_tools.author.heads import BLOCK, State, hidden, masked_softmax, one_hot, pad_rows, visible
from acclimate_tools.author.normalise import advance, normalise


def predict(state: State, x: Tensor) -> Tensor:
    """Return class probabilities (rows, classes) float32."""
    logits = normalise(state, x) @ state["weight"] + state["bias"]
    return masked_softmax(logits, visible(state["class_seen"]).to(torch.float32))


def update(state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Learn up to BLOCK rows; ``hyper`` is (rate,). Returns next state, answers before learning, mean log-loss."""
    rows = x.shape[0]
    classes = state["class_seen"].shape[0]
    z, weights = normalise(state, pad_rows(x)), pad_rows(w)[:, None]
    exact = one_hot(pad_rows(y), classes)
    targets = exact.to(torch.float32)
    mask = visible(state["class_seen"], exact * (weights > 0)).to(torch.float32)
    kernel = 1.0 + z @ z.T
    steps = hyper[0] * weights / torch.diagonal(kernel)[:, None]
    logits = z @ state["weight"] + state["bias"] + hidden(mask)
    reach = torch.split(kernel * steps.T, 1, dim=1)
    answers, moves = [], []
    for i, target in enumerate(torch.split(targets, 1)):
        answer = torch.softmax(logits[i : i + 1], 1)
        move = target - answer
        answers.append(answer)
        moves.append(move)
        if i < BLOCK - 1:
            logits = logits + reach[i] * move
    before, moved = torch.cat(answers, 0), torch.cat(moves, 0) * steps
    log_loss = -torch.log(torch.clamp((before * targets).sum(1, keepdim=True), min=1e-7))
    next_state = {
        **state,
        **advance(state, x, w),
        "weight": state["weight"] + z.T @ moved,
        "bias": state["bias"] + moved.sum(0),
        "class_seen": state["class_seen"] + (targets * weights).sum(0),
    }
    return next_state, before[:rows], (log_loss * weights).sum() / torch.clamp(weights.sum(), min=1e-12)
