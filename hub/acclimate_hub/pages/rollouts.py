"""A rollout on its page: waves, evidence against its threshold, guard rails, devices, and what a visitor may do."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from acclimate_hub.pages import svg
from acclimate_hub.pages.sessions import Visitor
from acclimate_hub.pages.views import ACTIONS, Action, Desk
from acclimate_hub.rollout import DeviceRow, Explanation, Item, Phase, Rollout, Transition, Wave
from acclimate_hub.rollout.machine import possible
from acclimate_shared.rollout_reports import DeviceState

MAX_DEVICES = 100  # rows of the table; what failed comes first
TONES = {
    Phase.DRAFT: "plain",
    Phase.APPROVED: "plain",
    Phase.WAVE: "live",
    Phase.PAUSED: "warn",
    Phase.DONE: "good",
    Phase.ABORTED: "bad",
    Phase.ROLLED_BACK: "bad",
}
WORDS = {Phase.WAVE: "in progress", Phase.ABORTED: "stopped"}
#: In the order of the table, with their tones.
STATES = {
    DeviceState.FAILED: "bad",
    DeviceState.ROLLED_BACK: "bad",
    DeviceState.OFFLINE: "off",
    DeviceState.PROBATION: "live",
    DeviceState.DOWNLOADING: "live",
    DeviceState.VERIFIED: "live",
    DeviceState.TOLD: "plain",
    DeviceState.PENDING: "plain",
    DeviceState.RUNNING: "good",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One thing that a wave waits for or that would stop it, with its picture."""

    item: Item
    picture: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A wave on the way: ``standing`` is done, now, stopped or ahead."""

    wave: Wave
    standing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything on the page; ``actions`` are those that the visitor may take now."""

    rollout: Rollout
    word: str
    tone: str
    explanation: Explanation
    steps: tuple[Step, ...]
    waits_for: tuple[Bar, ...]
    stops_if: tuple[Bar, ...]
    states: tuple[tuple[str, int, str], ...]
    states_bar: Markup
    rows: tuple[DeviceRow, ...]
    more: int
    transitions: tuple[Transition, ...]
    actions: tuple[tuple[str, Action], ...]


def glance(desk: Desk, name: str, who: Visitor) -> Page:
    """Return the page.

    Raises:
        UnknownRolloutError: there is no such rollout.
    """
    rollout = desk.get(name)
    explanation, rows = desk.explanation(rollout), desk.rows(rollout)
    order = list(STATES)
    rows = sorted(rows, key=lambda row: (order.index(row.shown), row.device))
    states = tuple(
        (str(state), explanation.devices[state], tone) for state, tone in STATES.items() if state in explanation.devices
    )
    said = ", ".join(f"{count} {word}" for word, count, _ in states) or "no device has spoken yet"
    may = possible(rollout.phase)
    return Page(
        rollout=rollout,
        word=word_of(rollout.phase),
        tone=TONES[rollout.phase],
        explanation=explanation,
        steps=_steps(rollout),
        waits_for=_bars(explanation.waits_for),
        stops_if=_bars(explanation.stops_if),
        states=states,
        states_bar=svg.stacked([(word, count, f"fill {tone}") for word, count, tone in states], said),
        rows=tuple(rows[:MAX_DEVICES]),
        more=max(len(rows) - MAX_DEVICES, 0),
        transitions=tuple(reversed(desk.transitions(rollout))),
        actions=tuple((key, act) for key, act in ACTIONS.items() if key in may and who.may(act.scope)),
    )


def word_of(phase: Phase) -> str:
    """Return the word of a phase."""
    return WORDS.get(phase, str(phase))


def _bars(items: Sequence[Item]) -> tuple[Bar, ...]:
    return tuple(
        Bar(
            item=item,
            picture=svg.evidence(
                item.value, item.threshold, met=item.met, stops=item.stops, label=f"{item.name}: {item.progress:.0%}"
            ),
        )
        for item in items
    )


def _steps(rollout: Rollout) -> tuple[Step, ...]:
    now = {Phase.WAVE: "now", Phase.PAUSED: "paused", Phase.ABORTED: "stopped", Phase.ROLLED_BACK: "stopped"}

    def standing(at: int) -> str:
        if at < rollout.wave or rollout.phase is Phase.DONE:
            return "done"
        return now.get(rollout.phase, "ahead") if at == rollout.wave else "ahead"

    return tuple(Step(wave=wave, standing=standing(at)) for at, wave in enumerate(rollout.plan.waves))
