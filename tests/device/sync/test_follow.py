"""A follower with an agent that does as it is told, and one that does not; restarts, losses, late documents."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acclimate_device.fleet_rows import FleetRows
from acclimate_device.store import Store
from acclimate_device.sync.follow import Follower, Sums
from acclimate_device.sync.limits import FETCH_AGAIN_S
from acclimate_shared.constraints import ConstraintError
from acclimate_shared.errors import LinkError, StateError
from acclimate_shared.messages.down import Desired, SwitchSlot
from acclimate_shared.messages.up import RolloutBlock, RolloutReport
from acclimate_shared.release import ExpiredError, TrustError, UnlistedError
from acclimate_shared.rollout_reports import DeviceState
from acclimate_shared.waves import NO_BASE, Action, Stage
from tests.shared.messages.samples import DESIRED, D, E

BEGUN = msgspec.structs.replace(DESIRED, shadow=100.0, serve=0.0, revision=1, warmup_labels=10)
SERVE = msgspec.structs.replace(BEGUN, serve=100.0, revision=2)
BACK = msgspec.structs.replace(SERVE, action=Action.RETURN, revision=3)
STATES = DeviceState


class Seats:
    """An agent; ``trouble`` is raised by the next installation."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.installed: list[str] = []
        self.seated, self.broken, self.slow = "", "", 0
        self.count = Sums()

    def install(self, digest: str) -> None:
        if self.trouble:
            raise self.trouble
        self.installed.append(digest)

    def fault(self, digest: str) -> str:
        return self.broken if digest in self.installed else "not-in-a-slot"

    def seat(self, digest: str, why: str) -> bool:
        assert why
        self.slow -= 1
        if self.slow < 0:
            self.seated = digest
        return self.slow < 0

    def serves(self, digest: str) -> bool:
        return self.seated == digest

    def unseat(self, digest: str, why: str) -> None:
        assert why
        self.installed = [one for one in self.installed if one != digest]
        self.seated = "" if self.seated == digest else self.seated

    def sums(self, digest: str) -> Sums | None:
        return self.count if digest in self.installed else None

    def answering(self) -> str:
        return self.seated or NO_BASE


class World:
    """A device that is killed and started anew; the agent's slots survive it."""

    def __init__(self, store: Store) -> None:
        self.store, self.seats, self.now_s, self.said = store, Seats(), 1000.0, list[Any]()
        self.wanted: Desired | None = None
        self.again()

    def again(self) -> None:
        self.follower = Follower("gw-1", FleetRows(self.store), self.seats, self.said.append, lambda: self.now_s)
        if self.wanted:
            self.follower.desired(self.wanted)

    def told(self, desired: Desired) -> None:
        self.wanted = desired
        self.follower.desired(desired)

    def steps(self, count: int = 1, seconds: float = 5.0, labels: int = 4) -> None:
        for _ in range(count):
            self.follower.step()
            self.now_s += seconds
            more = {"labels": self.seats.count.labels + labels, "asked": self.seats.count.asked + labels}
            self.seats.count = Sums(**more, gain=self.seats.count.gain - 0.5 * labels, memory=1.5)

    @property
    def states(self) -> list[DeviceState]:
        return [one.state for one in self.said if isinstance(one, RolloutReport)]

    def report(self) -> RolloutReport:
        return [one for one in self.said if isinstance(one, RolloutReport)][-1]

    @property
    def blocks(self) -> list[RolloutBlock]:
        return [one for one in self.said if isinstance(one, RolloutBlock)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(Store(tmp_path / "state")) as store:
        yield World(store)


def test_shadow_then_serve_then_through_its_probation(world: World) -> None:
    world.steps()
    assert world.said == []
    world.told(BEGUN)
    world.steps(6)
    assert world.states == [STATES.DOWNLOADING, STATES.VERIFIED, STATES.VERIFIED]
    assert (world.report().warm, world.report().stage, world.report().digest) == (True, Stage.SHADOW, NO_BASE)
    world.told(SERVE)
    world.steps(3)
    assert world.report().state is STATES.PROBATION
    assert (world.report().stage, world.report().digest) == (Stage.SERVE, D)
    world.steps(20)
    assert world.report().state is STATES.RUNNING
    assert world.report().served_s >= SERVE.probation_s
    before = len(world.said)
    world.steps(2)  # nothing is new
    assert [one for one in world.said[before:] if isinstance(one, RolloutReport)] == []
    world.told(BACK)
    world.steps()
    assert (world.report().state, world.report().digest, world.seats.installed) == (STATES.ROLLED_BACK, NO_BASE, [])


def test_a_probation_that_is_cut_short_begins_again(world: World) -> None:
    world.told(SERVE)
    world.steps(4)
    world.now_s += SERVE.probation_s - 10.0
    world.again()
    world.steps(3)
    assert world.report().state is STATES.PROBATION
    world.steps(20)
    assert world.report().state is STATES.RUNNING
    assert world.report().served_s >= SERVE.probation_s


def test_a_base_that_needs_time_to_take_its_seat_gets_it(world: World) -> None:
    world.told(SERVE)
    world.seats.slow = 3
    world.steps(3)
    assert world.report().state is STATES.VERIFIED
    world.steps(4)
    assert world.report().state is STATES.PROBATION


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (ExpiredError("x"), "metadata-expired"),
        (UnlistedError("x"), "not-listed"),
        (TrustError("x"), "signature-refused"),
        (ConstraintError("x"), "not-made-for-this-device"),
        (StateError("x"), "refused"),
    ],
)
def test_why_a_base_is_not_taken_is_said_and_another_attempt_is_waited_for(
    world: World, error: Exception, word: str
) -> None:
    world.seats.trouble = error
    world.told(BEGUN)
    world.steps(3)
    assert (world.report().state, world.report().reason) == (STATES.FAILED, word)
    world.seats.trouble = None
    world.again()
    world.steps(3)
    assert world.report().state is STATES.FAILED
    world.told(msgspec.structs.replace(BEGUN, attempt=2, revision=2))
    world.steps(3)
    assert (world.report().state, world.report().attempt) == (STATES.VERIFIED, 2)


