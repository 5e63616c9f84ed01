"""A thread that handles items in order, as many at once as wait, so that the caller never does.

A batch that is not full waits a moment for more (``linger_s``): thirty labels together cost little more than one. Who
waits for the end (``flush``, ``close``) ends that wait too. The queue is bounded: when it is full, ``put`` waits
(back-pressure). The first error stops the work and is raised in the caller's thread at its next call.
"""

import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

_END, _NOW = object(), object()  # in place of an item: end the thread; do what is there

_WORKERS: "weakref.WeakSet[Worker[Any]]" = weakref.WeakSet()  # of this process, for its watchdog


def stuck_s(clock: Callable[[], float] = time.monotonic) -> float:
    """Return for how many seconds a worker of this process has been at one batch; 0.0 if none is at work."""
    begun = [worker.since for worker in list(_WORKERS)]
    return max((clock() - since for since in begun if since is not None), default=0.0)


class Worker(Generic[Item]):
    """Runs ``handle`` on batches of items in a thread of its own."""

    def __init__(self, handle: Callable[[list[Item]], None], *, most: int, waiting: int, linger_s: float = 0.0) -> None:
        """Start the thread.

        Args:
            handle: takes 1 to ``most`` items, in the order in which they were put.
            most: largest batch.
            waiting: items that may wait before ``put`` blocks.
            linger_s: how long the first item of a batch waits for others.
        """
        self._handle, self._most, self._linger_s = handle, most, linger_s
        self._queue: Queue[Any] = Queue(waiting)  # items, _END, _NOW
        self._failure: BaseException | None = None
        self.since: float | None = None  # when the batch at hand was begun, monotonic seconds; None between two
        self._thread = threading.Thread(target=self._work, name="acclimate-learner", daemon=True)
        _WORKERS.add(self)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand over an item; waits while the queue is full. Raises what the work raised."""
        self.check()
        self._queue.put(item)

    def offer(self, item: Item) -> None:
        """Hand over an item unless the queue is full; never waits. Raises what the work raised."""
        self.check()
        with suppress(Full):
            self._queue.put_nowait(item)

    def flush(self) -> None:
        """Wait until everything put so far is done. Raises what the work raised."""
        self._queue.put(_NOW)
        self._queue.join()
        self.check()

    def close(self) -> None:
        """Finish what waits and end the thread."""
        self._queue.put(_END)
        self._thread.join()

    def check(self) -> None:
        """Raise what the work raised, if anything."""
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        last: object = None
        while last is not _END:
            batch, last = self._gathered()
            self.since = time.monotonic()
            try:
                if batch and self._failure is None:
                    self._handle(batch)
            except Exception as exc:  # noqa: BLE001 (raised again in the caller's thread)
                self._failure = exc
            self.since = None
            for _ in range(len(batch) + (last is not None)):
                self._queue.task_done()

    def _gathered(self) -> tuple[list[Item], object]:
        """Wait for items; return them, and what ended the wait if that was no item."""
        batch: list[Item] = []
        until_s = 0.0
        with suppress(Empty):
            while len(batch) < self._most:
                item = self._queue.get(timeout=max(0.0, until_s - time.monotonic()) if batch else None)
                if item is _END or item is _NOW:
                    return batch, item
                until_s = until_s if batch else time.monotonic() + self._linger_s
                batch.append(item)
        return batch, None
