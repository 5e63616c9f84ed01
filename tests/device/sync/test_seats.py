"""What an agent does with a base, with real processes: the sums that a rollout rests on."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acclimate_device.agent import Agent
from acclimate_device.learning import Learning, agent_of, tend
from acclimate_device.outside import name_of_base, names_of_base
from acclimate_device.slots import TRIAL_COMMITS, Bases
from acclimate_device.states import init_state
from acclimate_device.sync.follow import Sums
from acclimate_device.sync.seats import AgentSeats
from acclimate_device.sync.source import MemorySource
from acclimate_device.sync.update import Places, receive
from acclimate_device.temporal import LABEL_SLOTS
from acclimate_shared.bundle import digest_of, write_bundle
from acclimate_shared.constraints import Constraints
from acclimate_shared.learner import load_package, make_package
from acclimate_shared.sanity import SanityRule
from acclimate_shared.waves import NO_BASE
from acclimate_tools.author.bundling import Inputs, make_bundle
from tests.bundles import PLAN
from tests.device.sync.links import FakeLink
from tests.device.test_agent import events
from tests.device.test_outside import STANDARD, crossed
from tests.trust import World


def softmax(shift: float) -> bytes:
    """Return a bundle whose base differs in its weights alone from that of another ``shift``."""
    package = load_package(STANDARD / "softmax-classification")
    dims = {"features": 7 + LABEL_SLOTS, "classes": 4}  # what becomes of the columns of `events`
    state = {name: array.copy() for name, array in init_state(package, dims, 0).items()}
    state["weight"] += np.float32(shift)
    made = make_package(package.manifest, predict=package.predict, update=package.update, state=state)
    rule, needs = SanityRule(dims=dims), Constraints(memory_mib=16, agent="0.1.0")
    inputs = Inputs(x=np.random.default_rng(0).standard_normal((8, dims["features"])), label=None)
    return write_bundle(make_bundle(made, PLAN, inputs, rule, needs))


def bundle() -> bytes:
    rule = SanityRule(dims={"classes": 3, "fourier": 60, "phi": 64})
    inputs = Inputs(x=np.random.default_rng(0).standard_normal((8, 3)), label=None)
    needs = Constraints(memory_mib=16, agent="0.1.0")
    return write_bundle(make_bundle(load_package(STANDARD / "rls-classification"), PLAN, inputs, rule, needs))


class Site:
    """An agent in a state folder, and a base that it may fetch."""

    def __init__(self, folder: Path, *released: bytes) -> None:
        self.all = {digest_of(data): data for data in released or (bundle(),)}
        self.digest = next(iter(self.all))
        world = World(folder / "world")
        for data in self.all.values():
            world.release(data)
        places = Places.under(folder / "state")
        places.root.parent.mkdir(parents=True)
        places.root.write_bytes(world.first_root)

        def fetch(digest: str) -> Any:
            link = FakeLink(self.all[digest])
            source = MemorySource(world.served())
            return receive(source, link, digest, places=places, facts=None, rtc=lambda: world.now, clock=link.clock)

        self.bases = Bases(folder / "state")
        learning = Learning(state=folder / "state", learners=("naive-bayes",), micro_batch=64)
        self.agent: Agent = agent_of(learning, None, self.bases)
        self.seats = AgentSeats(self.agent, self.bases, fetch)
        self.rows: Iterator[tuple[dict[str, object], str]] = itertools.cycle(events(2_000))

    def patient(self) -> None:
        """Let learning wait for the processes of bases: rows come here faster than a process starts."""
        arena: Any = self.agent._arena
        for outsider in arena.roster.outside.all:
            outsider.confinement = replace(outsider.confinement, patience_s=60.0)

    def lives(self, rows: int) -> None:
        for features, label in itertools.islice(self.rows, rows):
            self.agent.feedback(self.agent.predict(features).id, label)
            self.agent.flush()

    def sums(self) -> Sums:
        found = self.seats.sums(self.digest)
        assert found is not None
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.agent.close()


@pytest.mark.slow
def test_a_base_takes_its_seat_while_the_anchor_answers(site: Site) -> None:
    site.lives(200)
    site.seats.install(site.digest)
    site.patient()
    site.lives(100)
    site.agent.amend(lambda arena: arena.roll_back("an alarm"))
    assert site.agent.look(lambda arena, _: arena.fallen)
    assert site.seats.answering() == NO_BASE
    assert any(site.seats.seat(site.digest, "wave two") for _ in range(20))
    assert site.seats.answering() == site.digest
    site.seats.unseat(site.digest, "rollout-aborted")
    assert site.seats.answering() == NO_BASE


@pytest.mark.slow
def test_a_base_is_fetched_measured_in_shadow_seated_and_taken_out(site: Site) -> None:
    site.lives(100)
    assert (site.seats.sums(site.digest), site.seats.answering()) == (None, NO_BASE)
    site.seats.install(site.digest)
    assert site.seats.fault(site.digest) == ""
    site.patient()
    before = site.sums()
    site.lives(400)
    shadow = site.sums()
    assert before.labels == 0
    assert 100 < shadow.labels <= 400  # an answer that was late, or inputs that look odd, are no evidence
    assert abs(shadow.gain) <= shadow.labels
    assert shadow.asked == 400
    assert shadow.latency > 0.0  # its own process says what an answer costs
    assert shadow.memory > 1.0
    arena: Any = site.agent._arena
    pair = arena.contest.recent(arena.names.index(name_of_base(site.digest)), arena.committee_column)
    assert shadow.gain == pytest.approx(float((pair[:, 0] - pair[:, 1]).sum()))
    assert any(site.seats.seat(site.digest, "wave two") for _ in range(20))
    assert site.seats.serves(site.digest)
    assert site.seats.answering() == site.digest
    site.lives(100)
    served = site.sums()
    assert served.labels > shadow.labels
    assert served.latency > 0.0
    site.seats.unseat(site.digest, "rollout-aborted")
    assert (site.seats.answering(), site.seats.sums(site.digest)) == (NO_BASE, None)
    assert site.seats.fault(site.digest) == "failed-on-trial"
    site.lives(50)
    assert site.agent.status()["learned"] == 650


@pytest.mark.slow
def test_what_wins_in_shadow_does_not_serve_before_its_wave(site: Site) -> None:
    x, y = crossed(4_000)  # what naive Bayes cannot see
    rows = zip(x[:, :3].tolist(), y.tolist(), strict=True)
    site.rows = iter([(dict(zip("abc", row, strict=True)), "yes" if label else "no") for row, label in rows])
    site.lives(50)
    site.seats.install(site.digest)
    site.patient()
    for _ in range(25):
        site.lives(100)
        site.sums()
    arena: Any = site.agent._arena
    words = [t.event for t in arena.contest.log if t.candidate == name_of_base(site.digest)]
    assert "probation" in words  # it has won
    assert site.seats.answering() == NO_BASE


def weights(arena: Any, name: str) -> Any:
    states = arena.roster.states
    return (states[name] if name in states else arena.roster.outside.named(name).saved)["weight"]


@pytest.mark.slow
def test_a_second_base_takes_part_plain_and_with_what_was_learned_from_the_first(tmp_path: Path) -> None:
    site = Site(tmp_path, softmax(0.0), softmax(0.5))
    one, two = site.all
    try:
        site.lives(100)
        site.seats.install(one)
        site.patient()
        site.lives(64)
        assert any(site.seats.seat(one, "first") for _ in range(20))
        for rows in (64, 64 * TRIAL_COMMITS):
            site.lives(rows)
            tend(site.agent, site.bases)
        site.seats.install(two)
        arena: Any = site.agent._arena
        first, (plain, rebased) = name_of_base(one), names_of_base(two)
        learned = weights(arena, first)
        assert np.abs(learned).max() > 0.1
        assert weights(arena, plain) == pytest.approx(np.full_like(learned, 0.5))
        assert weights(arena, rebased) == pytest.approx(learned + 0.5, abs=1e-6)
        site.patient()
        assert site.seats.sums(two) is not None
        site.lives(200)
        shadow = site.seats.sums(two)
        assert shadow is not None
        assert shadow.labels > 100
        assert site.seats._lead > 0  # the plain one had to learn it all again
        assert site.seats._leader(arena, two) == rebased
        assert any(site.seats.seat(two, "second") for _ in range(20))
        assert (site.seats.answering(), arena.champion) == (two, rebased)
        site.lives(100)
        site.seats.unseat(two, "rollout-aborted")  # and what served before serves, with what it has learned meanwhile
        assert site.seats.answering() == one
        arena = site.agent._arena
        assert [name for name in arena.names if name.startswith("base-")] == [first]
        assert not np.array_equal(weights(arena, first), learned)
    finally:
        site.agent.close()
