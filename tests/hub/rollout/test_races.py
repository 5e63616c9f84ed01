"""Races: what somebody does between the reading and the writing of somebody else."""

import threading
from collections.abc import Callable

import pytest

from acclimate_hub.rollout import ConflictError, MemoryStore, Phase, Rollout, Rollouts, Transition, TransitionError
from tests.hub.rollout.fleet import COHORT, small_plan
from tests.hub.rollout.world import NAME, World


class Interrupted(MemoryStore):
    """Lets somebody act between the reading and the writing of a transition, once."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action = action
        self.between: Callable[[], object] | None = None

    def swap(self, new: Rollout, transition: Transition | None) -> bool:
        if self.between and transition is not None and transition.action == self.action:
            between, self.between = self.between, None
            between()
        return super().swap(new, transition)


def test_an_abort_between_reading_and_advancing_wins() -> None:
    store = Interrupted("advance")
    world = World(store=store).started()
    store.between = lambda: world.hub.abort(NAME, "ann", "stop")
    rollout = world.until(Phase.ABORTED)
    assert store.between is None
    assert rollout.wave == 0
    assert [t.action for t in store.transitions(NAME)] == ["create", "approve", "start", "abort"]


def test_a_pause_between_reading_and_aborting_does_not_save_a_bad_base() -> None:
    store = Interrupted("abort")
    world = World(store=store).started()
    store.between = lambda: world.hub.pause(NAME, "ann", "let me look")
    rollout = world.until(Phase.PAUSED, loss=0.03)
    assert rollout.why == "let me look"
    assert world.hub.returns(NAME) == []
    world.hub.resume(NAME, "ann", "go on")
    assert world.until(Phase.ABORTED, loss=0.03).why.startswith("loss")


def test_of_two_starts_at_once_one_is_refused() -> None:
    store = Interrupted("start")
    hub = Rollouts(store, lambda: 0.0)
    for name in ("r1", "r2"):
        hub.create(name, small_plan(), author="ann", **World.facts())  # type: ignore[arg-type]
        hub.approve(name, "bob", "fine")
    store.between = lambda: hub.start("r2", "bob", "quicker")
    with pytest.raises(TransitionError, match="cohort is taken"):
        hub.start("r1", "bob", "now")
    assert [(r.id, r.number) for r in store.rollouts()] == [("r1", 0), ("r2", 1)]


def many_retries(store: MemoryStore) -> tuple[int, int, int]:
    """Let eight threads retry at once; return retries that succeeded, transitions on record, and attempts."""
    hub = Rollouts(store, lambda: 0.0)
    hub.create(NAME, small_plan(), author="ann", **World.facts())  # type: ignore[arg-type]
    hub.approve(NAME, "bob", "fine")
    hub.start(NAME, "bob", "now")
    done: list[int] = []

    def work() -> None:
        for _ in range(30):
            try:
                done.append(hub.retry(NAME, "bob", "again").version)
            except ConflictError:
                continue

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    retries = sum(transition.action == "retry" for transition in store.transitions(NAME))
    return len(done), retries, hub.get(NAME).attempt - 1


def test_no_transition_is_lost_between_threads() -> None:
    done, recorded, attempts = many_retries(MemoryStore())
    assert done == recorded == attempts > 0


class Blind(MemoryStore):
    """A store that writes without comparing, and lets another in before it does."""

    def swap(self, new: Rollout, transition: Transition | None) -> bool:
        threading.Event().wait(0.0002)
        self._rollouts[new.id] = new
        self._transitions.setdefault(new.id, []).extend([transition] if transition else [])
        return True


def test_without_comparing_transitions_are_lost() -> None:
    _, recorded, attempts = many_retries(Blind())
    assert attempts < recorded


def test_a_row_that_others_keep_changing_is_a_conflict() -> None:
    class Busy(MemoryStore):
        def swap_device(self, new: object) -> bool:
            return new is None

    hub = Rollouts(Busy(), lambda: 0.0)
    hub.create(NAME, small_plan(), author="ann", **World.facts())  # type: ignore[arg-type]
    with pytest.raises(ConflictError):
        hub.presence(NAME, "d0", COHORT, online=True, boot=1)