def test_a_link_that_breaks_is_no_failure(world: World) -> None:
    world.seats.trouble = LinkError("gone")
    world.told(BEGUN)
    world.steps(3, seconds=1.0)
    assert world.states == [STATES.DOWNLOADING, STATES.TOLD]
    world.seats.trouble = None
    world.now_s += FETCH_AGAIN_S
    world.steps(2)
    assert world.report().state is STATES.VERIFIED


def test_what_fails_in_shadow_has_failed_and_what_fails_in_service_went_back(world: World) -> None:
    world.told(BEGUN)
    world.steps(2)
    world.seats.broken = "failed-on-trial"
    world.steps()
    assert (world.report().state, world.report().reason) == (STATES.FAILED, "failed-on-trial")
    world.seats.broken = ""
    world.told(msgspec.structs.replace(SERVE, attempt=2))
    world.steps(4)
    assert world.report().state is STATES.PROBATION
    world.seats.seated = ""  # the guard has let the anchor serve
    world.steps()
    assert (world.report().state, world.report().reason) == (STATES.ROLLED_BACK, "fell-back-by-itself")
    assert world.seats.installed == []


def test_a_pause_begins_nothing_and_keeps_what_runs(world: World) -> None:
    world.told(msgspec.structs.replace(BEGUN, action=Action.HOLD))
    world.steps(3)
    assert world.seats.installed == []
    world.told(msgspec.structs.replace(BEGUN, revision=2))
    world.steps(2)
    world.told(msgspec.structs.replace(SERVE, action=Action.HOLD, revision=3))
    world.steps(3)
    assert (world.seats.installed, world.seats.seated) == ([D], "")


def test_documents_and_commands_of_before_change_nothing(world: World) -> None:
    world.told(SERVE)
    world.steps(4)
    old = SwitchSlot(rollout="r-1", number=3, revision=1, digest=E, reason="rollout-aborted", expires_s=9e9)
    world.follower.command(old)
    world.follower.desired(BEGUN)
    world.steps(3)
    assert world.seats.seated == D
    world.follower.command(msgspec.structs.replace(old, revision=3))
    world.steps()
    assert (world.report().state, world.report().reason) == (STATES.ROLLED_BACK, "rollout-aborted")
    world.follower.desired(SERVE)  # it was under way when the rollout was aborted
    world.steps(3)
    assert world.report().state is STATES.ROLLED_BACK
    world.again()
    world.steps(3)
    assert world.seats.seated == ""


def test_a_return_where_nothing_was_begun_does_nothing(world: World) -> None:
    world.told(BACK)
    world.steps(3)
    assert world.said == []


def test_whole_blocks_after_the_warm_up_are_measured_once(world: World) -> None:
    world.now_s = 1200.0
    world.told(BEGUN)
    world.steps(20)
    blocks = world.blocks
    assert [block.block for block in blocks] == list(range(blocks[0].block, blocks[0].block + len(blocks)))
    assert len(blocks) == 2
    assert all((b.labels, b.gain, b.asked, b.memory) == (24, -12.0, 24, 1.5) for b in blocks)
    world.again()  # in the middle of a block
    world.now_s += 2.0
    world.seats.count = Sums()
    world.steps(3)
    assert world.blocks == blocks


def test_another_rollout_begins_from_the_start(world: World) -> None:
    world.told(SERVE)
    world.steps(30)
    assert world.report().state is STATES.RUNNING
    world.told(msgspec.structs.replace(BEGUN, rollout="r-2", number=4, revision=1, digest=E, previous=D))
    world.steps(3)
    assert (world.report().rollout, world.report().state, world.report().digest) == ("r-2", STATES.VERIFIED, D)
