"""Applies a policy to one moment after another.

Order of one step: feed detectors and windows of losses (all of them, whatever else holds); see which triggers are due;
see what holds them back; if nothing does, fire and start counting anew. What is held back stays due and fires at the
first moment that lets it.

State and policy are apart: a state is taken up by a changed policy too, and each detector or window of losses goes on
if the same kind of trigger is still in the same place, and starts anew otherwise.
"""

import copy
import math
from typing import Any

import msgspec

from acclimate_device.drift import DETECTORS, Detector
from acclimate_device.triggers.config import All, AnyOf, Drift, Performance, Policy, Time, Trigger, Volume
from acclimate_device.triggers.moment import Firing, Held, Moment
from acclimate_shared.errors import CorruptStateError, InputError

HOUR_S = 3600.0
METER_S = 60.0  # CPU seconds are summed over so many seconds of event time: 61 numbers an hour

Due = tuple[str, dict[str, Any]]  # name and measured numbers of a trigger that is due


class Window(msgspec.Struct, kw_only=True, array_like=True):
    """Losses of one performance trigger: the last ones, and their mean when the reference was taken."""

    losses: list[float] = []
    reference: float | None = None


class Watch(msgspec.Struct, kw_only=True, array_like=True):
    """One drift trigger: its detector (as bytes while it is stored) and the drift that waits for the next firing."""

    detector: str
    stored: bytes = b""
    found: dict[str, int | float] | None = None


class State(msgspec.Struct, kw_only=True, array_like=True, tag="triggers/1", forbid_unknown_fields=True):
    """All that a scheduler remembers.

    Attributes:
        started: Whether there was a first moment.
        fired: Firings so far.
        rows: Rows at the last firing, or at the start.
        labelled: Labels, likewise.
        time_s: Event time, likewise.
        now_s: Latest event time seen.
        cpu_s: Last reading of the meter.
        spent: (minute, CPU seconds) of the last hour.
        barren: Updates without gain since the last one with.
        windows: Losses by place of the trigger.
        watches: Detectors by place of the trigger.
    """

    started: bool = False
    fired: int = 0
    rows: int = 0
    labelled: int = 0
    time_s: float = 0.0
    now_s: float = -math.inf
    cpu_s: float = 0.0
    spent: list[tuple[int, float]] = []
    barren: int = 0
    windows: dict[str, Window] = {}
    watches: dict[str, Watch] = {}


