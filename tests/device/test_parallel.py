"""Two threads give what one after the other gives."""

import threading

import pytest

from acclimate_device.parallel import cores, spread


@pytest.mark.parametrize("count", [0, 1, 2, 3, 9])
def test_results_keep_the_order_of_the_items(count: int) -> None:
    assert spread(lambda i: i * i, list(range(count))) == [i * i for i in range(count)]


def test_a_second_thread_is_used_where_there_is_a_second_core() -> None:
    meet = threading.Barrier(2 if cores() > 1 else 1)

    def work(_: int) -> str:
        meet.wait(10)
        return threading.current_thread().name

    names = spread(work, [0, 1])
    assert (names[0] != names[1]) == (cores() > 1)


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_in_either_thread_reaches_the_caller(bad: int) -> None:
    def fail(item: int) -> int:
        if item == bad:
            raise ValueError("broken")
        return item

    with pytest.raises(ValueError, match="broken"):
        spread(fail, [0, 1])
    assert spread(lambda i: i, [0, 1]) == [0, 1]


def test_a_list_that_is_done_waits_for_no_other() -> None:
    if cores() < 2:
        pytest.skip("one core: nothing is shared")
    begun, end = threading.Barrier(3), threading.Event()

    def long(_: int) -> None:
        begun.wait(10)
        end.wait(10)

    other = threading.Thread(target=spread, args=[long, [0, 1]])  # takes the helper for itself
    other.start()
    begun.wait(10)
    assert spread(lambda i: i, [0, 1, 2]) == [0, 1, 2]
    assert other.is_alive()
    end.set()
    other.join()
