"""What an agent does with a base, with real processes: the sums that a rollout rests on."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acclimate_device.agent import Agent
from acclimate_device.learning import Learning, agent_of
from acclimate_device.outside import name_of_base
from acclimate_device.slots import Bases
from acclimate_device.sync.follow import Sums
from acclimate_device.sync.seats import AgentSeats
from acclimate_device.sync.source import MemorySource
from acclimate_device.sync.update import Places, receive
from acclimate_shared.bundle import digest_of, write_bundle
from acclimate_shared.constraints import Constraints
from acclimate_shared.learner import load_package
from acclimate_shared.sanity import SanityRule
from acclimate_shared.waves import NO_BASE
from acclimate_tools.author.bundling import Inputs, make_bundle
from tests.bundles import PLAN
from tests.device.sync.links import FakeLink
from tests.device.test_agent import events
from tests.device.test_outside import STANDARD, crossed
from tests.trust import World


def bundle() -> bytes:
    rule = SanityRule(dims={"classes": 3, "fourier": 60, "phi": 64})
    inputs = Inputs(x=np.random.default_rng(0).standard_normal((8, 3)), label=None)
    needs = Constraints(memory_mib=16, agent="0.1.0")
    return write_bundle(make_bundle(load_package(STANDARD / "rls-classification"), PLAN, inputs, rule, needs))


class Site:
    """An agent in a state folder, and a base that it may fetch."""

    def __init__(self, folder: Path) -> None:
        self.data = bundle()
        self.digest = digest_of(self.data)
        world = World(folder / "world")
        world.release(self.data)
        places = Places.under(folder / "state")
        places.root.parent.mkdir(parents=True)
        places.root.write_bytes(world.first_root)

        def fetch(digest: str) -> Any:
            link = FakeLink(self.data)
            source = MemorySource(world.served())
            return receive(source, link, digest, places=places, facts=None, rtc=lambda: world.now, clock=link.clock)

        self.bases = Bases(folder / "state")
        learning = Learning(state=folder / "state", learners=("naive-bayes",), micro_batch=64)
        self.agent: Agent = agent_of(learning, None, self.bases)
        self.seats = AgentSeats(self.agent, self.bases, fetch)
        self.rows: Iterator[tuple[dict[str, object], str]] = itertools.cycle(events(2_000))

    def patient(self) -> None:
        """Let learning wait for the base's process: rows come here faster than a process starts."""
        arena: Any = self.agent._arena
        outsider = arena.roster.outside.named(name_of_base(self.digest))
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