class Scheduler:
    """Says at each moment whether to learn."""

    def __init__(self, policy: Policy, state: bytes | None = None) -> None:
        """Start anew, or go on from what ``to_bytes`` returned, exactly.

        Raises:
            CorruptStateError: If the state is damaged or of another format.
        """
        self.policy = policy
        self.held: Held | None = None  # why the last moment did not fire although a trigger was due
        try:
            self._state = msgspec.msgpack.decode(state, type=State) if state is not None else State()
        except (msgspec.DecodeError, ValueError) as exc:
            remedy = "start the scheduler anew"
            raise CorruptStateError(f"not a state of triggers: {exc}", field="triggers", remedy=remedy) from exc
        kept, self._state.windows, self._state.watches = copy.copy(self._state), {}, {}
        self._detectors: dict[str, Detector] = {}
        self._take_up(policy.trigger, "trigger", kept)

    def to_bytes(self) -> bytes:
        """Return the state, exactly."""
        for place, detector in self._detectors.items():
            self._state.watches[place].stored = detector.to_bytes()
        return msgspec.msgpack.encode(self._state)

    def update(self, moment: Moment) -> Firing | None:
        """Take in one moment.

        Returns:
            The firing if it is time to learn; otherwise None, and ``held`` says what holds back a trigger that is due.

        Raises:
            InputError: If time, loss or meter is not a finite number, or the hour not in [0, 24).
            ShapeError: If the row of features has another length than the first one.
        """
        _check(moment)
        state = self._state
        if not state.started:
            state.started, state.cpu_s = True, moment.cpu_s
            state.rows, state.labelled, state.time_s = moment.rows, moment.labelled, moment.time_s
        state.now_s = max(state.now_s, moment.time_s)
        self._meter(moment)
        self._feed(self.policy.trigger, "trigger", moment)
        due = self._due(self.policy.trigger, "trigger", moment)
        self.held = self._hold(due[0], moment) if due else None
        if due is None or self.held:
            return None
        state.fired += 1
        state.rows, state.labelled, state.time_s = moment.rows, moment.labelled, state.now_s
        for window in state.windows.values():
            window.losses, window.reference = [], None
        for watch in state.watches.values():
            watch.found = None
        return Firing(trigger=due[0], cause=due[1], rows=moment.rows, time_s=moment.time_s)

    def report(self, gain: float) -> None:
        """Say what an update brought.

        Args:
            gain: How much lower the loss is because of it; for "measurable" give a lower confidence bound.

        Raises:
            InputError: If it is not a number.
        """
        if math.isnan(gain):
            raise InputError("not a number", field="gain", value=gain, remedy="give the gain in units of the loss")
        if self.policy.back_off is not None:
            self._state.barren = 0 if gain > self.policy.back_off.min_gain else self._state.barren + 1

    def _take_up(self, trigger: Trigger, place: str, kept: State) -> None:
        """Make what the trigger at ``place`` needs, out of what was kept if that fits."""
        match trigger:
            case Performance():
                window = kept.windows.get(place, Window())
                window.losses = window.losses[-trigger.window :]
                self._state.windows[place] = window
            case Drift():
                fresh = DETECTORS[trigger.detector]()
                watch = kept.watches.get(place)
                if watch is None or watch.detector != trigger.detector:
                    watch = Watch(detector=trigger.detector)
                self._state.watches[place] = watch
                self._detectors[place] = fresh.from_bytes(watch.stored) if watch.stored else fresh
            case AnyOf() | All():
                for i, part in enumerate(trigger.of):
                    self._take_up(part, f"{place}.of[{i}]", kept)

    def _feed(self, trigger: Trigger, place: str, moment: Moment) -> None:
        """Show the moment to every detector and window of losses."""
        match trigger:
            case Performance():
                if moment.loss is not None:
                    _roll(self._state.windows[place], trigger, moment.loss)
            case Drift():
                value = moment.loss if trigger.on == "loss" else moment.drift
                if value is not None:
                    self._watch(trigger, place, value)
            case AnyOf() | All():
                for i, part in enumerate(trigger.of):
                    self._feed(part, f"{place}.of[{i}]", moment)

    def _watch(self, trigger: Drift, place: str, value: float | tuple[float, ...]) -> None:
        """Give a value to a detector and keep the drift that it finds."""
        detector = self._detectors[place]
        detector.update(value)
        if not detector.drift_detected:
            return
        detail = detector.detail()
        if trigger.rises_only and detail.get("change", 1.0) <= 0:
            return
        self._state.watches[place].found = detail
        if self.policy.back_off is not None and self.policy.back_off.drift_ends:
            self._state.barren = 0

    def _due(self, trigger: Trigger, place: str, moment: Moment) -> Due | None:
        """Return name and numbers of the trigger if it is due."""
        state = self._state
        match trigger:
            case Time():
                return _time_due(trigger, state.now_s - state.time_s, moment.rows - state.rows)
            case Volume():
                new = moment.labelled - state.labelled
                needed = max(trigger.labelled, math.ceil(state.labelled * trigger.percent / 100.0), 1)
                return ("volume", {"new_labelled": new, "needed": needed}) if new >= needed else None
            case Performance():
                return _performance_due(trigger, state.windows[place])
            case Drift():
                watch = state.watches[place]
                if watch.found is None:
                    return None
                return "drift", {"detector": watch.detector, **watch.found}
            case AnyOf() | All():
                parts = [self._due(part, f"{place}.of[{i}]", moment) for i, part in enumerate(trigger.of)]
                return _composed(isinstance(trigger, All), parts)

    def _hold(self, name: str, moment: Moment) -> Held | None:
        """Return the first thing that holds learning back now."""
        policy, state = self.policy, self._state
        passed_s, passed_rows = state.now_s - state.time_s, moment.rows - state.rows
        passed = {"passed_s": passed_s, "passed_rows": passed_rows}
        times = self._interval()
        if times and policy.back_off is not None:
            needed_s, needed_rows = policy.back_off.every_s * times, policy.back_off.every_rows * times
            if passed_s < needed_s or passed_rows < needed_rows:
                needed = {"needed_s": needed_s, "needed_rows": needed_rows, "without_gain": state.barren}
                return Held(trigger=name, reason="back_off", detail={**passed, **needed})
        if state.fired and (passed_s < policy.cool_down_s or passed_rows < policy.cool_down_rows):
            return Held(trigger=name, reason="cool_down", detail=passed)
        hour = moment.local_hour
        if hour is not None and any(_within(hour, *hours) for hours in policy.quiet_hours):
            return Held(trigger=name, reason="quiet_hours", detail={"local_hour": hour})
        if policy.cpu_s_per_hour is not None:
            spent = math.fsum(seconds for _, seconds in state.spent)
            if spent >= policy.cpu_s_per_hour:
                detail = {"cpu_s": spent, "budget_s": policy.cpu_s_per_hour}
                return Held(trigger=name, reason="cpu", detail=detail)
        return None

    def _interval(self) -> int:
        """Return how many intervals of the back-off must pass between firings; 0 = none."""
        back_off = self.policy.back_off
        if back_off is None or self._state.barren < back_off.patience:
            return 0
        return int(2 ** min(self._state.barren - back_off.patience + 1, back_off.most_doublings))

    def _meter(self, moment: Moment) -> None:
        """Note the CPU seconds since the last moment and forget those of more than an hour ago."""
        state = self._state
        used = moment.cpu_s - state.cpu_s if moment.cpu_s >= state.cpu_s else moment.cpu_s
        state.cpu_s = moment.cpu_s
        minute = math.floor(state.now_s / METER_S)
        if used > 0:
            if state.spent and state.spent[-1][0] == minute:
                used += state.spent.pop()[1]
            state.spent.append((minute, used))
        oldest = math.floor((state.now_s - HOUR_S) / METER_S)
        while state.spent and state.spent[0][0] < oldest:
            state.spent.pop(0)


