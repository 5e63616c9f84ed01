"""The plan of a rollout: its waves, what each must show, and what stops it; fixed before the first device is told.

A wave is a share of a cohort (or of all), in shadow or serving. The default plan asks 5 % of the fleet to run the base
in shadow first; only after evidence from there does it serve, on 1 %, then 10 %, then all.

Each criterion is a harm y, the mean over the devices of one time block, in [low, high]. Two questions are asked of it:

    pass    is its mean below ``limit``?   must be answered yes by every criterion
    halt    is its mean above ``halt``?    one yes ends the rollout

Example:
    >>> plan = RolloutPlan()
    >>> [(wave.stage.value, wave.percent) for wave in plan.waves]
    [('shadow', 5.0), ('serve', 1.0), ('serve', 10.0), ('serve', 100.0)]
    >>> RolloutPlan.from_json(plan.canonical()) == plan
    True
"""

import hashlib
import math

import msgspec

from acclimate_shared.errors import PlanError
from acclimate_shared.evidence import Bets
from acclimate_shared.rollout_reports import CRITERIA
from acclimate_shared.waves import Stage

FORMAT = 1
MAX_BYTES = 1 << 16
MAX_WAVES = 50
MAX_NAME = 64  # characters of a cohort: two of them and the digests must fit the 2 KB of a document


