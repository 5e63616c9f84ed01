"""Start from what was learned elsewhere: on other devices, for other users, in an earlier recording.

Taken over are the states of members and pools, the classes and the categories. History, scores, contest and lineage are
the device's own and begin at nothing.
"""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.arena import Arena
from acclimate_device.inputs import Inputs
from acclimate_device.store_tables import FILE
from acclimate_shared.errors import UsageError
from acclimate_shared.learner import tensors_digest

Array = npt.NDArray[Any]

LIVE = "model/live/"
_REMEDY = "use a state of the same columns, task and learners"


def read_prior(folder: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return tensors and documents of a state folder, of an agent or of a replay.

    Raises:
        UsageError: there is none.
        StateError: it is in use or damaged.
    """
    if (folder / FILE).is_file():
        from acclimate_device.store import Store

        with closing(Store(folder)) as store:
            saved = store.load()
        if saved is not None:
            return saved
    raise UsageError("no state here to start from", field="prior", value=str(folder), remedy="name a --state folder")


def digest_of(tensors: Mapping[str, Array]) -> str:
    """Return what identifies a prior: the digest of its live states."""
    return tensors_digest({name: array for name, array in tensors.items() if name.startswith(LIVE)})


def take(tensors: Mapping[str, Array], documents: Mapping[str, Any], inputs: Inputs, arena: Arena) -> None:
    """Let a fresh arena and fresh inputs start from a prior.

    Args:
        tensors: of a checkpoint, see ``read_prior``.
        documents: likewise.
        inputs: of the new stream; classes and categories are taken over.
        arena: of the new stream; its live states are replaced.

    Raises:
        UsageError: the prior has other columns, another task or other learners.
    """
    states: dict[str, dict[str, Array]] = {}
    for path, array in tensors.items():
        if path.startswith(LIVE):
            name, _, key = path.removeprefix(LIVE).partition("/")
            states.setdefault(name, {})[key] = array
    own = arena.roster.states
    if states.keys() != own.keys():
        value = sorted(states.keys() ^ own.keys())
        raise UsageError("the prior has other learners", field="prior", value=value, remedy=_REMEDY)
    if documents["inputs"]["seen"] and len(documents["inputs"]["seen"]) != len(inputs.document()["seen"]):
        raise UsageError("the prior has other categories", field="prior", remedy=_REMEDY)
    inputs.restore({**documents["inputs"], "history": inputs.history.document()})
    arena.committee.layout = inputs.layout()
    expected = arena.committee.start(0)
    for name, state in states.items():
        for key, array in state.items():
            if key not in expected[name] or np.shape(array) != expected[name][key].shape:
                found = f"{name}/{key} {np.shape(array)}"
                raise UsageError("the prior has other columns", field="prior", value=found, remedy=_REMEDY)
    arena.start_from(states)
