"""Answers go first, and nobody waits for ever."""

import threading

import pytest

from acclimate_device import parallel, precedence
from acclimate_device.precedence import Precedence


def test_work_waits_for_the_end_of_every_answer_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "MOST_WAIT_S", 10.0)
    answers, done = Precedence(), threading.Event()
    answers.give_way()  # nobody answers: at once

    def work() -> None:
        answers.give_way()
        done.set()

    with answers:
        with answers:
            thread = threading.Thread(target=work)
            thread.start()
        assert not done.wait(0.05)  # the other answer is still being given
    assert done.wait(10)
    thread.join()


def test_an_answer_without_end_holds_nothing_up_for_good() -> None:
    answers = Precedence()
    with answers:
        answers.give_way()
    with pytest.raises(ValueError, match="broken"), answers:
        raise ValueError("broken")
    thread = threading.Thread(target=answers.give_way)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_pieces_of_work_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(Precedence):
        asked = 0

        def give_way(self) -> None:
            self.asked += 1

    counting = Counting()
    monkeypatch.setattr(parallel, "ANSWERS", counting)
    parallel.spread(str, range(7))
    parallel.spread(str, range(1))
    assert counting.asked == 8
