"""A new base with the local learning of the old one: its own weights, and what learning has added to the old ones here.

Both were made by one author with one architecture, so what a device has added to the weights of the one may be added to
those of the other (task arithmetic: Ilharco et al. 2023). Whether that helps here is not known: it takes part beside
the plain new base, and evidence decides. Normaliser and optimiser are those of the new base, to which its weights
belong.
"""

import numpy as np

from acclimate_device.merge import LAYERS
from acclimate_device.states import State, freeze
from acclimate_shared.learner import PREDICT, UPDATE, LearnerPackage
from acclimate_shared.manifest import Manifest


def weights_of(manifest: Manifest) -> tuple[str, ...]:
    """Return the tensors that are weights: declared, or of a standard learner; none where that is not known."""
    declared = manifest.weights or LAYERS.get(manifest.name, ())
    kinds = {spec.name: spec.dtype for spec in manifest.state}
    return tuple(name for name in declared if kinds.get(name, "int64") != "int64")


def fits(new: LearnerPackage, old: LearnerPackage) -> bool:
    """Return whether two packages are one architecture, with the same inputs and known weights."""
    one, other = new.manifest, old.manifest
    same = (one.task, one.x, one.state, one.hyper) == (other.task, other.x, other.state, other.hyper)
    graphs = all(one.files[name] == other.files[name] for name in (PREDICT, UPDATE))
    return same and graphs and bool(weights_of(one)) and weights_of(one) == weights_of(other)


def rebased(manifest: Manifest, new: State, old: State, local: State) -> State | None:
    """Return the new base with what was learned locally; None where sizes differ or a number would not be finite.

    Args:
        manifest: of all three.
        new: state that the new base starts from.
        old: state that the old one started from.
        local: what has become of that here.
    """
    changed = {}
    for name in weights_of(manifest):
        if not new[name].shape == old[name].shape == local[name].shape:
            return None
        learned = local[name].astype(np.float64) - old[name]
        changed[name] = (new[name] + learned).astype(new[name].dtype)
        if not np.isfinite(changed[name]).all():
            return None
    return freeze({**new, **changed})
