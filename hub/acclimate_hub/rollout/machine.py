"""Which changes of a rollout are legal; pure functions from one `Rollout` to the next and the record of it.

    draft ─approve─► approved ─start─► wave 0 ─advance─► wave 1 … ─advance─► done ─roll back─► rolled back
      │                 │                │ ▲ pause/resume
      └────── abort ────┴── abort ───────┴─┴─► aborted          retry: in a wave, in a pause, when done

Only the gate advances, and only with its numbers; anybody with the right may pause and abort.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from acclimate_hub.rollout.errors import TransitionError
from acclimate_hub.rollout.gate import Gate
from acclimate_hub.rollout.plan import Wave
from acclimate_hub.rollout.records import RETURNING, Phase, Rollout, Transition
from acclimate_shared.messages.down import Desired
from acclimate_shared.waves import Action, Stage

GATE = "gate"  # who acts when nobody does
_FROM: Mapping[str, frozenset[Phase]] = {
    "approve": frozenset({Phase.DRAFT}),
    "start": frozenset({Phase.APPROVED}),
    "advance": frozenset({Phase.WAVE}),
    "pause": frozenset({Phase.WAVE}),
    "resume": frozenset({Phase.PAUSED}),
    "abort": frozenset({Phase.DRAFT, Phase.APPROVED, Phase.WAVE, Phase.PAUSED}),
    "roll back": frozenset({Phase.DONE}),
    "retry": frozenset({Phase.WAVE, Phase.PAUSED, Phase.DONE}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who does something, why, when (seconds) and on which numbers."""

    who: str
    why: str
    now_s: float
    numbers: Mapping[str, float] = field(default_factory=dict)


Step = tuple[Rollout, Transition]


def approve(rollout: Rollout, act: Act) -> Step:
    """Approve a draft.

    Raises:
        TransitionError: If it is no draft, or the plan asks for another person than the author.
    """
    _legal(rollout, "approve", act)
    if rollout.plan.second_person and act.who == rollout.author:
        remedy = "let somebody else approve it"
        raise TransitionError("the author may not approve", field="who", value=act.who, remedy=remedy)
    return _step(rollout, "approve", act, phase=Phase.APPROVED, approver=act.who)


def start(rollout: Rollout, act: Act, number: int) -> Step:
    """Open the first wave.

    Args:
        rollout: An approved one.
        act: Of a person.
        number: One more than that of every rollout started before.

    Raises:
        TransitionError: If it is not approved.
    """
    _legal(rollout, "start", act)
    return _open(msgspec.structs.replace(rollout, number=number), "start", act, 0)


def advance(rollout: Rollout, act: Act) -> Step:
    """Open the next wave, or finish after the last; the caller has the verdict of the gate.

    Raises:
        TransitionError: If no wave is in progress, or the act brings no numbers.
    """
    _legal(rollout, "advance", act)
    if not act.numbers:
        remedy = "advance with the numbers of the gate"
        raise TransitionError("no data is no pass", field="numbers", value=dict(act.numbers), remedy=remedy)
    if rollout.wave + 1 < len(rollout.plan.waves):
        return _open(rollout, "advance", act, rollout.wave + 1)
    return _step(rollout, "advance", act, phase=Phase.DONE, gate=b"")


def pause(rollout: Rollout, act: Act) -> Step:
    """Let no further device begin; those that run it keep it. Evidence of the wave is given up.

    Raises:
        TransitionError: If no wave is in progress.
    """
    _legal(rollout, "pause", act)
    return _step(rollout, "pause", act, phase=Phase.PAUSED, gate=b"")


def resume(rollout: Rollout, act: Act) -> Step:
    """Go on with the wave; its evidence starts anew.

    Raises:
        TransitionError: If it is not paused.
    """
    _legal(rollout, "resume", act)
    return _open(rollout, "resume", act, rollout.wave)


def abort(rollout: Rollout, act: Act) -> Step:
    """Stop for good: whoever has the base returns to the previous model.

    Raises:
        TransitionError: If it has ended already.
    """
    _legal(rollout, "abort", act)
    return _step(rollout, "abort", act, phase=Phase.ABORTED, gate=b"")


def roll_back(rollout: Rollout, act: Act) -> Step:
    """Undo a finished rollout: all devices return to the previous model.

    Raises:
        TransitionError: If it is not done.
    """
    _legal(rollout, "roll back", act)
    return _step(rollout, "roll back", act, phase=Phase.ROLLED_BACK)


def retry(rollout: Rollout, act: Act) -> Step:
    """Let the devices that failed try again.

    Raises:
        TransitionError: If it has not begun or will not go on.
    """
    _legal(rollout, "retry", act)
    return _step(rollout, "retry", act, attempt=rollout.attempt + 1)


def possible(phase: Phase) -> frozenset[str]:
    """Return what may be done where a rollout stands, by whoever has the right; the gate's advance is among it."""
    return frozenset(action for action, phases in _FROM.items() if phase in phases)


def reached(rollout: Rollout) -> tuple[Wave, ...]:
    """Return the waves that have been opened."""
    return rollout.plan.waves[: rollout.wave + 1]


def desired(rollout: Rollout, cohort: str) -> Desired:
    """Return the document of a cohort."""
    waves = [wave for wave in reached(rollout) if wave.cohort in ("", cohort) and cohort in rollout.cohorts]
    return Desired(
        rollout=rollout.id,
        number=rollout.number,
        revision=rollout.revision,
        action=_action(rollout),
        digest=rollout.digest,
        previous=rollout.previous,
        salt=rollout.salt,
        attempt=rollout.attempt,
        shadow=max((wave.percent for wave in waves if wave.stage is Stage.SHADOW), default=0.0),
        serve=max((wave.percent for wave in waves if wave.stage is Stage.SERVE), default=0.0),
        warmup_labels=rollout.plan.warmup_labels,
        probation_s=rollout.plan.probation_s,
        block_s=rollout.plan.block_s,
        cohort=cohort,
    )


def _action(rollout: Rollout) -> Action:
    if rollout.phase in RETURNING:
        return Action.RETURN
    return Action.HOLD if rollout.phase is Phase.PAUSED else Action.GO


def _legal(rollout: Rollout, action: str, act: Act) -> None:
    if rollout.phase not in _FROM[action]:
        remedy = f"possible from: {', '.join(sorted(_FROM[action]))}"
        raise TransitionError(f"cannot {action} this rollout", field="phase", value=str(rollout.phase), remedy=remedy)
    if not act.who or not act.why:
        raise TransitionError("nobody, or no reason", field="who, why", value=(act.who, act.why), remedy="give both")


def _open(rollout: Rollout, action: str, act: Act, wave: int) -> Step:
    gate = Gate.open(rollout.plan, int(act.now_s // rollout.plan.block_s) + 1)
    changes = {"phase": Phase.WAVE, "wave": wave, "gate": gate.to_bytes(), "next_block": gate.next_block}
    return _step(rollout, action, act, **changes)


def _step(rollout: Rollout, action: str, act: Act, **changes: object) -> Step:
    """Return the rollout one version and revision later, and the transition."""
    counts = {"version": rollout.version + 1, "revision": rollout.revision + 1, "why": act.why}
    after = msgspec.structs.replace(rollout, **counts, **changes)
    transition = Transition(
        rollout=rollout.id,
        version=after.version,
        time_s=act.now_s,
        who=act.who,
        action=action,
        before=rollout.phase,
        after=after.phase,
        wave=after.wave,
        why=act.why,
        numbers=dict(act.numbers),
    )
    return after, transition
