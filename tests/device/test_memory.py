from typing import Any

import pytest

from acclimate_device import memory


class Library:
    """A C library that has the call, or has not."""

    def __init__(self, *, has: bool) -> None:
        self.asked: list[int] = []
        if has:
            self.malloc_trim = self._trim

    def _trim(self, pad: int) -> int:
        self.asked.append(pad)
        return 1


@pytest.mark.parametrize("has", [True, False])
def test_freed_memory_goes_back_where_the_library_can(monkeypatch: pytest.MonkeyPatch, has: bool) -> None:
    library = Library(has=has)
    monkeypatch.setattr("ctypes.CDLL", lambda _name: library)
    memory._trim.cache_clear()
    try:
        assert memory.give_back() is has
        assert library.asked == [0] * has
    finally:
        memory._trim.cache_clear()


def test_it_may_be_called_here(recwarn: Any) -> None:
    memory.give_back()
    assert not list(recwarn)
