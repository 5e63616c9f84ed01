"""The family of records by place, as straight lines: answers take as long as there are branches, not versions.

Nearly every record of a lineage has the one before it as its only parent, so a hundred thousand versions are a few
lines, each a range of places. A line begins where that is not so: at a root, a branch or a merge. All children of a
line's records that are not in it come after its end; so lines that are gone through from the newest to the oldest meet
every way into a line before the line itself.

Example:
    >>> lines = Lines()
    >>> for parents in [(), (0,), (1,), (1,), (3,), (4, 2)]:
    ...     lines.append(parents)
    >>> lines.above(5), lines.below(2), list(lines.children(1)), lines.way(2, 4)
    ([(0, 2), (3, 4), (5, 5)], [(2, 2), (5, 5)], [2, 3], [2, 1, 3, 4])
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import chain, pairwise
from typing import NamedTuple

Piece = tuple[int, int]  # first and last place of a part of a line, both included


class _Entry(NamedTuple):
    """A way that comes down into a line: how far it has come, where, and from which child (-1: it begins here)."""

    steps: int
    place: int
    child: int


class Lines:
    """Who came from whom; places are those of the records."""

    def __init__(self) -> None:
        """Start empty."""
        self._line: list[int] = []  # place: first place of its line
        self._parents: dict[int, tuple[int, ...]] = {}  # first place of a line: its parents; in order
        self._branches: dict[int, list[int]] = {}  # place: lines that begin from it

    def append(self, parents: tuple[int, ...]) -> None:
        """Add the next record, with the places of its parents."""
        at = len(self._line)
        if parents == (at - 1,) and at:
            self._line.append(self._line[at - 1])
            return
        self._line.append(at)
        self._parents[at] = parents
        for parent in parents:
            self._branches.setdefault(parent, []).append(at)

    def parents(self, at: int) -> tuple[int, ...]:
        """Return the places that a record came from."""
        return self._parents[at] if at in self._parents else (at - 1,)

    def children(self, at: int) -> Iterator[int]:
        """Yield the places of what came from a record directly, oldest first."""
        if at + 1 < len(self._line) and self._line[at + 1] == self._line[at]:
            yield at + 1
        yield from self._branches.get(at, ())

    def above(self, start: int) -> list[Piece]:
        """Return a record and everything that it came from, oldest first."""
        found: dict[int, int] = {}
        todo = [start]
        while todo:
            at = todo.pop()
            first = self._line[at]
            if first not in found:
                todo += self._parents[first]
            found[first] = max(found.get(first, at), at)
        return sorted(found.items())

    def below(self, start: int) -> list[Piece]:
        """Return a record and everything that came from it, oldest first."""
        found = {self._line[start]: start}  # line: first place of it that counts
        ends = dict(pairwise((*self._parents, len(self._line))))
        for first, parents in self._parents.items():
            if first > start and any(found.get(self._line[parent], parent + 1) <= parent for parent in parents):
                found[first] = first
        return [(place, ends[first] - 1) for first, place in found.items()]

    def way(self, first: int, last: int) -> list[int]:
        """Return the shortest way over a common ancestor, both ends included; empty if they have none."""
        ups = [self._entries(end) for end in (first, last)]
        tops = []
        for line in ups[0].keys() & ups[1].keys():
            for at in {entry.place for entry in (*ups[0][line], *ups[1][line])}:
                nearest = [_nearest(up[line], at) for up in ups]
                if nearest[0] and nearest[1]:
                    tops.append((sum(entry.steps + entry.place - at for entry in nearest if entry), at))
        if not tops:
            return []
        top = min(tops)[1]
        sides = [list(chain.from_iterable(self._up(up, top))) for up in ups]
        return [*reversed(sides[0]), *sides[1][1:]]

    def _entries(self, start: int) -> dict[int, list[_Entry]]:
        """Return how the ways down from a record come into each line above it."""
        found = {self._line[start]: [_Entry(0, start, -1)]}
        heap = [-self._line[start]]
        while heap:
            line = -heappop(heap)
            far = min(entry.steps + entry.place for entry in found[line]) - line
            for parent in self._parents[line]:
                above = self._line[parent]
                if above not in found:
                    heappush(heap, -above)
                found.setdefault(above, []).append(_Entry(far + 1, parent, line))
        return found

    def _up(self, ways: dict[int, list[_Entry]], at: int) -> Iterator[range]:
        """Yield the places from an ancestor up to where the ways began."""
        while at >= 0:
            entry = _nearest(ways[self._line[at]], at)
            if entry is None:
                raise RuntimeError("no way leads there")
            yield range(at, entry.place + 1)
            at = entry.child


def _nearest(entries: Sequence[_Entry], at: int) -> _Entry | None:
    """Return the entry from which the way down to a place is shortest, the one further down of two alike."""
    usable = [entry for entry in entries if entry.place >= at]
    return min(usable, key=lambda entry: (entry.steps + entry.place, entry.place), default=None)
