"""Items are handled in order, together where that saves work, and nobody waits for a wait to end."""

import threading
import time

import pytest

from acclimate_device.worker import Worker


class Batches:
    """Notes what it is given."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.some = threading.Event()

    def __call__(self, items: list[int]) -> None:
        self.seen.append(items)
        self.some.set()


def test_items_that_come_soon_after_each_other_are_handled_together() -> None:
    batches = Batches()
    worker = Worker(batches, most=4, waiting=100, linger_s=60.0)
    for item in range(10):
        worker.put(item)
    worker.flush()
    assert batches.seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    worker.put(10)
    worker.close()
    assert batches.seen[3:] == [[10]]


def test_who_waits_for_the_end_does_not_wait_for_others_to_come() -> None:
    worker = Worker(Batches(), most=4, waiting=100, linger_s=60.0)
    begun = time.monotonic()
    worker.flush()
    worker.put(1)
    worker.flush()
    worker.close()
    assert time.monotonic() - begun < 30.0


def test_without_company_an_item_is_handled_after_a_moment() -> None:
    batches = Batches()
    worker = Worker(batches, most=4, waiting=100, linger_s=0.001)
    worker.put(1)
    assert batches.some.wait(10)
    worker.close()
    assert batches.seen == [[1]]


def test_the_first_error_reaches_the_caller_and_ends_the_work() -> None:
    def fail(items: list[int]) -> None:
        raise ValueError(str(items))

    worker = Worker(fail, most=4, waiting=100)
    worker.put(1)
    with pytest.raises(ValueError, match=r"\[1\]"):
        worker.flush()
    with pytest.raises(ValueError, match=r"\[1\]"):
        worker.put(2)
    worker.close()
