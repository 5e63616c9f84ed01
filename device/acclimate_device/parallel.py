"""A list of work for two threads: onnxruntime gives up the interpreter lock while a graph runs.

The members of a committee do not see each other, so who runs first changes no bit of any result. A second thread is
used where the process may use a second core; it is made once and waits in between.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from queue import Empty, SimpleQueue
from typing import TypeVar

from acclimate_device.limits_of_host import read_limits
from acclimate_device.precedence import ANSWERS

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Return how many cores this process may use: those it may run on, and no more than its share of time is worth."""
    affinity = getattr(os, "sched_getaffinity", None)
    return read_limits().threads(len(affinity(0)) if affinity else os.cpu_count() or 1)


@lru_cache(maxsize=1)
def _helper() -> ThreadPoolExecutor | None:
    return ThreadPoolExecutor(1, thread_name_prefix="acclimate-member") if cores() > 1 else None


def spread(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return ``[function(item) for item in items]``; two threads take items in order, as each becomes free.

    Raises:
        Exception: what ``function`` raised first.
    """
    helper = _helper()
    if helper is None or len(items) < 2:  # noqa: PLR2004 (nothing to share)
        return [_politely(function, item) for item in items]
    todo: SimpleQueue[int] = SimpleQueue()
    for at in range(len(items)):
        todo.put(at)
    results: dict[int, Result] = {}

    def work() -> None:
        with suppress(Empty):
            while True:
                at = todo.get_nowait()
                results[at] = _politely(function, items[at])

    other = helper.submit(work)
    try:
        work()
    finally:
        if not other.cancel():  # else the helper is busy with another list, and there is nothing left of this one
            other.result()
    return [results[at] for at in range(len(items))]


def _politely(function: Callable[[Item], Result], item: Item) -> Result:
    """Do a piece of work when no answer is being given."""
    ANSWERS.give_way()
    return function(item)
