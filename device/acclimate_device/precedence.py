"""Answers go first: what learns beside them stops between two graphs for as long as one is being given.

A machine has few cores and Python one interpreter lock; learning takes all of both for milliseconds at a stretch. Who
answers says so (``with ANSWERS:``); who works beside answers asks before each piece of work (``give_way``) and waits
for the end of the answer, never longer than MOST_WAIT_S: a caller that asks without a pause holds nothing up for good.
That changes when something is computed, never what.

One object for the process, whose cores all its agents share.
"""

import threading
from types import TracebackType

MOST_WAIT_S = 0.005  # at one place; an answer takes a fraction of it


class Precedence:
    """Counts the answers that are being given; for any number of threads."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._answering = 0
        self._nobody = threading.Event()
        self._nobody.set()

    def __enter__(self) -> None:
        """Begin an answer."""
        with self._lock:
            self._answering += 1
            self._nobody.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End an answer, whatever came of it."""
        with self._lock:
            self._answering -= 1
            if not self._answering:
                self._nobody.set()

    def give_way(self) -> None:
        """Wait while an answer is being given; not to be called by who gives one."""
        if not self._nobody.is_set():
            self._nobody.wait(MOST_WAIT_S)


ANSWERS = Precedence()
