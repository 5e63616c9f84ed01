"""The watchdog: what hangs is given up, comes back after a pause, and what was given up is not heard any more."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.sync.limits import LinkLimits
from acclimate_device.sync.watch import Tell, WatchedLink, pause_s, verdict
from acclimate_device.sync.wire import Arrived, Connected, Health, Lost
from acclimate_shared.errors import LinkError
from tests.device.sync.wires import Clock

LIMITS = LinkLimits()
WELL = Health(alive=True, connected=True, begun_s=0.0, beat_s=1000.0, heard_s=1000.0)


@pytest.mark.parametrize(
    ("health", "word"),
    [
        (WELL, ""),
        (replace(WELL, alive=False), "died"),
        (replace(WELL, beat_s=979.0), "hangs"),
        (replace(WELL, heard_s=99.0), "silent"),
        (replace(WELL, heard_s=101.0), ""),
        (replace(WELL, asked_s=939.0), "acknowledges nothing"),
        (replace(WELL, asked_s=941.0), ""),
        (replace(WELL, connected=False, begun_s=969.0), "too long"),
        (replace(WELL, connected=False, begun_s=971.0, beat_s=0.0, heard_s=0.0), ""),
    ],
)
def test_the_verdict(health: Health, word: str) -> None:
    found = verdict(health, 1000.0, LIMITS)
    assert word in found
    assert bool(word) == bool(found)


@given(st.integers(1, 10_000), st.integers(0, 2**32))
def test_a_pause_is_anything_up_to_a_bound_that_doubles(attempt: int, seed: int) -> None:
    bound = min(LIMITS.longest_pause_s, LIMITS.pause_s * 2.0 ** min(attempt - 1, 60))
    drawn = [pause_s(attempt, LIMITS, random.Random(seed + i)) for i in range(40)]  # noqa: S311 - repeatable
    assert all(0 <= one <= bound for one in drawn)
    assert max(drawn) > bound / 2 > min(drawn)
    assert pause_s(attempt, LIMITS, random.Random(seed)) == drawn[0]  # noqa: S311


@dataclass
class FakeSession:
    tell: Tell
    clock: Clock
    begun_s: float
    started: int = 0
    abandoned: int = 0
    left: int = 0
    sent: list[bytes] = field(default_factory=list)
    now: Health | None = None

    def __post_init__(self) -> None:
        at = self.begun_s
        self.now = Health(alive=True, connected=False, begun_s=at, beat_s=at, heard_s=at)

    def set(self, **facts: object) -> None:
        assert self.now is not None
        self.now = replace(self.now, **facts)  # type: ignore[arg-type]

    def connect(self) -> None:
        self.set(connected=True, beat_s=self.clock(), heard_s=self.clock())
        self.tell(self, Connected(kept=False))

    def start(self) -> None:
        self.started += 1

    def health(self) -> Health:
        assert self.now is not None
        return self.now

    def publish(self, topic: str, payload: bytes, *, qos: int, retained: bool) -> None:
        del topic, qos, retained
        self.sent.append(payload)

    def subscribe(self, topics: Sequence[str], *, qos: int) -> None:
        del topics, qos

    def unsubscribe(self, topics: Sequence[str]) -> None:
        del topics

    def leave(self, within_s: float) -> None:
        del within_s
        self.left += 1

    def abandon(self) -> None:
        self.abandoned += 1


class World:
    def __init__(self) -> None:
        self.clock, self.made, self.attempts = Clock(0.0), list[FakeSession](), list[int]()
        self.refuse = False
        self.link = WatchedLink(self.begin, LIMITS, clock=self.clock, rng=random.Random(1))  # noqa: S311

    def begin(self, tell: Tell, attempt: int) -> FakeSession:
        self.attempts.append(attempt)
        if self.refuse:
            raise OSError("no file")
        self.made.append(FakeSession(tell, self.clock, self.clock()))
        return self.made[-1]

    def until(self, count: int, within_s: float = 3600.0) -> None:
        """Tend every second until so many sessions were made."""
        end = self.clock.now_s + within_s
        while len(self.made) < count:
            assert self.clock.now_s < end
            self.clock.now_s += 1.0
            self.link.tend()


def test_a_session_that_hangs_is_given_up_and_the_next_one_serves() -> None:
    world = World()
    world.link.tend()
    first = world.made[0]
    assert (first.started, world.link.connected) == (1, False)
    with pytest.raises(LinkError):
        world.link.publish("t", b"x")
    first.connect()
    world.link.publish("t", b"x")
    assert world.link.receive(0) == Connected(kept=False)
    world.clock.now_s = 1000.0
    world.link.tend()  # its thread has not gone round for 1000 s
    assert (first.abandoned, world.link.given_up) == (1, ["its thread hangs"])
    assert isinstance(world.link.receive(0), Lost)
    world.until(2)
    first.tell(first, Arrived("late", b"word"))
    first.tell(first, Lost("later"))
    world.made[1].connect()
    assert world.link.receive(0) == Connected(kept=False)
    assert world.link.receive(0) is None
    assert world.link.connected


def test_attempts_that_fail_are_made_ever_more_seldom_and_never_end() -> None:
    world = World()
    world.refuse = True
    times = []
    for _ in range(40_000):
        before = len(world.attempts)
        world.link.tend()
        times += [world.clock.now_s] * (len(world.attempts) - before)
        world.clock.now_s += 1.0
    late = [after - before for before, after in zip(times[-40:], times[-39:], strict=False)]
    assert 60 < sum(late) / len(late) < 240  # half of the longest pause, on average
    assert max(late) <= LIMITS.longest_pause_s + 1
    world.refuse = False
    world.until(1)


def test_a_broker_that_ends_every_connection_at_once_is_not_battered() -> None:
    world = World()
    for _ in range(20_000):
        world.link.tend()
        if world.made and world.link._session is world.made[-1]:
            world.made[-1].connect()
            world.made[-1].tell(world.made[-1], Lost("ended"))
        world.clock.now_s += 1.0
        while world.link.receive(0):
            pass
    assert len(world.made) < 200


def test_a_session_that_was_of_use_is_made_again_soon() -> None:
    world = World()
    for turn in range(1, 30):
        world.until(turn, within_s=3.0)
        world.made[-1].connect()
        world.clock.now_s += 3600.0
        world.made[-1].tell(world.made[-1], Lost("the broker restarts"))
    assert world.attempts == [1] * 29


def test_new_credentials_connect_at_once_and_closing_is_the_end() -> None:
    world = World()
    world.link.tend()
    world.made[0].connect()
    world.link.renew()
    world.link.tend()
    assert (len(world.made), world.made[0].abandoned) == (2, 1)
    world.made[1].connect()
    world.link.close()
    assert (world.made[1].left, world.made[1].abandoned) == (1, 1)
    world.clock.now_s += 1e6
    world.link.tend()
    assert len(world.made) == 2


def test_who_waits_can_be_woken() -> None:
    world = World()
    world.link.wake()
    assert world.link.receive(60.0) is None


def test_too_much_at_once_is_dropped_and_does_not_grow() -> None:
    world = World()
    world.link.tend()
    for i in range(5000):
        world.made[0].tell(world.made[0], Arrived("t", bytes([i % 256])))
    world.made[0].connect()  # is heard, however much waits
    for _ in range(5000):
        world.link.wake()
    got = [world.link.receive(0) for _ in range(1026)]
    assert sum(isinstance(one, Arrived) for one in got) == LIMITS.waiting == 1024
    assert got[-2:] == [Connected(kept=False), None]
    assert world.link.dropped == 5000 - 1024
    assert world.link._happened.empty()
    world.made[0].tell(world.made[0], Arrived("t", b"there is room again"))
    assert isinstance(world.link.receive(0), Arrived)


def test_what_waits_is_bounded_in_bytes_too() -> None:
    world = World()
    world.link.tend()
    for _ in range(1000):
        world.made[0].tell(world.made[0], Arrived("t", bytes(1 << 20)))
    assert world.link.dropped == 1000 - (LIMITS.waiting_bytes >> 20)
