"""The arithmetic of a chart's scale: round steps, and names that keep their distance."""

import math
from collections.abc import Sequence


def nice(step: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is at least ``step`` (above 0).

    Example:
        >>> nice(0.03), nice(700.0)
        (0.05, 1000.0)
    """
    power = 10.0 ** math.floor(math.log10(step))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= step * 0.999)


def ticks_between(low: float, high: float, step: float) -> list[float]:
    """Return the multiples of ``step`` from ``low`` to ``high``, both included."""
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def apart(wanted: Sequence[float], gap: float, top: float, floor: float) -> list[float]:
    """Return ascending places at least ``gap`` apart and as near as can be to the ascending wanted ones.

    Names that would meet form a block around the middle of where they want to be (isotonic regression by pooling).

    Example:
        >>> apart([50.0, 50.0, 90.0], 10.0, 0.0, 100.0)
        [45.0, 55.0, 90.0]
    """
    blocks: list[tuple[float, int]] = []  # (mean of what is wanted less the gaps before it, how many names)
    for i, y in enumerate(wanted):
        mean, size = y - i * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, size = (before * count + mean * size) / (count + size), size + count
        blocks.append((mean, size))
    latest = floor - gap * (len(wanted) - 1)
    starts = [min(max(mean, top), latest) for mean, size in blocks for _ in range(size)]
    return [start + i * gap for i, start in enumerate(starts)]
