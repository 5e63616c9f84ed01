"""Surgery on a whole agent: a checkpoint of it becomes one with more columns, and nothing it answers changes.

Columns are added at the end; what is known about the past stays: normalisers, windows, history, waiting predictions,
frozen and parked states. Removed, renamed or changed columns are refused: what was learned about them would be lost.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device import checkpoint
from acclimate_device.arena import Arena
from acclimate_device.committee import Committee
from acclimate_device.inputs import Inputs
from acclimate_device.join import PendingLog
from acclimate_device.procedures import Task
from acclimate_device.schema import Column
from acclimate_device.surgery import gaps, inserted
from acclimate_device.temporal import LABEL_SLOTS, LAGS
from acclimate_shared.errors import UsageError

Array = npt.NDArray[Any]

CATEGORY_SLOTS = 16  # of a category that was added, where nobody says how many
MODEL = "model/"
VECTORS = (
    "waiting/x",
    "model/parked/window/x/",
    "model/parked/latest/x/",
    "model/sanity/x",
)  # what events looked like when they were predicted
REHEARSAL = "model/rehearsal/"  # likewise, by class
ODD, STREAK, MOMENTS, BLOCKS = (f"model/quality/{name}" for name in ("odd", "streak", "moments", "blocks"))
KINDS = ("number", "category")


def column_of(text: str) -> Column:
    """Return the column that ``NAME`` or ``NAME:KIND`` describes; a number unless it says category.

    Raises:
        UsageError: another kind, or no name.
    """
    name, _, kind = text.partition(":")
    if not name or (kind or "number") not in KINDS:
        raise UsageError("not a column", field="add-input", value=text, remedy=f"use NAME or NAME:{'|'.join(KINDS)}")
    if kind == "category":
        return Column(name=name, kind="category", slots=CATEGORY_SLOTS)
    return Column(name=name, kind="number")


def added(old: Sequence[Column], new: Sequence[Column]) -> list[Column]:
    """Return the columns that are new.

    Raises:
        UsageError: a column is gone, or has another kind than before.
    """
    by_name = {column.name: column for column in new}
    for column in old:
        if by_name.get(column.name) != column:
            what = "changed" if column.name in by_name else "gone"
            remedy = "give all columns as they were; a removed one may simply stay missing, a renamed one is a new one"
            raise UsageError(f"a column of this model is {what}", field="columns", value=column.name, remedy=remedy)
    known = {column.name for column in old}
    return [column for column in new if column.name not in known]


def entries(task: Task, columns: Sequence[Column]) -> list[str]:
    """Return the name of every entry of the vector that learners see, in order; see ``Encoder`` and ``History``."""
    numbers = [c for c in columns if c.kind == "number"]
    names = [c.name for c in numbers] + [f"{c.name}?" for c in numbers if c.flag_missing]
    names += [f"{c.name}#{slot}" for c in columns for slot in range(c.slots)]
    if task == "classification":
        return names + [f"/label {slot}" for slot in range(LABEL_SLOTS)]
    return names + [f"/lag {lag}" for lag in LAGS] + ["/mean"] + [f"/move {c.name}" for c in numbers]


def operable(inputs: Inputs | None, arena: Arena | None, columns: Sequence[Column]) -> tuple[Inputs, Arena]:
    """Return inputs and arena of an agent that can take up these columns.

    Raises:
        UsageError: one that there is already, or nothing has been predicted yet.
    """
    if inputs is None or arena is None:
        raise UsageError("nothing has been predicted yet", field="agent", remedy="give the columns to the agent")
    names = [column.name for column in inputs.encoder.columns]
    for column in columns:
        if column.name in names:
            remedy = "name an input that the model does not have"
            raise UsageError("the model has this input already", field="add-input", value=column.name, remedy=remedy)
        names.append(column.name)
    return inputs, arena


def said(columns: Sequence[Column], why: str) -> str:
    """Return what was done, for the record."""
    names = ", ".join(column.name for column in columns)
    return f"inputs added: {names}" + (f"; {why}" if why else "")


def operate(
    inputs: Inputs, arena: Arena, log: PendingLog, columns: Sequence[Column]
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return a checkpoint of an agent that has just committed, with more columns.

    Args:
        inputs: of the agent before.
        arena: likewise.
        log: likewise; every waiting prediction has its complete memo.
        columns: the new ones.

    Raises:
        RuntimeError: the names of the entries do not fit the vectors.
    """
    tensors, documents = checkpoint.pack(inputs, arena, log, {})
    old, task = inputs.encoder.columns, inputs.task
    new = (*old, *columns)
    before, after, layout = entries(task, old), entries(task, new), Inputs(task, new).layout()
    if (len(before), len(after)) != (inputs.layout().width, layout.width):
        raise RuntimeError("the vector has other entries than its columns tell")
    at = gaps(before, after)
    out = tensors | _models(tensors, arena.committee, at)
    for name in out:
        if name in VECTORS or name.startswith(REHEARSAL):
            out[name] = _vectors(out[name], after, at)
    if out[ODD].shape[1]:
        inside = [place for place in at if place < layout.features]
        out |= {name: inserted(out[name], 1, inside, 0.0) for name in (ODD, STREAK, MOMENTS)}
        out[ODD][0, inside] = out[BLOCKS][0]  # it has always been missing: that is nothing odd
    texts = [None for column in columns if column.slots]
    waiting = [[name, sequence, [*own, *texts], *rest] for name, sequence, own, *rest in documents["waiting"]]
    told = [msgspec.to_builtins(column) for column in new]
    known = _inputs(documents["inputs"], task, columns)
    return out, {**documents, "columns": told, "inputs": known, "waiting": waiting}


def put_back(saved: tuple[dict[str, Array], dict[str, Any]], inputs: Inputs, arena: Arena, log: PendingLog) -> Arena:
    """Put what ``operate`` returned into a fresh arena and fresh inputs of all columns; return the arena."""
    checkpoint.unpack(*saved, inputs, arena, log)
    return arena


def _models(tensors: Mapping[str, Array], committee: Committee, at: Sequence[int]) -> dict[str, Array]:
    """Return the tensors of all states, live, frozen or parked, with room for the new entries."""
    places: dict[str, dict[str, dict[str, Array]]] = {}
    for path, array in tensors.items():
        place, name, key = [*path.rsplit("/", 2), "", ""][:3]
        if path.startswith(MODEL) and name in committee.everyone:
            places.setdefault(place, {}).setdefault(name, {})[key] = array
    return {
        f"{place}/{name}/{key}": array
        for place, states in places.items()
        for name, state in committee.add_inputs(states, at).items()
        for key, array in state.items()
    }


def _vectors(x: Array, names: Sequence[str], at: Sequence[int]) -> Array:
    """Return vectors (rows, width) of earlier events, in which the new columns are missing."""
    wider: Array = inserted(x, 1, at, np.nan)
    for place in at:
        if "#" in names[place] or names[place].endswith("?"):
            wider[:, place] = 1.0 if names[place].endswith("?") else 0.0  # no slot is set, but the flag of a gap is
    return wider


def _inputs(document: Mapping[str, Any], task: Task, fresh: Sequence[Column]) -> dict[str, Any]:
    """Return what is known about the inputs, nothing yet about the new columns, which come last."""
    seen = [*document["seen"], *([] for column in fresh if column.slots)]
    if task == "classification":
        return {**document, "seen": seen}
    unknown = [None for column in fresh if column.kind == "number"]
    history = [[key, targets, [*last, *unknown]] for key, targets, last in document["history"]]
    return {**document, "seen": seen, "history": history}
