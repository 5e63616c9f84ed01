"""After a promotion: harm brings back what served before, noise does not, and the lineage tells it."""

from typing import Any

import numpy as np
import pytest

from acclimate_device.replay import Options, Replay
from acclimate_device.rules import Rules
from acclimate_device.succession import LEAST_RUN, LONGEST, RUN_LABELS, Succession
from acclimate_device.transitions import happened
from acclimate_shared.errors import UsageError
from tests.device.test_arena import arena, drive, stream
from tests.device.test_replay import rows_of

TOLERANCE = 0.01
NOBODY = np.empty((0, 2))


def wrong(rng: np.random.Generator, rate: float, rows: int) -> Any:
    return (rng.random(rows) < rate).astype(float)


def alarm_at(seed: int, rows: int, *, now: float, before: float) -> int | None:
    """Feed 0/1 losses with these rates, and return how many labels it took to an alarm."""
    rng, watch = np.random.default_rng(seed), Succession(TOLERANCE)
    watch.begin(0, np.stack([wrong(rng, before, 1_024), wrong(rng, before, 1_024)], 1), 16)
    return watch.watch.n if watch.observe(wrong(rng, now, rows), wrong(rng, before, rows)) else None


def alarms(runs: int, *, now: float, before: float) -> float:
    """Return the share of runs of 20,000 labels with an alarm."""
    return float(np.mean([alarm_at(seed, 20_000, now=now, before=before) is not None for seed in range(runs)]))


def test_harm_is_found_within_a_micro_batch() -> None:
    for seed in range(20):
        found = alarm_at(seed, 1_024, now=0.5, before=0.1)
        assert found is not None
        assert found <= 256


def test_false_alarms_are_as_rare_as_promised() -> None:
    """With an average run length of 80,000 labels, at most a quarter of runs may have alarmed by 20,000."""
    runs, most = 200, 0.25
    assert alarms(runs, now=0.21, before=0.2) <= most + 3 * np.sqrt(most * (1 - most) / runs)
    assert alarms(20, now=0.15, before=0.2) == 0
    assert alarms(20, now=0.26, before=0.2) >= 0.9  # it would be heard


def test_blocks_are_as_long_as_the_differences_hang_together() -> None:
    rng, watch = np.random.default_rng(0), Succession(TOLERANCE)
    watch.begin(3, NOBODY, 7)
    assert (watch.column, watch.watch.blocks.length) == (3, 7)
    watch.begin(3, np.stack([wrong(rng, 0.2, 2_000), wrong(rng, 0.2, 2_000)], 1), 7)
    assert watch.numbers()["average_run_length"] == RUN_LABELS
    slow = np.repeat(wrong(rng, 0.5, 20), 100)
    watch.begin(3, np.stack([slow, np.zeros(2_000)], 1), 7)
    assert 1 < watch.watch.blocks.length <= LONGEST
    assert watch.numbers()["average_run_length"] >= LEAST_RUN * watch.watch.blocks.length


def test_who_watches_nobody_gives_no_alarm() -> None:
    assert not Succession(TOLERANCE).observe(np.ones(5_000), np.zeros(5_000))


@pytest.mark.parametrize("cut", [0, 64, 640])
def test_a_saved_one_goes_on_bit_for_bit(cut: int) -> None:
    rng = np.random.default_rng(1)
    now, before = (rng.random((2, 1_920)) < 0.2).astype(float)
    whole, first, second = (Succession(TOLERANCE) for _ in range(3))
    for each in (whole, first):
        each.begin(2, NOBODY, 16)
    for at in range(0, 1_920, 64):
        if at == cut:
            second.restore(first.document())
        whole.observe(now[at : at + 64], before[at : at + 64])
        (first if at < cut else second).observe(now[at : at + 64], before[at : at + 64])
    assert second.document() == whole.document()
    second.restore(None)  # as from a state that had none
    assert second.column is None


class Worse:
    """Finds that what was promoted has become worse, at once."""

    def observe(self, now: Any, before: Any) -> bool:
        return len(now) == len(before) > 0


def test_what_served_before_serves_again_and_the_fallen_one_rests() -> None:
    x, y = stream(2_560)
    this = arena()
    drive(this, x[:1_024], y[:1_024])
    before, name = this.roster.serving, this.champion
    other = next(column for column in range(len(this.names)) if column != before)
    if other not in this.contest.running:
        this.contest.start(other)
    this._promote(other)
    assert (this.champion, this.version) == (this.names[other], "2.0")
    assert this.succession.column == before
    this.succession.observe = Worse().observe  # type: ignore[method-assign]
    drive(this, x[1_024:1_184], y[1_024:1_184], commit=4_096)
    assert (this.champion, this.version) == (name, "3.0")
    assert this.roster.serving == this.lineage == before
    assert this.succession.column is None
    assert not this.contest.cool_down.rested(other, this.contest.labels)
    kinds = [event.kind for event in this.commit()]
    assert kinds == ["promote", "rollback", "commit"]


