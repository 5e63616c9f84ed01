"""A multilayer perceptron with two hidden layers, trained by Adam; the backward pass is traced from autograd.

The loss of a step is the weighted mean over its rows: cross-entropy over the seen classes, or the Huber loss of
normalised targets. In the regression form the last layer is rescaled whenever the target's mean and spread move, so
that learning the scale never moves a prediction (Pop-Art, van Hasselt et al. 2016). Adam: Kingma and Ba 2015.
"""

import torch
from torch import Tensor

from acclimate_tools.author.heads import (
    State,
    advance_target,
    in_units,
    masked_softmax,
    one_hot,
    target_scale,
    visible,
)
from acclimate_tools.author.normalise import advance, normalise

PARAMETERS = ("w1", "b1", "w2", "b2", "w3", "b3")
Parameters = dict[str, Tensor]


def _forward(parameters: Parameters, z: Tensor) -> Tensor:
    """Return the last layer's outputs (rows, outputs) float32."""
    hidden = torch.relu(z @ parameters["w1"] + parameters["b1"])
    hidden = torch.relu(hidden @ parameters["w2"] + parameters["b2"])
    return hidden @ parameters["w3"] + parameters["b3"]


def _adam(state: State, gradients: Parameters, rate: Tensor) -> dict[str, Tensor]:
    """Return parameters, moments and step count after one step of Adam (betas 0.9, 0.999, epsilon 1e-8).

    The moments are kept as sums, 10 and 1000 times Adam's; those factors and the bias corrections go into the rate and
    epsilon, once for all tensors.
    """
    step = state["step"] + 1.0
    root = torch.sqrt((1.0 - 0.999**step) / 0.001)
    pace, epsilon = rate * 0.1 * root / (1.0 - 0.9**step), 1e-8 * root
    moved: dict[str, Tensor] = {"step": step}
    for name in PARAMETERS:
        gradient = gradients[name]
        m = 0.9 * state["m_" + name] + gradient
        v = 0.999 * state["v_" + name] + gradient * gradient
        moved[name] = state[name] - pace * m / (torch.sqrt(v) + epsilon)
        moved["m_" + name], moved["v_" + name] = m, v
    return moved


def _parameters(state: State) -> Parameters:
    return {name: state[name] for name in PARAMETERS}


def predict_class(state: State, x: Tensor) -> Tensor:
    """Return class probabilities (rows, classes) float32."""
    logits = _forward(_parameters(state), normalise(state, x))
    return masked_softmax(logits, visible(state["class_seen"]).to(torch.float32))


def update_class(
    state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Take one step on all rows; ``hyper`` is (rate,). Returns next state, answers before it, mean log-loss."""
    targets = one_hot(y, state["class_seen"].shape[0]).to(torch.float32)
    z = normalise(state, x)
    seen = state["class_seen"] + (targets * w[:, None]).sum(0)
    hidden = torch.where(seen > 0, torch.zeros_like(seen), torch.full_like(seen, -1e9))
    weight = w / torch.clamp(w.sum(), min=1e-12)

    def loss_of(parameters: Parameters) -> tuple[Tensor, Tensor]:
        logits = _forward(parameters, z)
        log_p = torch.log_softmax(logits + hidden, 1)
        return -((log_p * targets).sum(1) * weight).sum(), logits

    gradients, (loss, logits) = torch.func.grad_and_value(loss_of, has_aux=True)(_parameters(state))
    before = masked_softmax(logits, visible(state["class_seen"]).to(torch.float32))
    next_state = {**state, **advance(state, x, w), **_adam(state, gradients, hyper[0]), "class_seen": seen}
    return next_state, before, loss


def predict_value(state: State, x: Tensor) -> Tensor:
    """Return values (rows,) float64 in target units."""
    return in_units(state, _forward(_parameters(state), normalise(state, x))[:, 0].to(torch.float64))


def update_value(
    state: State, x: Tensor, y: Tensor, w: Tensor, hyper: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Take one step on all rows; ``hyper`` is (rate,). Returns next state, answers before it, mean Huber loss."""
    z = normalise(state, x)
    target = advance_target(state, y, w)
    old, new = target_scale(state), target_scale(target)
    first = state["target_count"] == 0
    mean = torch.where(first, target["target_mean"], state["target_mean"])
    scale = torch.where(first, new, old)
    normal = torch.clamp((y - mean) / scale, -10.0, 10.0).to(torch.float32)
    weight = w / torch.clamp(w.sum(), min=1e-12)

    def loss_of(parameters: Parameters) -> tuple[Tensor, Tensor]:
        output = _forward(parameters, z)[:, 0]
        error = (output - normal).abs()
        huber = torch.where(error < 1.0, 0.5 * error * error, error - 0.5)
        return (huber * weight).sum(), output

    gradients, (loss, output) = torch.func.grad_and_value(loss_of, has_aux=True)(_parameters(state))
    moved = _adam(state, gradients, hyper[0])
    ratio = (scale / new).to(torch.float32)
    moved["w3"] = moved["w3"] * ratio
    moved["b3"] = moved["b3"] * ratio + ((mean - target["target_mean"]) / new).to(torch.float32)
    next_state = {**state, **advance(state, x, w), **target, **moved}
    return next_state, in_units(state, output.to(torch.float64)), loss
