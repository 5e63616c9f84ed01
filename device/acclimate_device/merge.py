"""Weight interpolation: a state between one that went on learning and one that began anew on the latest rows.

Izmailov et al. 2018 and Wortsman et al. 2022 average networks that share their start; here the two share architecture
and first weights. Each has its own normaliser, so the input layer of the new one (and its output layer, for a target)
is first written in the units of the old one, which changes no answer but beyond the clip; then weights are averaged,
and moments of classes are merged as sums. Optimiser and normaliser stay those of the one that went on. Not applicable
are ``rls``, whose waves cannot be written in other units, and ``knn``, whose window is the latest rows already: there
the state that went on is kept.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from acclimate_device.states import State, freeze

Array = NDArray[np.float64]

INPUT = {"softmax": ("weight", "bias"), "mlp": ("w1", "b1")}
LAYERS = {"softmax": ("weight", "bias"), "mlp": ("w1", "b1", "w2", "b2", "w3", "b3")}


def merged(learner: str, continued: State, scratch: State, share: float) -> State:
    """Return (1 - share) of one state and ``share`` of the other; ``continued`` itself where that makes no sense.

    Args:
        learner: name of a standard learner.
        continued: that went on learning.
        scratch: of the same sizes and start, that began anew.
        share: in [0, 1].

    Raises:
        ValueError: the share is out of range.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share must be in [0, 1], not {share}")
    merge = _KINDS.get(learner)
    if merge is None:
        return continued
    parts = merge(learner, continued, scratch, share)
    return freeze({**continued, **{name: part.astype(continued[name].dtype) for name, part in parts.items()}})


def _layers(learner: str, continued: State, scratch: State, share: float) -> dict[str, Array]:
    other = {name: scratch[name].astype(np.float64) for name in LAYERS[learner]}
    weight, bias = INPUT[learner]
    own, new = _scale(continued), _scale(scratch)
    shift = (continued["norm_mean"] - scratch["norm_mean"]) / new
    other[bias] = other[bias] + shift @ other[weight]
    other[weight] = other[weight] * (own / new)[:, None]
    if "target_count" in continued:
        target, fresh = _target_scale(continued), _target_scale(scratch)
        offset = (scratch["target_mean"] - continued["target_mean"]) / target
        other["w3"], other["b3"] = other["w3"] * (fresh / target), other["b3"] * (fresh / target) + offset
    return {name: (1.0 - share) * continued[name] + share * other[name] for name in other}


def _moments(_: str, continued: State, scratch: State, share: float) -> dict[str, Array]:
    """Merge weights, means and squared deviations of classes as of one sample (Chan et al. 1983)."""
    old, new = (1.0 - share) * continued["class_count"], share * scratch["class_count"]
    part = new / np.maximum(old + new, 1e-12)
    delta = scratch["class_mean"] - continued["class_mean"]
    between = delta**2 * old * part
    return {
        "class_weight": (1.0 - share) * continued["class_weight"] + share * scratch["class_weight"],
        "class_count": old + new,
        "class_mean": continued["class_mean"] + delta * part,
        "class_m2": (1.0 - share) * continued["class_m2"] + share * scratch["class_m2"] + between,
    }


def _scale(state: State) -> Array:
    """Return the standard deviations that the normaliser divides by, (features,)."""
    deviation = np.sqrt(state["norm_m2"] / np.maximum(state["norm_count"], 1.0))
    return np.asarray(np.where(deviation > 0, deviation, 1.0))


def _target_scale(state: State) -> Array:
    """Return the unit of a target, (1,)."""
    deviation = np.sqrt(state["target_m2"] / np.maximum(state["target_count"], 1.0))
    return np.asarray(np.where(deviation > 0, deviation, 1.0))


_KINDS: dict[str, Callable[[str, State, State, float], dict[str, Array]]] = {
    "softmax": _layers,
    "mlp": _layers,
    "naive-bayes": _moments,
}