def _check(moment: Moment) -> None:
    """Refuse what would spoil the state."""
    for name in ("time_s", "loss", "cpu_s"):
        value = getattr(moment, name)
        if value is not None and not math.isfinite(value):
            raise InputError("not a finite number", field=name, value=value, remedy="give a finite number or leave it")
    if moment.local_hour is not None and not 0 <= moment.local_hour < 24:  # noqa: PLR2004 - hours of a day
        remedy = "give an hour in [0, 24)"
        raise InputError("not an hour of the day", field="local_hour", value=moment.local_hour, remedy=remedy)


def _roll(window: Window, trigger: Performance, loss: float) -> None:
    """Add one loss; the first full window becomes the reference unless one is given."""
    window.losses.append(loss)
    if len(window.losses) < trigger.window:
        return
    if trigger.reference is None and window.reference is None:
        window.reference, window.losses = math.fsum(window.losses) / len(window.losses), []
    elif len(window.losses) > trigger.window:
        del window.losses[0]


def _performance_due(trigger: Performance, window: Window) -> Due | None:
    reference = window.reference if trigger.reference is None else trigger.reference
    if reference is None or len(window.losses) < trigger.window:
        return None
    loss = math.fsum(window.losses) / len(window.losses)
    if loss - reference <= trigger.margin:
        return None
    return "performance", {"loss": loss, "reference": reference, "margin": trigger.margin}


def _time_due(trigger: Time, passed_s: float, passed_rows: int) -> Due | None:
    in_time = bool(trigger.every_s) and passed_s >= trigger.every_s
    in_rows = bool(trigger.every_rows) and passed_rows >= trigger.every_rows
    return ("time", {"passed_s": passed_s, "passed_rows": passed_rows}) if in_time or in_rows else None


def _composed(every: bool, parts: list[Due | None]) -> Due | None:  # noqa: FBT001 - private, one caller
    """Return the parts that are due as one, if enough of them are."""
    due = [part for part in parts if part is not None]
    if not due or (every and len(due) < len(parts)):
        return None
    cause: dict[str, Any] = {}
    for name, numbers in due:
        key, copies = name, 2
        while key in cause:  # two parts of one kind
            key, copies = f"{name} #{copies}", copies + 1
        cause[key] = numbers
    return f"{'all' if every else 'any'}({', '.join(cause)})", cause


def _within(hour: float, start: float, end: float) -> bool:
    """Return whether an hour is in a span that may go over midnight."""
    return start <= hour < end if start < end else hour >= start or hour < end
