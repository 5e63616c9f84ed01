"""Lines answer what a walk over every single record answers."""

import numpy as np
import pytest

from acclimate_shared.lineage_lines import Lines

Family = list[tuple[int, ...]]


def family(seed: int, count: int = 40) -> Family:
    """Return parents by place: mostly the one before, some branches, merges and roots."""
    rng = np.random.default_rng(seed)
    made: Family = [()]
    for at in range(1, count):
        chance = rng.random()
        one = int(rng.integers(at))
        if chance < 0.6:
            made.append((at - 1,))
        elif chance < 0.8 or at == 1:
            made.append((one,))
        elif chance < 0.95:
            made.append((one, (one + 1 + int(rng.integers(at - 1))) % at))
        else:
            made.append(())
    return made


def lines_of(made: Family) -> Lines:
    lines = Lines()
    for parents in made:
        lines.append(parents)
    return lines


def walked(made: Family, start: int) -> tuple[list[int], list[int]]:
    """Return for each place the steps up to it (-1: no ancestor), and the next on the way back."""
    steps, back = [-1] * (start + 1), [start] * (start + 1)
    steps[start] = 0
    for at in range(start, -1, -1):
        for parent in made[at] if steps[at] >= 0 else ():
            if steps[parent] < 0 or steps[parent] > steps[at] + 1:
                steps[parent], back[parent] = steps[at] + 1, at
    return steps, back


def way(made: Family, first: int, last: int) -> list[int]:
    (steps, back), (other_steps, other_back) = walked(made, first), walked(made, last)
    both = [(a + b, at) for at, (a, b) in enumerate(zip(steps, other_steps, strict=False)) if a >= 0 <= b]
    if not both:
        return []
    sides = []
    for end, nexts in ((first, back), (last, other_back)):
        side = [min(both)[1]]
        while side[-1] != end:
            side.append(nexts[side[-1]])
        sides.append(side)
    return [*reversed(sides[0]), *sides[1][1:]]


def places(pieces: list[tuple[int, int]]) -> list[int]:
    return [at for first, last in pieces for at in range(first, last + 1)]


@pytest.mark.parametrize("seed", range(30))
def test_every_answer_is_that_of_a_walk(seed: int) -> None:
    made = family(seed)
    lines, everyone = lines_of(made), range(len(made))
    steps = [walked(made, at)[0] for at in everyone]
    for at in everyone:
        assert lines.parents(at) == made[at]
        assert list(lines.children(at)) == [child for child in everyone if at in made[child]]
        assert places(lines.above(at)) == [other for other, far in enumerate(steps[at]) if far >= 0]
        assert places(lines.below(at)) == [child for child in everyone if child >= at and steps[child][at] >= 0]
    for first in everyone:
        for last in everyone:
            assert lines.way(first, last) == way(made, first, last), (first, last)


def test_a_family_without_branches_is_one_line() -> None:
    lines = lines_of([(), *((at,) for at in range(999))])
    assert lines.above(999) == lines.below(0) == [(0, 999)]
    assert lines.way(3, 1) == [3, 2, 1]
    assert lines.way(1, 1) == [1]
