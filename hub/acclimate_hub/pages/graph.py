"""A lineage as a picture: a row for each version, newest on top, and lanes for lines of descent that run side by side.

``lay_out`` is the walk that draws histories of versions everywhere: from the newest down, each lane remembers which
version it waits for; a version takes the lane that waits for it, its first parent goes on in the same lane unless
another lane waits for that already, and other parents open lanes of their own. So the lane of a parent is free of other
versions from its first child on.

Example:
    >>> rows = lay_out(["c", "b", "a"], [("c", "a"), ("b", "a")])
    >>> [(row.name, row.lane, row.parents) for row in rows]
    [('c', 0, ((0, 2),)), ('b', 1, ((0, 2),)), ('a', 0, ())]
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from acclimate_hub.pages.svg import tag

ROW, LANE, WIDTH = 46, 22, 440  # pixels
MAX_LANES = 6  # more are drawn in the last one


@dataclass(frozen=True, slots=True)
class Row:
    """Where a version stands, and (lane, row) of each of its parents that is shown."""

    name: str
    lane: int
    parents: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What is written beside a version; ``url`` leads to it, ``tone`` is a class of the style sheet."""

    title: str
    detail: str
    tone: str = "plain"
    url: str = ""


def ordered(names: Sequence[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """Return names, children before their parents, otherwise in the order given; (child, parent) of a circle too.

    Times come from the clocks of devices and may be wrong, so they decide only where descent does not.
    """
    known, children = set(names), {name: set[str]() for name in names}
    for child, parent in edges:
        if child in known and parent in known and child != parent:
            children[parent].add(child)
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        free = [name for name in waiting if children[name] <= found.keys()]
        name = free[0] if free else waiting[0]
        found[name] = None
        waiting.remove(name)
    return list(found)


def lay_out(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[Row]:
    """Return a row for each version.

    Args:
        names: children before parents, see ``ordered``.
        edges: (child, parent); those that lead out of the picture are left out.
    """
    places = {name: at for at, name in enumerate(names)}
    parents: dict[str, list[str]] = {name: [] for name in names}
    for child, parent in edges:
        if child in places and parent in places and places[parent] > places[child]:
            parents[child].append(parent)
    lanes: list[str | None] = []  # what each lane waits for
    lane_of: dict[str, int] = {}
    for name in names:
        lane = lanes.index(name) if name in lanes else _free(lanes)
        lane_of[name] = lane
        lanes = [None if waits == name else waits for waits in lanes]
        for parent in parents[name]:
            if parent not in lanes:
                at = lane if lanes[lane] is None else _free(lanes)
                lanes[at] = parent
    return [Row(name, lane_of[name], tuple((lane_of[p], places[p]) for p in parents[name])) for name in names]


def _free(lanes: list[str | None]) -> int:
    """Return a lane that waits for nothing; there is one more if none is free."""
    if None not in lanes:
        lanes.append(None)
    return lanes.index(None)


def draw(rows: Sequence[Row], labels: Mapping[str, Label], *, title: str) -> Markup:
    """Return the picture.

    Args:
        rows: from ``lay_out``.
        labels: of every row.
        title: for who cannot see it; what is in it should be said in a list, too.
    """
    wide = min(max((row.lane for row in rows), default=0), MAX_LANES - 1)
    left = LANE * (wide + 1) + 8
    lines = [_edge(row, at, *parent) for at, row in enumerate(rows) for parent in row.parents]
    inside = [*lines, *(_node(row, at, labels[row.name], left) for at, row in enumerate(rows))]
    view = f"0 0 {WIDTH} {ROW * len(rows)}"
    return tag("svg", tag("title", title), *inside, viewBox=view, class_="graph", role="group", aria_label=title)


def _x(lane: int) -> float:
    return LANE * (min(lane, MAX_LANES - 1) + 0.5)


def _y(row: int) -> float:
    return ROW * (row + 0.5)


def _edge(row: Row, at: int, lane: int, end: int) -> Markup:
    """Bend into the parent's lane below the child, then straight down: that lane is kept for the parent."""
    x1, y1, x2, y2 = _x(row.lane), _y(at), _x(lane), _y(end)
    middle, below = y1 + ROW / 2, y1 + ROW
    bend = f"C{x1:g} {middle:g} {x2:g} {middle:g} {x2:g} {below:g}" if x1 != x2 else ""
    return tag("path", d=f"M{x1:g} {y1:g}{bend}V{y2:g}", class_="edge")


def _node(row: Row, at: int, label: Label, left: float) -> Markup:
    y = _y(at)
    words = (
        tag("text", label.title, x=left, y=y - 2, class_="title"),
        tag("text", label.detail, x=left, y=y + 14, class_="detail"),
    )
    dot = tag("circle", cx=_x(row.lane), cy=y, r=6, class_=f"node {label.tone}")
    inside = (dot, *words)
    return tag("a", *inside, href=label.url) if label.url else tag("g", *inside)
