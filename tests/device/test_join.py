"""The join of predictions and labels equals a batch over the whole log, whatever comes when."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from acclimate_device import join
from acclimate_device.join import PendingLog, Window
from acclimate_device.logged import Early, Logged
from acclimate_shared.errors import DuplicateLabelError, LateLabelError, UnknownPredictionError, UsageError
from tests.results import FOLDER, Record, recording


@dataclass(frozen=True)
class Happening:
    """A prediction or a label as it comes; times are event times."""

    kind: str
    id: str
    time_s: float
    label: str = ""


def logged(name: str, sequence: int, time_s: float) -> Logged:
    x = np.zeros(1)
    return Logged(id=name, sequence=sequence, texts=[], key="", x=x, moment=None, memo=np.zeros(1), time_s=time_s)


class Shelf:
    """Predictions that do not fit into memory."""

    def __init__(self) -> None:
        self.there: dict[int, Logged] = {}

    def put(self, items: list[Logged]) -> None:
        self.there |= {item.sequence: item for item in items}

    def get(self, sequence: int) -> Logged:
        return self.there.pop(sequence)

    def drop(self, sequence: int) -> None:
        del self.there[sequence]


class Joined:
    """The log under test, and which label each prediction got; if ``tight``, two of them fit into memory."""

    def __init__(self, window: Window, *, tight: bool) -> None:
        self.shelf, self.got, self.said = Shelf(), dict[str, str](), Counter[str]()
        self.most = 2 * logged("", 0, 0.0).bytes if tight else None
        self.log = self.fresh(window)

    def fresh(self, window: Window) -> PendingLog:
        return PendingLog(window=window, most_bytes=self.most, elsewhere=self.shelf)

    def restarts(self) -> None:
        """Go on from what a checkpoint would hold."""
        before, self.log = self.log, self.fresh(self.log.window)
        self.log.restore(before.items(), json.loads(json.dumps(before.document())))

    def comes(self, happening: Happening) -> None:
        log = self.log
        surplus = log.surplus()
        self.shelf.put(surplus)
        log.move_away(surplus)
        self.said["moved"] += len(surplus)
        assert len(self.shelf.there) == len(log.sequences_away())
        log.advance(happening.time_s)
        if happening.kind == "label":
            label(log, happening, self.got, self.said)
        elif log.knows(happening.id):
            with pytest.raises(DuplicateLabelError):
                log.add(logged(happening.id, log.sequence, happening.time_s))
        else:
            early = log.add(logged(happening.id, log.sequence, happening.time_s))
            if early:
                self.got[log.take(early.id, early.label, early.time_s).id] = str(early.label)
        for item in log.expired():
            if log.window.negative is not None:
                self.got[item.id] = str(log.window.negative)


def streamed(
    happenings: list[Happening], window: Window, *, tight: bool = False
) -> tuple[dict[str, str], Counter[str]]:
    """Return which label each prediction got, and what was said about labels."""
    joined = Joined(window, tight=tight)
    for happening in happenings:
        joined.comes(happening)
    return joined.got, joined.said


def label(log: PendingLog, happening: Happening, got: dict[str, str], said: Counter[str]) -> None:
    early = Early(happening.id, happening.label, 1.0, "", happening.time_s)
    if not log.knows(happening.id) and log.keep_early(early):
        return
    try:
        got[log.take(happening.id, happening.label, happening.time_s).id] = happening.label
    except DuplicateLabelError as exc:
        said["contradiction" if "another" in exc.message else "duplicate"] += 1
    except LateLabelError:
        said["late"] += 1
    except UnknownPredictionError:
        said["unknown"] += 1


def batch(happenings: list[Happening], window: Window) -> dict[str, str]:
    """Return the same from the whole log at once: for every id, its first prediction and the labels around it."""
    newest, watermarks = -math.inf, []
    for happening in happenings:
        newest = max(newest, happening.time_s)
        watermarks.append(newest - window.out_of_order_s)
    got: dict[str, str] = {}
    for name in {h.id for h in happenings if h.kind == "prediction"}:
        own = [(at, h) for at, h in enumerate(happenings) if h.id == name]
        born, prediction = next((at, h) for at, h in own if h.kind == "prediction")
        end = prediction.time_s + window.most_s
        closed = next((at for at, mark in enumerate(watermarks) if at >= born and mark > end), math.inf)
        early = waiting([(at, h) for at, h in own if h.kind == "label" and at < born], born, watermarks, window)
        if early is not None and -window.early_s <= early.time_s - prediction.time_s <= window.most_s:
            got[name] = early.label
            continue
        after = [h for at, h in own if h.kind == "label" and born < at <= closed and h.time_s <= end]
        if after:
            got[name] = after[0].label
        elif window.negative is not None and math.isfinite(closed):
            got[name] = str(window.negative)
    return got


def waiting(
    labels: list[tuple[int, Happening]], born: int, watermarks: list[float], window: Window
) -> Happening | None:
    """Return the early label that still waits when its prediction comes: the first that found none in its place."""
    held: Happening | None = None
    for at, early in labels if window.early_s else ():
        if held is None or held.time_s + window.early_s < watermarks[at]:
            held = early
    fresh = held is not None and held.time_s + window.early_s >= watermarks[born - 1]
    return held if fresh else None


def schedule(rng: np.random.Generator) -> tuple[list[Happening], Window]:
    """Return a random schedule: some ids, labels late, early, twice, contradicting, missing, out of order."""
    window = Window(
        most_s=float(rng.choice([5.0, 20.0, math.inf])),
        out_of_order_s=float(rng.choice([0.0, 3.0, 10.0])),
        early_s=float(rng.choice([0.0, 8.0])),
    )
    if math.isfinite(window.most_s) and rng.random() < 0.5:
        window = Window(**{**window.facts(), "negative": "no"})
    happenings, now = [], 0.0
    for i in range(int(rng.integers(1, 9))):
        now += float(rng.exponential(4.0))
        happenings.append((now + rng.normal(0, 1), Happening("prediction", f"p{i}", now)))
        for _ in range(int(rng.choice([0, 1, 1, 2, 3]))):
            time_s = now + float(rng.normal(6.0, 8.0))
            happenings.append(
                (time_s + rng.normal(0, 3), Happening("label", f"p{i}", time_s, str(rng.choice(["a", "b"]))))
            )
    if rng.random() < 0.3:
        happenings.append((now * rng.random(), Happening("label", "nobody", now / 2, "a")))
    happenings.sort(key=lambda one: one[0])
    return [happening for _, happening in happenings], window


def agree(schedules: int, seed: int) -> dict[str, int]:
    """Compare schedules; return what occurred in them, so that nothing is agreed upon that never happens."""
    rng, seen = np.random.default_rng(seed), Counter[str]()
    for _ in range(schedules):
        happenings, window = schedule(rng)
        got, said = streamed(happenings, window, tight=rng.random() < 0.5)
        expected = batch(happenings, window)
        assert got == expected, (happenings, window)
        seen.update(said)
        seen["joined"] += len(got)
        seen["negative"] += sum(value == "no" for value in got.values())
    return dict(seen)


def test_a_thousand_schedules_agree_with_a_batch() -> None:
    seen = agree(1_000, 0)
    for kind in ("joined", "negative", "duplicate", "contradiction", "late", "unknown", "moved"):
        assert seen.get(kind, 0) > 20, seen


@pytest.fixture(scope="module")
def record() -> Iterator[Record]:
    """A function that keeps a figure."""
    yield from recording(FOLDER / "join.json")


@pytest.mark.long
def test_a_hundred_thousand_schedules_agree_with_a_batch(record: Record) -> None:
    seen = agree(100_000, 1)
    record("join", "schedules", {"schedules": 100_000, "differences": 0, **seen})


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1))
def test_any_schedule_agrees_with_a_batch(seed: int) -> None:
    happenings, window = schedule(np.random.default_rng(seed))
    for tight in (False, True):
        assert streamed(happenings, window, tight=tight)[0] == batch(happenings, window)


TIMES = st.floats(-10.0, 30.0).map(lambda s: round(s, 1))


class Machine(RuleBasedStateMachine):
    """Predictions and labels in any order, restarts between them: at every moment the batch says the same."""

    @initialize(
        most_s=st.sampled_from([5.0, 20.0, math.inf]),
        out_of_order_s=st.sampled_from([0.0, 3.0, 10.0]),
        early_s=st.sampled_from([0.0, 8.0]),
        negative=st.booleans(),
        tight=st.booleans(),
    )
    def begins(self, most_s: float, out_of_order_s: float, early_s: float, *, negative: bool, tight: bool) -> None:
        word = "no" if negative and math.isfinite(most_s) else None
        self.window = Window(most_s=most_s, out_of_order_s=out_of_order_s, early_s=early_s, negative=word)
        self.joined, self.happenings, self.now = Joined(self.window, tight=tight), list[Happening](), 0.0

    def _comes(self, happening: Happening) -> None:
        self.happenings.append(happening)
        self.joined.comes(happening)

    @rule(name=st.integers(0, 5), later=st.floats(0.0, 6.0))
    def predicted(self, name: int, later: float) -> None:
        self.now += round(later, 1)
        self._comes(Happening("prediction", f"p{name}", self.now))

    @rule(name=st.integers(0, 6), apart=TIMES, text=st.sampled_from(["a", "b"]))
    def labelled(self, name: int, apart: float, text: str) -> None:
        self._comes(Happening("label", f"p{name}", self.now + apart, text))

    @rule()
    def restarts(self) -> None:
        self.joined.restarts()

    @invariant()
    def agrees(self) -> None:
        assert self.joined.got == batch(self.happenings, self.window)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_nothing_is_a_negative_before_its_window_has_ended() -> None:
    log = PendingLog(window=Window(most_s=10.0, negative="no", out_of_order_s=2.0))
    log.add(logged("p", 0, 100.0))
    for time_s in (105.0, 110.0, 112.0):
        log.advance(time_s)
        assert log.expired() == []
    log.advance(112.1)
    assert [item.id for item in log.expired()] == ["p"]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "MAX_EARLY", 5)
    monkeypatch.setattr(join, "MAX_DONE", 6)
    log = PendingLog(max_waiting=5, window=Window(early_s=1e9))
    for i in range(20):
        log.keep_early(Early(f"early-{i}", "a", 1.0, "", 0.0))
        log.add(logged(f"p{i}", i, 0.0))
    assert (len(log), log.forgotten, log.refused["early"]) == (5, 15, 15)
    for i in range(15, 20):
        log.take(f"p{i}", "a", 0.0)
    assert sum(len(one) for one in log.document()["answered"]) == 5
    assert sorted(log.document()["answered"][1]) == [["p18", "a"], ["p19", "a"]]


def test_the_log_goes_on_where_it_was() -> None:
    window = Window(most_s=10.0, negative="no", early_s=5.0)
    first, second = PendingLog(window=window), PendingLog(window=window)
    for i in range(4):
        first.advance(float(i))
        first.add(logged(f"p{i}", i, float(i)))
    first.take("p1", "a", 3.0)
    first.keep_early(Early("later", "b", 1.0, "", 3.5))
    second.restore(first.items(), first.document())
    assert second.document() == first.document()
    for log in (first, second):
        log.advance(12.5)
        assert [item.id for item in log.expired()] == ["p0", "p2"]
        with pytest.raises(LateLabelError):
            log.take("p0", "a", 4.0)
        with pytest.raises(DuplicateLabelError, match="another"):
            log.take("p1", "b", 4.0)


@pytest.mark.parametrize("wrong", [{"most_s": -1.0}, {"early_s": math.nan}, {"negative": "no"}])
def test_a_window_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Window(**wrong)


def test_a_window_survives_as_json() -> None:
    for window in (Window(), Window(most_s=3.0, negative=0.5, early_s=1.0)):
        assert Window.of(window.facts()) == window
