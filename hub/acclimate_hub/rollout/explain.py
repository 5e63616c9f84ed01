"""A rollout in plain words: what it waits for, and each piece of evidence beside the threshold that it must reach.

The result is data, for pages and command lines. Evidence is given as a strength from 0 to 1, the share of the way to
its threshold, beside the bare numbers.
"""

import math
from collections import Counter
from collections.abc import Iterable

import msgspec

from acclimate_hub.rollout.devices import holds, succeeded
from acclimate_hub.rollout.gate import Gate, Outcomes, failure_log_e
from acclimate_hub.rollout.plan import Wave
from acclimate_hub.rollout.records import RETURNING, DeviceRow, Phase, Rollout, Transition
from acclimate_hub.rollout.track import Track
from acclimate_shared.waves import Stage

_HARM = {
    "loss": "Loss against the champion's",
    "crash": "Crashes",
    "reject": "Refused predictions",
    "latency": "Time of a prediction",
    "memory": "Memory",
}
_RATIOS = frozenset({"latency", "memory"})
_MOST = 50.0  # log of evidence beyond which the figure says no more
_SHARES = frozenset({"crash", "reject"})


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a wave waits for, or that would stop it."""

    name: str
    sentence: str
    value: float
    threshold: float
    met: bool
    stops: bool = False  # whether reaching the threshold ends the rollout

    @property
    def progress(self) -> float:
        """Share of the way to the threshold, 0 to 1."""
        return min(max(self.value / self.threshold, 0.0), 1.0) if self.threshold > 0 else float(self.met)


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a rollout, for people.

    Attributes:
        headline: One sentence.
        phase: See `Phase`; ``wave``: from 1, of ``waves``.
        audience: Whom the wave addresses.
        waits_for: What a pass still needs or already has; ``stops_if``: the alarms.
        devices: How many are shown in which state.
        successes: Devices that ran the base through their probation, by their own report.
        to_return: Of an aborted or rolled back rollout: devices that still have the base, as far as is known.
        last: Who did what last, and why.
    """

    headline: str
    phase: str
    wave: int
    waves: int
    audience: str
    waits_for: tuple[Item, ...]
    stops_if: tuple[Item, ...]
    devices: dict[str, int]
    successes: int
    to_return: int
    last: str


def explain(
    rollout: Rollout, outcomes: Outcomes, rows: Iterable[DeviceRow], transitions: Iterable[Transition]
) -> Explanation:
    """Explain a rollout.

    Args:
        rollout: As it stands.
        outcomes: Of its wave, from `Rollouts.outcomes`.
        rows: Of its devices.
        transitions: Of it, in order.
    """
    rows, plan = list(rows), rollout.plan
    waits_for: tuple[Item, ...] = ()
    stops_if: tuple[Item, ...] = ()
    if rollout.phase is Phase.WAVE:
        gate = Gate.from_bytes(plan, rollout.gate)
        waits_for, stops_if = _waits_for(gate, outcomes), _stops_if(gate, outcomes)
    history = list(transitions)
    shown = Counter(str(row.shown) for row in rows)
    return Explanation(
        headline=_headline(rollout, waits_for),
        phase=str(rollout.phase),
        wave=rollout.wave + 1,
        waves=len(plan.waves),
        audience=_audience(plan.waves[max(rollout.wave, 0)]),
        waits_for=waits_for,
        stops_if=stops_if,
        devices=dict(sorted(shown.items())),
        successes=sum(succeeded(rollout, row) for row in rows),
        to_return=sum(holds(rollout, row) for row in rows) if rollout.phase in RETURNING else 0,
        last=f"{history[-1].who}: {history[-1].action} ({history[-1].why})" if history else "",
    )


