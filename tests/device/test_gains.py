"""The ledger: what learning on and other learners have brought, on the same labels, and what that cost."""

import numpy as np
import pytest

from acclimate_device.agent import Agent
from acclimate_device.gains import Gains
from acclimate_device.rules import Rules
from acclimate_device.run_words import gain_lines
from tests.device.test_agent import events, taught
from tests.device.test_arena import arena, drive, stream


def test_sums_are_of_labels_that_both_answered() -> None:
    gains = Gains()
    gains.note("data", np.array([1.0, 1.0, np.nan, 0.0]), np.array([0.0, np.nan, 0.0, 1.0]))
    gains.note("data", np.array([1.0]), np.array([0.0]))
    told = gains.result()
    assert told["data"] == {"labels": 3, "gain_per_label": pytest.approx(1 / 3), "cpu_s": None, "gain_per_cpu_s": None}
    assert told["model"]["gain_per_label"] is None


def test_costs_are_shared_out_and_survive() -> None:
    now = [0.0]
    gains = Gains()
    gains.clock = lambda: now[0]
    with gains.spent({"data": 0.25, "model": 0.75}):
        now[0] += 8.0
    gains.note("data", np.array([1.0]), np.array([0.0]))
    again = Gains()
    again.restore(gains.document())
    assert again.result() == gains.result()
    assert again.result()["data"]["gain_per_cpu_s"] == pytest.approx(0.5)
    assert again.result()["model"]["cpu_s"] == pytest.approx(6.0)


def test_learning_on_a_stream_that_turns_brings_something_and_on_a_still_one_hardly() -> None:
    def gain(turn: bool) -> float:
        this, (x, y) = arena(Rules(challengers=("committee-quick",))), stream(8_192)
        y = np.where((np.arange(len(y)) > 4_096) & turn, 1 - y, y)
        drive(this, x, y)
        told = this.gains.result()["data"]
        assert told["labels"]
        return told["gain_per_label"] or 0.0

    assert gain(turn=True) > 0.02 > abs(gain(turn=False))


def test_an_agent_measures_what_it_costs_and_says_so() -> None:
    agent = taught(Agent(task="classification", learners=["softmax", "naive-bayes"], micro_batch=64), events(600))
    told = agent.status()["gains"]
    assert told["data"]["cpu_s"] > 0
    assert told["model"]["cpu_s"] > 0
    told["data"] |= {"gain_per_label": 0.25, "gain_per_cpu_s": 3.0}
    assert "0.25 less loss a label than the last proven state" in dict(gain_lines(told))["learning on"]