class Wave(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A share of a cohort; ``cohort`` "" means every cohort of the rollout; ``criticality`` may only grow."""

    percent: float
    stage: Stage = Stage.SERVE
    cohort: str = ""
    criticality: int = 0


class Criterion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of one harm.

    Attributes:
        name: One of `CRITERIA`; its unit: increase of the mean loss, share of predictions, or log of a ratio.
        low: Least mean of a time block that counts, ``high``: the largest; a group of blocks above it voids the
            evidence for a pass, so that no harm is ever capped on the way to a yes.
        expect: The mean of a base without fault; ``limit``: what a pass must exclude.
        halt: What an alarm must exclude; ``bad``: the harm that the alarm is made for.
        sd: Standard deviation of one observation in the backtest.
    """

    name: str
    low: float
    high: float
    expect: float
    limit: float
    halt: float
    bad: float
    sd: float

    @property
    def span(self) -> float:
        """Unit of the differences that are bet on."""
        return self.high - self.low

    @property
    def pass_bets(self) -> Bets:
        """Design for (limit - y) / span."""
        effect, variance = (self.limit - self.expect) / self.span, (self.sd / self.span) ** 2
        return Bets.of(effect=effect, variance=variance, margin=(self.high - self.limit) / self.span - 1)

    @property
    def halt_bets(self) -> Bets:
        """Design for (y - halt) / span."""
        effect, variance = (self.bad - self.halt) / self.span, (self.sd / self.span) ** 2
        return Bets.of(effect=effect, variance=variance, margin=(self.halt - self.low) / self.span - 1)


# The narrower the range, the sooner a pass: the largest bet is bound by what one block can lose. A range of twice the
# limit leaves a base without fault well inside, and passes it after seven observations or so.
DEFAULT_CRITERIA = (
    Criterion(name="loss", low=-0.03, high=0.03, expect=0.0, limit=0.015, halt=0.01, bad=0.03, sd=0.006),
    Criterion(name="crash", low=0.0, high=0.01, expect=0.0002, limit=0.005, halt=0.002, bad=0.01, sd=0.001),
    Criterion(name="reject", low=0.0, high=0.02, expect=0.001, limit=0.01, halt=0.005, bad=0.02, sd=0.002),
    # logs of ratios: 15 % more time is the limit, 30 % what the alarm is made for; half as much memory more, twice it
    Criterion(name="latency", low=-0.1, high=0.3, expect=0.0, limit=0.14, halt=0.095, bad=0.26, sd=0.03),
    Criterion(name="memory", low=-0.2, high=0.8, expect=0.0, limit=0.4, halt=0.26, bad=0.69, sd=0.05),
)
DEFAULT_WAVES = (Wave(percent=5.0, stage=Stage.SHADOW), *(Wave(percent=percent) for percent in (1.0, 10.0, 100.0)))


class RolloutPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that is decided before the first device is told.

    Attributes:
        waves: In order; ``criteria``: what each of them must show.
        alpha: Probability, a wave, that a base passes whose mean is at or above a limit.
        abort_error: Probability, over all waves and criteria, that a base is aborted whose harms never exceed ``halt``.
        block_s: Seconds of a time block; ``watermark_s``: after its end; what comes later is not counted.
        group: Time blocks to one observation of the pass, by the block rule; ``halt_group``: of the alarm.
        min_devices: That report in a block, or it does not count; ``min_share``: of the block's members.
        min_blocks: Counted blocks before a pass; ``max_blocks``: after which a wave without an answer pauses.
        min_labels: Of a device in a block, or its loss says nothing; ``clip``: bound of its mean loss difference.
        warmup_labels: That a device learns before the first that is scored.
        probation_s: Seconds that the base must have served on a device before that device counts as a success.
        max_failed: Share of devices that may fail to install or to stay; ``bad_failed``: what the alarm is made for.
        min_success: Share of the devices that began, silent ones too, that must be successes before a pass.
        second_person: Whether another than the author must approve.
    """

    format: int = FORMAT
    waves: tuple[Wave, ...] = DEFAULT_WAVES
    criteria: tuple[Criterion, ...] = DEFAULT_CRITERIA
    alpha: float = 0.05
    abort_error: float = 0.05
    block_s: float = 600.0
    watermark_s: float = 300.0
    group: int = 20
    halt_group: int = 2
    min_devices: int = 30
    min_share: float = 0.3
    min_blocks: int = 48
    max_blocks: int = 1000
    min_labels: int = 1
    clip: float = 0.5
    warmup_labels: int = 200
    probation_s: float = 3600.0
    max_failed: float = 0.02
    bad_failed: float = 0.1
    min_success: float = 0.8
    second_person: bool = True

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            PlanError: Naming field, value and remedy of the first that is wrong.
        """
        for criterion in self.criteria:
            _check_criterion(criterion)
        for field, good, remedy in _rules(self):
            if not good:
                raise PlanError("out of range", field=field, value=getattr(self, field), remedy=remedy)

    @property
    def halt_alpha(self) -> float:
        """Share of ``abort_error`` of one alarm: each criterion and the failures, in each wave."""
        return self.abort_error / (len(self.waves) * (len(self.criteria) + 1))

    def canonical(self) -> bytes:
        """Return the canonical JSON; a whole number given for a float is written as the float that it is."""
        return msgspec.json.encode(msgspec.json.decode(msgspec.json.encode(self), type=type(self)), order="sorted")

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, 64 hex digits."""
        return hashlib.sha256(self.canonical()).hexdigest()

    @classmethod
    def from_json(cls, data: bytes) -> "RolloutPlan":
        """Read a plan; what is left out has its default.

        Raises:
            PlanError: If it is too long, not of this form, or out of range.
        """
        if len(data) > MAX_BYTES:
            raise PlanError("too long", field="bytes", value=len(data), remedy=f"give at most {MAX_BYTES} bytes")
        try:
            return msgspec.json.decode(data, type=cls)
        except PlanError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            cause = exc.__cause__
            if isinstance(cause, PlanError):
                raise cause from exc
            remedy = "give the fields that a plan has, no others"
            raise PlanError(f"not a plan: {exc}", field="plan", remedy=remedy) from exc


def _check_criterion(c: Criterion) -> None:
    finite = all(map(math.isfinite, (c.low, c.high, c.expect, c.limit, c.halt, c.bad, c.sd)))
    rules = (
        ("name", c.name in CRITERIA, f"give one of {', '.join(CRITERIA)}"),
        ("low", finite and c.low <= c.expect < c.limit < c.high, "low <= expect < limit < high must hold"),
        ("halt", c.low < c.halt < c.bad <= c.high and c.expect < c.halt, "expect < halt < bad <= high must hold"),
        ("sd", c.sd > 0, "give a number > 0"),
    )
    for field, good, remedy in rules:
        if not good:
            value = getattr(c, field)
            raise PlanError("out of range", field=f"criteria.{c.name}.{field}", value=value, remedy=remedy)


def _rules(p: RolloutPlan) -> tuple[tuple[str, bool, str], ...]:
    """Return field, whether it is right, and what to give instead."""
    names = [c.name for c in p.criteria]
    serve = [wave for wave in p.waves if wave.stage is Stage.SERVE]
    fields = all(0 < wave.percent <= 100 and len(wave.cohort) <= MAX_NAME for wave in p.waves)  # noqa: PLR2004
    order = [wave.criticality for wave in p.waves] == sorted(wave.criticality for wave in p.waves)
    return (
        ("format", p.format == FORMAT, f"give {FORMAT}; a larger number needs a newer Acclimate"),
        ("waves", 0 < len(p.waves) <= MAX_WAVES and bool(serve), f"1 to {MAX_WAVES} waves, one of which serves"),
        ("waves", fields and _growing(p.waves), "percents up to 100, growing within a cohort and stage"),
        ("waves", order and p.waves[-1:] == tuple(serve[-1:]), "less critical first, and the last wave serves"),
        ("criteria", "loss" in names and len(set(names)) == len(names), "name each once, loss among them"),
        ("alpha", 0 < p.alpha < 1, "give a number in (0, 1)"),
        ("abort_error", 0 < p.abort_error < 1, "give a number in (0, 1)"),
        ("block_s", 0 < p.block_s < math.inf, "give seconds > 0"),
        ("watermark_s", 0 <= p.watermark_s < math.inf, "give seconds >= 0"),
        ("group", 0 < p.group <= p.max_blocks, "a whole number > 0, at most max_blocks"),
        ("halt_group", 0 < p.halt_group <= p.group, "a whole number > 0, at most group"),
        ("min_devices", p.min_devices > 0, "give a whole number > 0: no data never passes"),
        ("min_share", 0 < p.min_share <= 1, "give a number in (0, 1]"),
        ("min_blocks", 0 < p.min_blocks <= p.max_blocks, "a whole number > 0, at most max_blocks"),
        ("min_labels", p.min_labels > 0, "give a whole number > 0"),
        ("clip", 0 < p.clip <= 1, "give a number in (0, 1]"),
        ("warmup_labels", p.warmup_labels >= 0, "give a whole number >= 0"),
        ("probation_s", 0 < p.probation_s < math.inf, "give seconds > 0"),
        ("max_failed", 0 < p.max_failed < p.bad_failed < 1, "0 < max_failed < bad_failed < 1 must hold"),
        ("min_success", 0 < p.min_success <= 1, "give a number in (0, 1]"),
    )


def _growing(waves: tuple[Wave, ...]) -> bool:
    """Return whether each wave is larger than the one before it of its cohort and stage."""
    last: dict[tuple[Stage, str], float] = {}
    for wave in waves:
        key = wave.stage, wave.cohort
        if wave.percent <= last.get(key, 0.0):
            return False
        last[key] = wave.percent
    return True
