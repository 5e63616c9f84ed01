"""The running evidence about one criterion in one wave: a mixbet for the pass, a watch for the alarm.

The pass bets on limit - y over groups of time blocks (the block rule), at a level of its own account: a group above
the declared range, or groups that still hang together in time, void what was gathered, and the next test takes the
next, smaller level. The watch bets on y - halt over shorter groups. It is a Shiryaev-Roberts detector whose M - n is a
supermartingale while no conditional mean exceeds ``halt``; so with a run length of N / alpha the probability of a
false alarm among N observations is at most alpha (optional stopping at the alarm or at N), and a harm that begins late
is found as fast as one that was there from the start. Both speak of means of what lies in the declared range.

Example:
    >>> from acclimate_hub.rollout.plan import DEFAULT_CRITERIA
    >>> track = Track.new(DEFAULT_CRITERIA[0], alpha=0.05, halt_alpha=0.001, group=2, halt_group=1, max_blocks=500)
    >>> for _ in range(20):
    ...     track.observe(0.0)
    >>> track.passes, track.halts, track.n
    (True, False, 20)
"""

import math
from dataclasses import dataclass

import msgspec

from acclimate_hub.rollout.plan import Criterion
from acclimate_shared.evidence import Account, Blocks, Level, MixBet, Watch, alpha_factor


@dataclass(slots=True)
class Track:
    """The state; it advances in place.

    Attributes:
        criterion: What is asked; ``account``, ``level``: of the tests for a pass; ``alpha``: the account's.
        process, blocks: The test for a pass that runs; ``watch``: the alarm.
        n: Time blocks seen; ``total``: sum of y.
        voided: Tests for a pass that were given up.
    """

    criterion: Criterion
    account: Account
    level: Level
    process: MixBet
    blocks: Blocks
    watch: Watch
    n: int = 0
    total: float = 0.0
    voided: int = 0

    @classmethod
    def new(
        cls, criterion: Criterion, *, alpha: float, halt_alpha: float, group: int, halt_group: int, max_blocks: int
    ) -> "Track":
        """Return the evidence before the first block; see `RolloutPlan` for the arguments."""
        account = Account(alpha)
        run_length = max(max_blocks / halt_group, 1) / halt_alpha
        watch = Watch.new(criterion.halt_bets, run_length=run_length, block=halt_group)
        return cls(criterion, account, account.start(), MixBet.new(criterion.pass_bets), Blocks(group), watch)

    def observe(self, y: float) -> None:
        """Take the mean harm of one time block, in the criterion's unit."""
        c = self.criterion
        self.n += 1
        self.total += y
        self.watch.update((min(max(y, c.low), c.high) - c.halt) / c.span)
        mean = self.blocks.update(max(y, c.low))
        if mean is None:
            return
        if mean > c.high:
            self._restart(self.blocks.length)
            return
        self.process.update((c.limit - mean) / c.span)
        if self.passes and self.blocks.too_short:
            self._restart(2 * self.blocks.length)

    def _restart(self, group: int) -> None:
        self.voided += 1
        self.level = self.account.start()
        self.process, self.blocks = MixBet.new(self.criterion.pass_bets), Blocks(group)

    @property
    def mean(self) -> float:
        """Mean harm over the time blocks so far; 0 before the first."""
        return self.total / self.n if self.n else 0.0

    @property
    def threshold(self) -> float:
        """What log E must reach for a pass."""
        return -math.log(self.level.alpha * alpha_factor(self.blocks.length))

    @property
    def passes(self) -> bool:
        """Whether "at or above the limit" is refuted now."""
        return self.process.log_e >= self.threshold

    @property
    def halts(self) -> bool:
        """Whether "never above halt" is refuted; stays so."""
        return self.watch.alarm

    @property
    def alarm_at(self) -> float:
        """What the log of the watch must reach."""
        return math.log(self.watch.run_length)

    def state(self) -> "TrackState":
        """Return the state, exactly."""
        return TrackState(
            account=self.account.to_bytes(),
            index=self.level.index,
            alpha=self.level.alpha,
            process=self.process.to_bytes(),
            blocks=self.blocks.to_bytes(),
            watch=self.watch.to_bytes(),
            n=self.n,
            total=self.total,
            voided=self.voided,
        )

    @classmethod
    def restored(cls, criterion: Criterion, state: "TrackState") -> "Track":
        """Return what went into `state`; it continues bit for bit.

        Raises:
            CorruptStateError: If the bytes are damaged.
            StateMismatchError: If they hold another kind of state.
        """
        return cls(
            criterion,
            Account.from_bytes(state.account),
            Level(state.index, state.alpha),
            MixBet.from_bytes(state.process),
            Blocks.from_bytes(state.blocks),
            Watch.from_bytes(state.watch),
            state.n,
            state.total,
            state.voided,
        )


class TrackState(msgspec.Struct, frozen=True, kw_only=True):
    """A `Track` as it is kept; the criterion comes from the plan."""

    account: bytes
    index: int
    alpha: float
    process: bytes
    blocks: bytes
    watch: bytes
    n: int
    total: float
    voided: int
