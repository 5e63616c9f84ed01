"""Two halves at once give what one after the other gives."""

import threading

import pytest

from acclimate_device.parallel import both, cores


@pytest.mark.parametrize("count", [0, 1, 2, 3, 9])
def test_results_keep_the_order_of_the_items(count: int) -> None:
    assert both(lambda i: i * i, list(range(count))) == [i * i for i in range(count)]


def test_a_second_thread_is_used_where_there_is_a_second_core() -> None:
    names = both(lambda _: threading.current_thread().name, [0, 1])
    assert (names[0] != names[1]) == (cores() > 1)


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_in_either_half_reaches_the_caller(bad: int) -> None:
    def fail(item: int) -> int:
        if item == bad:
            raise ValueError("broken")
        return item

    with pytest.raises(ValueError, match="broken"):
        both(fail, [0, 1])
    assert both(lambda i: i, [0, 1]) == [0, 1]