def test_a_person_who_decides_is_not_corrected() -> None:
    x, y = stream(1_024)
    this = arena()
    drive(this, x, y)
    this.succession.begin(0, NOBODY, 16)
    this.override(this.names[1], "ada", "I know better")
    assert this.succession.column is None


def frozen_states(this: Any, slot: int) -> dict[str, Any]:
    start = f"slot-{slot}/"
    return {name[len(start) :]: a.copy() for name, a in this.tensors().items() if name.startswith(start)}


def promoted_by_a_person() -> tuple[Any, dict[str, Any]]:
    """Return an arena whose frozen champion was replaced, and the bytes of the one before."""
    x, y = stream(1_024)
    this = arena(Rules(policy="superiority", commission=512))
    drive(this, x, y)
    before = frozen_states(this, 0)
    this.override("naive-bayes", "ada", "it explains itself")
    return this, before


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(a, other[name]) for name, a in one.items())


def test_a_frozen_champion_is_kept_when_another_comes_and_returns_byte_for_byte() -> None:
    this, before = promoted_by_a_person()
    last = len(this.roster.slots) - 1
    assert (this.champion, this.version) == ("naive-bayes", "2.0")
    assert same(frozen_states(this, last), before)
    crowned = frozen_states(this, 0)
    assert not same(crowned, before)
    this.roll_back("ada: it was a mistake")
    assert same(frozen_states(this, 0), before)
    assert same(frozen_states(this, last), crowned)
    assert this.version == "3.0"
    assert [event.kind for event in this.commit()] == ["override", "rollback"]


def test_there_is_nothing_to_roll_back_to_before_another_has_come() -> None:
    x, y = stream(1_024)
    this = arena(Rules(policy="superiority", commission=512))
    drive(this, x, y)
    with pytest.raises(UsageError, match="nothing to roll back to"):
        this.roll_back("ada: to see what happens")


def test_what_served_frozen_serves_again_when_what_was_promoted_is_worse() -> None:
    x, y = stream(3_072)
    this, before = promoted_by_a_person()
    last = this.roster.slot_column(len(this.roster.slots) - 1)
    this.succession.begin(last, NOBODY, 16)
    seen: list[int] = []

    def worse(now: Any, before: Any) -> bool:
        seen.append(min(len(now), len(before)))
        return sum(seen) >= 256

    this.succession.observe = worse
    drive(this, x, y, commit=4_096)
    assert sum(seen) >= 256  # both answered every event since
    assert same(frozen_states(this, 0), before)
    assert this.version == "3.0"
    assert this.succession.column is None


def turned(rows: int) -> tuple[list[str], list[list[str]]]:
    """A stream whose rule is turned round in the middle; before that, one who is slow to learn is the best."""
    rng = np.random.default_rng(7)
    a, b, c = rng.standard_normal((3, rows))
    sign = np.where(np.arange(rows) < rows // 2, 1.0, -1.0)
    labels = np.where(sign * a + b * np.abs(c) / 2 > 0.3, "leak", "fine")
    header = ["pressure", "flow", "valve", "state"]
    return header, [[f"{a[i]:.3f}", f"{b[i]:.3f}", f"{c[i]:.3f}", str(labels[i])] for i in range(rows)]


def replayed(*, watched: bool) -> Replay:
    """Replay it with a promotion right before the turn; ``watched``: what served before is kept in view."""
    inputs, rows = rows_of(turned(4_096), "classification")
    replay = Replay(inputs, Options(task="classification", learners=("softmax", "rls-slow")))
    this, at = replay.arena, 0
    while at < len(rows):
        if at == 2_048:
            slow = this.names.index("rls-slow")
            if slow not in this.contest.running:
                this.contest.start(slow)
            this._promote(slow)
            if not watched:
                this.succession.end()
        chunk = rows[at : at + replay.chunk_rows]
        at += len(chunk)
        if replay.feed(chunk):
            replay.committed()
    return replay


@pytest.mark.slow
def test_a_promotion_right_before_the_world_turns_costs_little() -> None:
    found = [replayed(watched=watched) for watched in (True, False)]
    served, alone = (replay.result()["served"]["accuracy"] for replay in found)
    assert [happened(replay.arena.contest.log)["rollback"] for replay in found] == [1, 0]
    assert served > alone + 0.05
