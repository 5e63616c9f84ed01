"""The state of an agent as tensors and JSON values, and back."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.arena import Arena
from acclimate_device.inputs import Inputs
from acclimate_device.join import PendingLog
from acclimate_device.logged import Logged, widened
from acclimate_device.schema import Column
from acclimate_shared.errors import CorruptStateError

Array = npt.NDArray[Any]

MODEL = "model/"
Saved = tuple[dict[str, Array], dict[str, Any]]  # tensors and documents of a checkpoint


class Part(Protocol):
    """Something whose state is part of every checkpoint."""

    def into(self, packed: Saved, inputs: Inputs) -> Saved:
        """Add the state."""

    def restore(self, tensors: Mapping[str, Array], documents: Mapping[str, Any]) -> None:
        """Take the state back, if it is there."""


def pack(
    inputs: Inputs, arena: Arena, log: PendingLog, counters: Mapping[str, int]
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return tensors and documents of an agent; every waiting prediction has its complete memo."""
    waiting = log.items()
    tensors = {MODEL + name: array for name, array in arena.tensors().items()}
    if waiting:
        tensors["waiting/x"] = np.stack([item.x for item in waiting])
        memos = [arena.roster.fit(item.memo, item.columns) for item in waiting if item.memo is not None]
        tensors["waiting/memo"] = np.stack([widened(memo, inputs.capacity) for memo in memos])
    documents = {
        "columns": [msgspec.to_builtins(column) for column in inputs.encoder.columns],
        "arena": arena.document(),
        "inputs": inputs.document(),
        "counters": dict(counters),
        "waiting": [[i.id, i.sequence, i.texts, i.key, i.occupants, i.time_s] for i in waiting],
        "log": log.document(),
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


def restore_model(tensors: Mapping[str, Array], documents: Mapping[str, Any], inputs: Inputs, arena: Arena) -> None:
    """Put what a saved state has learned into fresh inputs and a fresh arena."""
    inputs.restore(documents["inputs"])
    own = {name.removeprefix(MODEL): array for name, array in tensors.items() if name.startswith(MODEL)}
    arena.restore(own, documents["arena"])
    arena.fit(inputs.layout())


def unpack(
    tensors: Mapping[str, Array], documents: Mapping[str, Any], inputs: Inputs, arena: Arena, log: PendingLog
) -> dict[str, int]:
    """Put a saved state into a fresh agent; return its counters."""
    restore_model(tensors, documents, inputs, arena)
    items = []
    for i, (name, sequence, texts, key, occupants, time_s) in enumerate(documents["waiting"]):
        x, memo = tensors["waiting/x"][i], np.asarray(tensors["waiting/memo"][i])
        item = Logged(id=name, sequence=sequence, texts=texts, key=key, x=x, moment=None, memo=memo)
        item.occupants, item.time_s = tuple(occupants), time_s
        items.append(item)
    log.restore(items, documents["log"])
    return dict(documents["counters"])
