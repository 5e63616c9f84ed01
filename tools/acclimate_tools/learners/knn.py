"""k nearest neighbours over a sliding window of labelled rows, which is the state (it holds raw rows).

Rows are kept raw, and beside them as the normaliser of the moment sees them, renewed with every step, so the scales of
all agree and a prediction need not compute them. Within a step, row i also sees the rows before it: the answers are
those of one row after another under the normaliser of the step's start. Neighbours vote by inverse distance.
"""

import torch
from torch import Tensor

from acclimate_tools.author.heads import State, one_hot, visible
from acclimate_tools.author.normalise import advance, normalise

NEIGHBOURS = 5
SOFTENING = 0.01  # distance a feature, added so that an equal row does not decide alone
FAR = 1e30  # squared distance of an empty or not yet visible slot


def _known(state: State) -> Tensor:
    """Return (features,) float32, 1 for features that have had a value, all 1 before the first.

    A feature that was added later has no scale until it is learned from: it neither parts neighbours nor softens.
    """
    known = (state["norm_count"] > 0).to(torch.float32)
    return torch.where(known.sum() > 0, known, torch.ones_like(known))


def _neighbours(state: State, x: Tensor, live: Tensor, *, rows_too: bool) -> tuple[Tensor, Tensor]:
    """Return indices (rows, k) into window (+ step) and vote weights (rows, k) float32, 0 for empty slots.

    Args:
        state: holds scaled (slots, features) float32, the normalised window.
        x: (rows, features) float64.
        rows_too: whether row i may also see rows 0..i-1 of ``x``.
        live: (slots [+ rows],) float32, 0 where there is nothing to see.
    """
    known = _known(state)
    z = normalise(state, x) * known[None]
    base = state["scaled"]
    if rows_too:
        base = torch.cat([base, z], 0)
    square = (z * z).sum(1, keepdim=True) + (base * base).sum(1)[None] - 2.0 * (z @ base.T)
    distance = torch.clamp(square, min=0.0) + (live <= 0).to(torch.float32)[None] * FAR
    if rows_too:
        order = torch.arange(z.shape[0])
        own = torch.arange(base.shape[0])[None] - state["scaled"].shape[0]
        distance = distance + (own >= order[:, None]).to(torch.float32) * FAR
    near, index = torch.topk(distance, NEIGHBOURS, dim=1, largest=False)
    # the products above find the neighbours but cancel for close ones: their distances are taken again
    exact = ((base[index] - z[:, None]) ** 2).sum(2)
    vote = 1.0 / (torch.sqrt(exact) + SOFTENING * torch.sqrt(known.sum()))
    return index, vote * (near < FAR * 0.5).to(torch.float32)


def _class_votes(labels: Tensor, index: Tensor, vote: Tensor, mask: Tensor) -> Tensor:
    """Return votes as probabilities (rows, classes) float32 over the classes of ``mask``."""
    chosen = labels[index]
    match = (chosen[:, :, None] == torch.arange(mask.shape[1])[None, None]).to(torch.float32)
    votes = ((match * vote[:, :, None]).sum(1) + 1e-6) * mask
    return votes / votes.sum(1, keepdim=True)


def predict_class(state: State, x: Tensor) -> Tensor:
    """Return class probabilities (rows, classes) float32."""
    index, vote = _neighbours(state, x, state["live"], rows_too=False)
    return _class_votes(state["labels"], index, vote, visible(state["class_seen"]).to(torch.float32))


def _slide(state: State, x: Tensor, w: Tensor, labels: Tensor, live: Tensor) -> dict[str, Tensor]:
    """Return normaliser and window moved on by the rows of ``x``; masked rows take a slot but are never seen."""
    rows = x.shape[0]
    normaliser = advance(state, x, w)
    window = torch.cat([state["window"], x], 0)[rows:]
    return {
        **normaliser,
        "window": window,
        "scaled": normalise(normaliser, window),
        "labels": labels[rows:],
        "live": live[rows:],
    }


def update_class(
    state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Learn a step; ``hyper`` is empty but for a spare entry. Returns next state, answers in order, mean 0/1 loss."""
    classes = state["class_seen"].shape[0]
    targets = one_hot(y, classes)
    labels = torch.cat([state["labels"], y], 0)
    live = torch.cat([state["live"], w], 0)
    index, vote = _neighbours(state, x, live, rows_too=True)
    mask = visible(state["class_seen"], targets * (w > 0).to(torch.float64)[:, None]).to(torch.float32)
    before = _class_votes(labels, index, vote, mask)
    wrong = (before.argmax(1) != y).to(torch.float32)
    next_state = {
        **state,
        **_slide(state, x, w, labels, live),
        "class_seen": state["class_seen"] + (targets * w.to(torch.float64)[:, None]).sum(0).to(torch.float32),
    }
    return next_state, before, (wrong * w).sum() / torch.clamp(w.sum(), min=1e-12) + 0.0 * hyper[0]


def _mean_of(labels: Tensor, index: Tensor, vote: Tensor) -> Tensor:
    """Return the vote-weighted mean of the neighbours' targets (rows,) float64; 0 without any neighbour."""
    weight = vote.to(torch.float64)
    return (labels[index] * weight).sum(1) / torch.clamp(weight.sum(1), min=1e-12)


def predict_value(state: State, x: Tensor) -> Tensor:
    """Return values (rows,) float64 in target units."""
    index, vote = _neighbours(state, x, state["live"], rows_too=False)
    return _mean_of(state["labels"], index, vote)


def update_value(
    state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Learn a step. Returns next state, answers in order, mean absolute error."""
    labels = torch.cat([state["labels"], y], 0)
    live = torch.cat([state["live"], w], 0)
    index, vote = _neighbours(state, x, live, rows_too=True)
    before = _mean_of(labels, index, vote)
    loss = ((before - y).abs() * w).sum() / torch.clamp(w.sum(), min=1e-12)
    next_state = {**state, **_slide(state, x, w, labels, live)}
    return next_state, before, loss.to(torch.float32) + 0.0 * hyper[0]
