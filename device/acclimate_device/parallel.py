"""Two halves of a list at once: onnxruntime gives up the interpreter lock while a graph runs.

The members of a committee do not see each other, so who runs first changes no bit of any result. A second thread is
used where the process may use a second core; it is made once and waits in between.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _helper() -> ThreadPoolExecutor | None:
    return ThreadPoolExecutor(1, thread_name_prefix="acclimate-member") if cores() > 1 else None


def both(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return ``[function(item) for item in items]``, every other item done in a second thread.

    Raises:
        Exception: what ``function`` raised first, by the order of the items in each half.
    """
    helper = _helper()
    if helper is None or len(items) < 2:  # noqa: PLR2004 (two halves)
        return [function(item) for item in items]
    other = helper.submit(lambda: [function(item) for item in items[1::2]])
    try:
        mine = [function(item) for item in items[::2]]
    finally:
        theirs = other.result()
    results: list[Result] = [*mine, *theirs]
    results[::2], results[1::2] = mine, theirs
    return results
