"""A model whose candidates from outside are others than those it was saved with: what is saved fits, by name.

Candidates are columns (ADR 0008), and those from outside come after the live ones of the agent, before the frozen
slots; so where one of them comes or leaves, columns move. What a column stands for is its name. Whoever stays keeps
states, evidence and waits to the bit; who is new has none; who has left is forgotten, and if it served, the committee
does, which has gone on learning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Columns:
    """How columns move.

    Attributes:
        before: names of the live candidates that something was saved with.
        now: names of the present ones.
        slots: how many frozen slots followed the live ones.
        slots_now: how many follow them now: none where nobody is left to compete with.
    """

    before: Sequence[str]
    now: Sequence[str]
    slots: int = 0
    slots_now: int = 0

    @property
    def same(self) -> bool:
        """Whether nothing moves."""
        return list(self.before) == list(self.now) and self.slots == self.slots_now

    @property
    def left(self) -> list[str]:
        """Who is not there any more."""
        return [name for name in self.before if name not in self.now]

    def moved(self, column: int) -> int | None:
        """Return where a column is now; None if who it stood for has left."""
        if column >= len(self.before):
            slot = column - len(self.before)
            return len(self.now) + slot if slot < self.slots_now else None
        name = self.before[column]
        return self.now.index(name) if name in self.now else None

    def fit(self, array: Array, axis: int = 0) -> Array:
        """Return an array with the present columns along an axis, with or without the slots; NaN for who is new."""
        whole = array.shape[axis] == len(self.before) + self.slots
        count = len(self.now) + (self.slots_now if whole else 0)
        shape = (*array.shape[:axis], count, *array.shape[axis + 1 :])
        out = np.full(shape, np.nan, array.dtype)
        places = {at: self.moved(at) for at in range(array.shape[axis])}
        kept = {at: to for at, to in places.items() if to is not None}
        index: tuple[Any, ...] = (slice(None),) * axis
        out[(*index, list(kept.values()))] = array[(*index, list(kept))]
        return out


def fitted(
    tensors: Mapping[str, Array], document: Mapping[str, Any], now: Sequence[str], *, own: int, home: int, slots: int
) -> tuple[dict[str, Array], dict[str, Any], Columns]:
    """Return what an arena has saved, as if it had been saved with the present candidates from outside.

    Args:
        tensors: of ``Arena.tensors``.
        document: of ``Arena.document``.
        now: names of the live candidates.
        own: how many of them are not from outside.
        home: column of who serves if what served has left.
        slots: frozen slots that there are now.

    Returns:
        Both, and how columns have moved.
    """
    roster = document["roster"]
    before = [*now[:own], *(entry[0] for entry in roster[4])]
    columns = Columns(before, now, len(roster[2]), slots)
    if columns.same:
        return dict(tensors), dict(document), columns
    stays = [kept if kept and columns.moved(kept[0]) is not None else None for kept in roster[2]]
    held = [*stays, *([None] * slots)][:slots]
    emptied = {f"slot-{at}" for at, kept in enumerate(roster[2]) if kept and not (at < slots and held[at])}
    out = {name: array for name, array in tensors.items() if not _theirs(name, columns.left, emptied)}
    out["contest/recent"] = columns.fit(out["contest/recent"], 1)
    if "quality/waiting-live" in out:
        out["quality/waiting-live"] = columns.fit(out["quality/waiting-live"], 1)
        out["quality/waiting-occupied"] = occupied(out["quality/waiting-occupied"], slots)

    def place(column: int) -> int:
        """Return where a column is, that of the home for one that has left."""
        to = columns.moved(column)
        empty = to is not None and to >= len(now) and not held[to - len(now)]
        return home if to is None or empty else to

    moved_slots = [kept and [columns.moved(kept[0]), *kept[1:]] for kept in held]
    stay = [entry for entry in roster[4] if entry[0] in now]
    changed = {
        **document,
        "succession": _succession(document.get("succession"), columns),
        "roster": [place(roster[0]), roster[1], moved_slots, roster[3], stay],
        "contest": _contest(document["contest"], columns, place(document["contest"]["champion"])),
        "lineage": place(document["lineage"]),
        "guests": _guests(document["guests"], columns, {at for at, kept in enumerate(held) if kept}),
    }
    _shelf(out, tensors, document["guests"]["shelf"], changed["guests"]["shelf"], columns)
    return out, changed, columns


def occupied(occupants: Array, slots: int) -> Array:
    """Return what the slots held as rows came, (rows, slots) int64, for another number of slots; 0 for nothing."""
    wider: Array = np.pad(occupants, ((0, 0), (0, slots)))[:, :slots]
    return wider


def _theirs(name: str, left: Sequence[str], emptied: set[str]) -> bool:
    """Return whether a tensor belongs to somebody who has left, or to a slot that is empty now."""
    place, _, rest = name.partition("/")
    if place in emptied:
        return True
    held = place in {"live", "outside"} or place.startswith("slot-")
    return held and rest.partition("/")[0] in left


def _contest(document: Mapping[str, Any], columns: Columns, champion: int) -> dict[str, Any]:
    """Return the contest with its columns moved; tests of who has left, or against who has left, are over."""
    moved = {str(at): columns.moved(int(at)) for at in {*document["status"], *document["running"]}}
    same_opponent = columns.moved(document["champion"]) == champion
    running = {
        str(moved[at]): test for at, test in document["running"].items() if same_opponent and moved[at] is not None
    }
    over = {"champion", *([] if same_opponent else ["running"])}
    status = {
        str(moved[at]): IDLE if word in over else word
        for at, word in document["status"].items()
        if moved[at] is not None
    }
    fresh = {str(at): IDLE for at, name in enumerate(columns.now) if name not in columns.before}
    status = {**fresh, **status, str(champion): "champion"}
    failed, rested, barren, last = document["cool_down"]
    waits = [[[columns.moved(at), n] for at, n in part if columns.moved(at) is not None] for part in (failed, rested)]
    held = [columns.moved(at) for at in document["held"] if str(columns.moved(at)) in running]
    return {
        **document,
        "champion": champion,
        "running": running,
        "status": status,
        "cool_down": [*waits, barren, last],
        "held": held,
    }


def _succession(document: Any, columns: Columns) -> Any:  # noqa: ANN401 (JSON)
    """Return what served before with its column moved; None if it has left, or nothing is known of it."""
    if document is None or document[0] is None:
        return document
    to = columns.moved(document[0])
    return None if to is None else [to, *document[1:]]


def _guests(document: Mapping[str, Any], columns: Columns, filled: set[int]) -> dict[str, Any]:
    here = [entry for entry in document["here"] if entry[0] in filled]
    shelf = [[columns.moved(entry[0]), *entry[1:]] for entry in document["shelf"]]
    return {**document, "here": here, "shelf": [entry for entry in shelf if entry[0] is not None]}


def _shelf(
    out: dict[str, Array], tensors: Mapping[str, Array], before: Sequence[Any], now: Sequence[Any], columns: Columns
) -> None:
    """Number the tensors of parked states anew where one has left, without what belongs to who has left."""
    for name in [name for name in out if name.startswith("parked/") and name.split("/")[1].isdecimal()]:
        del out[name]
    numbers = {entry[1]: at for at, entry in enumerate(now)}
    for name, array in tensors.items():
        part, _, rest = name.partition("/")
        at, _, key = rest.partition("/")
        if part != "parked" or not at.isdecimal():
            continue
        to = numbers.get(before[int(at)][1])
        if to is not None and key.partition("/")[0] not in columns.left:
            out[f"parked/{to}/{key}"] = array