def _headline(rollout: Rollout, waits_for: tuple[Item, ...]) -> str:
    wave, waves = rollout.wave + 1, len(rollout.plan.waves)
    if rollout.phase is Phase.WAVE:
        open_ = [item.name for item in waits_for if not item.met]
        rest = f"waiting for {', '.join(open_)}" if open_ else "nothing is missing"
        return f"Wave {wave} of {waves} is in progress: {rest}."
    approver = "another person than the author" if rollout.plan.second_person else "somebody"
    return {
        Phase.DRAFT: f"A draft: {approver} must approve it.",
        Phase.APPROVED: "Approved: it waits to be started.",
        Phase.PAUSED: f"Paused in wave {wave} of {waves}: {rollout.why}. No further device begins.",
        Phase.DONE: "Done: every wave has passed. Devices that appear later take the base, too.",
        Phase.ABORTED: f"Aborted: {rollout.why}. Devices return to the previous model.",
        Phase.ROLLED_BACK: f"Rolled back: {rollout.why}. Devices return to the previous model.",
    }[rollout.phase]


def _audience(wave: Wave) -> str:
    whom = f"cohort {wave.cohort}" if wave.cohort else "every cohort"
    how = (
        "runs the base in shadow; nothing is answered by it" if wave.stage is Stage.SHADOW else "is served by the base"
    )
    return f"{wave.percent:g} % of {whom} {how}"


def _waits_for(gate: Gate, outcomes: Outcomes) -> tuple[Item, ...]:
    plan = gate.plan
    found = [
        Item(
            name="devices",
            sentence=f"{gate.devices} devices measured in the last time block; {plan.min_devices} are needed.",
            value=gate.devices,
            threshold=plan.min_devices,
            met=gate.devices >= plan.min_devices,
        ),
        Item(
            name="time",
            sentence=f"{gate.counted} time blocks counted of {gate.next_block - gate.first_block}; "
            f"{plan.min_blocks} are needed, and after {plan.max_blocks} without an answer the rollout pauses.",
            value=gate.counted,
            threshold=plan.min_blocks,
            met=gate.counted >= plan.min_blocks,
        ),
        *(_pass(track, plan.min_blocks) for track in gate.tracks),
    ]
    if outcomes.serving:
        needed = max(plan.min_devices, math.ceil(plan.min_success * outcomes.begun))
        found.append(
            Item(
                name="successes",
                sentence=f"{outcomes.succeeded} of {outcomes.begun} devices that began report that the base has "
                f"answered on them for {plan.probation_s:g} s; {needed} are needed.",
                value=outcomes.succeeded,
                threshold=needed,
                met=outcomes.succeeded >= needed,
            )
        )
    return tuple(found)


def _pass(track: Track, min_blocks: int) -> Item:
    c, blocks = track.criterion, track.blocks
    found, needed = (math.exp(min(log, _MOST)) for log in (track.process.log_e, track.threshold))
    sentence = (
        f"{_HARM[c.name]}: {_said(c.name, track.mean)} on average over {track.n} time blocks. To pass, "
        f"{_said(c.name, c.limit)} or more must be ruled out: evidence {found:.3g} of {needed:.0f}, "
        f"next looked at in {blocks.length - blocks.held} blocks."
    )
    met = track.passes and track.n >= min_blocks
    return Item(name=c.name, sentence=sentence, value=track.process.log_e, threshold=track.threshold, met=met)


def _stops_if(gate: Gate, outcomes: Outcomes) -> tuple[Item, ...]:
    found = [_alarm(track) for track in gate.tracks]
    log_e, at = failure_log_e(gate.plan, outcomes), gate.failure_threshold
    sentence = f"{outcomes.ever_failed} of {outcomes.ever_begun} devices failed or went back. The rollout ends when "
    sentence += f"it is shown that more than {gate.plan.max_failed:.2%} do."
    found.append(Item(name="failures", sentence=sentence, value=log_e, threshold=at, met=log_e >= at, stops=True))
    return tuple(found)


def _alarm(track: Track) -> Item:
    c = track.criterion
    verb = "are" if c.name in _SHARES else "is"
    sentence = f"The rollout ends when it is shown that {_HARM[c.name].lower()} {verb} above {_said(c.name, c.halt)}."
    value, threshold = track.watch.log_m, track.alarm_at
    return Item(name=c.name, sentence=sentence, value=value, threshold=threshold, met=track.halts, stops=True)


def _said(name: str, value: float) -> str:
    if name in _RATIOS:
        return f"{math.exp(value):.2f} times the champion's"
    return f"{value:.2%} of all predictions" if name in _SHARES else f"{100 * value:+.2f} points"
