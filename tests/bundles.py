"""Bundles for tests: the hand-made counter, with answers of its first state computed by hand."""

import functools
from typing import Any

import msgspec
import numpy as np

from acclimate_shared.bundle import Bundle, write_bundle
from acclimate_shared.constraints import Constraints, Feature
from acclimate_shared.evidence import Plan
from acclimate_shared.learner import make_package
from acclimate_shared.sanity import Sanity, SanityRule
from tests.graphs import MANIFEST, PREDICT, UPDATE, model

PLAN = Plan(metric="wrong answers", loss="zero_one", mde=0.02, equivalence=0.01, n_max=20_000, changed_by=("owner",))
NEEDS = Constraints(
    features=(Feature(name="load", kind="number"), Feature(name="shift", kind="category")), memory_mib=64, agent="0.1.0"
)


def sanity(**rule: float) -> Sanity:
    """Return inputs, and the answers of a counter that has counted (3, 1): 4/6 and 2/6."""
    x, expected = np.arange(6.0).reshape(2, 3), np.tile(np.array([4, 2], np.float32) / np.float32(6), (2, 1))
    rules = SanityRule(dims={"classes": 2, "features": 3}, **rule)  # type: ignore[arg-type]
    return Sanity(x=x, expected=expected.astype(np.float64), label=np.array([0, 0]), rule=rules)


def bundle(seed: int = 0, rows: int = 3, name: str = "counter") -> Bundle:
    """Return a bundle; another seed is other data in the state, other ``rows`` of total make it larger."""
    state: dict[str, Any] = {
        "count": np.array([3.0, 1.0], np.float32),
        "total": np.random.default_rng(seed).standard_normal(rows),
    }
    manifest = msgspec.structs.replace(MANIFEST, name=name)
    package = make_package(manifest, predict=model(PREDICT), update=model(UPDATE), state=state)
    return Bundle(package=package, plan=PLAN, sanity=sanity(), constraints=NEEDS)


@functools.cache
def bundle_bytes(seed: int = 0, rows: int = 3, name: str = "counter") -> bytes:
    """Return the file of ``bundle``."""
    return write_bundle(bundle(seed, rows, name))
