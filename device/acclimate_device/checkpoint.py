"""The state of an agent as tensors and JSON values, and back."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.committee import Candidate
from acclimate_device.inputs import Inputs
from acclimate_device.join import Logged, PendingLog, widened
from acclimate_device.schema import Column
from acclimate_shared.errors import CorruptStateError

Array = npt.NDArray[Any]

CHAMPION = "champion/"


def pack(
    inputs: Inputs, candidate: Candidate, log: PendingLog, counters: Mapping[str, int]
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return tensors and documents of an agent."""
    waiting = log.items()
    tensors = {CHAMPION + name: array for name, array in candidate.tensors().items()}
    if waiting:
        tensors["waiting/x"] = np.stack([item.x for item in waiting])
        tensors["waiting/memo"] = np.stack([widened(item.memo, inputs.capacity) for item in waiting])
    documents = {
        "columns": [msgspec.to_builtins(column) for column in inputs.encoder.columns],
        "inputs": inputs.document(),
        "counters": dict(counters),
        "waiting": [[item.id, item.sequence, item.texts, item.key] for item in waiting],
        "log": {"done": log.done(), "sequence": log.sequence, "forgotten": log.forgotten},
    }
    return tensors, documents


def columns(documents: Mapping[str, Any]) -> tuple[Column, ...]:
    """Return the columns of a saved agent.

    Raises:
        CorruptStateError: they are not there or make no sense.
    """
    try:
        return msgspec.convert(documents["columns"], tuple[Column, ...])
    except (KeyError, msgspec.ValidationError) as exc:
        raise CorruptStateError("the state has no columns", field="columns", remedy="restore a copy") from exc


def unpack(
    tensors: Mapping[str, Array], documents: Mapping[str, Any], inputs: Inputs, candidate: Candidate, log: PendingLog
) -> dict[str, int]:
    """Put a saved state into a fresh agent; return its counters."""
    inputs.restore(documents["inputs"])
    candidate.restore({n[len(CHAMPION) :]: array for n, array in tensors.items() if n.startswith(CHAMPION)})
    candidate.committee.layout = inputs.layout()
    items = []
    for i, (name, sequence, texts, key) in enumerate(documents["waiting"]):
        x, memo = tensors["waiting/x"][i], np.asarray(tensors["waiting/memo"][i])
        items.append(Logged(id=name, sequence=sequence, texts=texts, key=key, x=x, memo=memo))
    kept = documents["log"]
    log.restore(items, kept["done"], kept["sequence"], kept["forgotten"])
    return dict(documents["counters"])
