"""Counts over declared bins: all that was seen is counted once, in the right bin, and nothing else leaves."""

import math
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.agent import Agent
from acclimate_device.slots import Bases
from acclimate_device.sync.bins import Bins, Spread
from acclimate_device.sync.gauge import Gauge
from acclimate_shared.constraints import Constraints, Feature, edges_of
from acclimate_shared.messages.limits import MIN_COUNTED
from tests.graphs import counter

LOAD = Feature(name="load", kind="number", edges=edges_of((0.0, 5.0)))
HEAT = Feature(name="heat", kind="number", edges=edges_of((1.0,)))
GONE = Feature(name="gone", kind="number", edges=edges_of((1.0,)))
PLAIN = Feature(name="plain", kind="number")
ONE, TWO = "1" * 64, "2" * 64


def needs(*features: Feature) -> Constraints:
    return Constraints(features=features, memory_mib=1, agent="0.1.0")


def installed(state: Path, digest: str, *features: Feature) -> Bases:
    bases = Bases(state)
    bases.install(digest, counter(), model="pump", version="1.0", needs=needs(*features))
    return bases


@pytest.fixture
def agent() -> Iterator[Agent]:
    with Agent(task="classification", learners=["naive-bayes"], micro_batch=16) as made:
        yield made


def see(agent: Agent, count: int, *, labels: bool = True) -> None:
    """Let an agent see loads of 0 to 9 in turn, and a heat that is missing every tenth time."""
    for at in range(count):
        answer = agent.predict({"plain": 0.0, "heat": None if at % 10 == 0 else at % 3, "load": float(at % 10)})
        if labels:
            agent.feedback(answer.id, "odd" if at % 2 else "even")


NUMBERS = st.floats(-1e30, 1e30) | st.just(float("nan"))


@given(st.lists(NUMBERS, min_size=MIN_COUNTED, max_size=80), st.sets(st.floats(-1e3, 1e3), min_size=1, max_size=5))
def test_every_value_falls_into_the_bin_below_whose_edge_it_is(values: list[float], places: set[float]) -> None:
    edges = tuple(sorted(places))
    feature = Feature(name="load", kind="number", edges=edges_of(edges))
    bins = Bins(needs(PLAIN, feature), {1: 0})
    bins.add(np.array(values[:7])[:, None])
    bins.add(np.array(values[7:])[:, None])
    known = [value for value in values if not math.isnan(value)]
    expected = [0] * (len(edges) + 1)
    for value in known:
        expected[bisect_left(edges, value)] += 1
    found = bins.taken()
    assert [(one.feature, list(one.counts)) for one in found] == ([(1, expected)] if len(known) >= MIN_COUNTED else [])
    assert bins.taken() == ()


def test_counts_of_few_events_wait_for_more() -> None:
    bins = Bins(needs(LOAD), {0: 0})
    bins.add(np.ones((MIN_COUNTED - 1, 1)))
    assert bins.taken() == ()
    bins.add(np.full((1, 1), 9.0))
    assert bins.taken()[0].counts == (0, MIN_COUNTED - 1, 1)


@pytest.mark.parametrize("labels", [True, False])
def test_an_agent_counts_what_it_was_asked_whether_labels_come_or_not(
    agent: Agent, tmp_path: Path, labels: bool
) -> None:
    see(agent, 20)
    spread = Spread(agent, installed(tmp_path, ONE, GONE, HEAT, PLAIN, LOAD))
    see(agent, 600, labels=labels)
    see(agent, 1)  # the detectors see with its label what has not been shown to them yet
    digest, found = spread.taken()
    counts = {one.feature: one.counts for one in found}
    assert (digest, sorted(counts)) == (ONE, [1, 3])
    assert sum(counts[3]) in {600, 601}
    assert sum(counts[1]) == 540  # nine in ten have one
    assert counts[3] == pytest.approx((60, 300, 240), abs=1)


def test_a_window_of_measurements_holds_the_counts(agent: Agent, tmp_path: Path) -> None:
    spread = Spread(agent, installed(tmp_path, ONE, LOAD))
    gauge = Gauge(agent, features=spread.taken)
    see(agent, 40)
    first = gauge.taken(0)
    assert first is not None
    assert (first.bins, first.features) == (None, ())  # only now it is known which column is the load
    see(agent, 40)
    window = gauge.taken(0)
    assert window is not None
    assert window.bins == ONE
    assert [sum(one.counts) for one in window.features] in ([39], [40])


def test_the_current_base_declares_and_another_one_begins_anew(agent: Agent, tmp_path: Path) -> None:
    see(agent, 1)
    bases = installed(tmp_path, ONE, LOAD)
    spread = Spread(agent, bases)
    see(agent, 50)
    bases.withdraw("no good")
    installed(tmp_path, TWO, PLAIN, HEAT)
    assert spread.taken()[0] == ONE  # what was counted is sent
    see(agent, 50)
    digest, found = spread.taken()
    assert (digest, [one.feature for one in found]) == (TWO, [1])
    bases.withdraw("no good either")
    assert spread.taken() == (None, ())
    see(agent, 50)
    assert spread.taken() == (None, ())


def test_without_edges_nobody_looks(agent: Agent, tmp_path: Path) -> None:
    see(agent, 1)
    spread = Spread(agent, installed(tmp_path, ONE, PLAIN))
    assert agent._pace.onlooker is None
    see(agent, 50)
    assert spread.taken() == (None, ())


def test_damaged_constraints_count_nothing(agent: Agent, tmp_path: Path) -> None:
    see(agent, 1)
    bases = installed(tmp_path, ONE, LOAD)
    (bases.package(ONE) / "constraints.json").write_bytes(b"{}")
    assert bases.needs(ONE) is None
    assert Spread(agent, bases).taken() == (None, ())
