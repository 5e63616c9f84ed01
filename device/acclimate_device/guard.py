"""The guard of a lineage that advances without proof: what serves is watched against the last proven state.

Under the policy ``continual`` the serving candidate learns on. Beside it the *anchor*, a frozen copy, is judged on the
same events. Two sequential procedures look at the paired losses. A watch gives the alarm when what serves has become
worse than the anchor by more than ``tolerance``, in blocks as long as losses hang together. An e-process refutes just
that, in blocks as long as the first MIN_RECENT differences hang together, after which it begins; when it succeeds, the
present state is proven and becomes the next anchor. While what serves is not worse by the tolerance, the mean time to a
false alarm is at least RUN_LENGTH blocks. The guard says what is due; others do it.
"""

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from acclimate_shared.evidence import Bets, Blocks, MixBet, Watch, alpha_factor, backtest_length

Array = npt.NDArray[Any]

SHORTEST, LONGEST = 16, 1024  # labels that make one observation of the watch
LEAST = 4  # of the proof: rare differences hang together for longer than the first ones can tell
MIN_RECENT = 256  # losses, or differences of losses, from which a block length can be told
RUN_LENGTH = 5_000.0  # observations to a false alarm, on average, at least
HARM = 0.05  # loss in [0, 1] that the watch is made to find quickly; smaller harm takes longer


class Guard:
    """The state of the two procedures since the anchor was set."""

    def __init__(self, alpha: float, tolerance: float) -> None:
        """Start for a fresh anchor.

        Args:
            alpha: level at which "worse by tolerance" is refuted.
            tolerance: in units of the loss.
        """
        self.alpha, self.tolerance = alpha, tolerance
        self.reset(np.empty(0))

    def reset(self, recent: Array) -> None:
        """Begin anew: another anchor, or another that serves.

        Args:
            recent: (n,) losses of the lineage from before, from which the length of the blocks is taken.
        """
        length = min(backtest_length(recent), LONGEST) if len(recent) >= MIN_RECENT else SHORTEST
        self._told: Array | None = np.empty(0)  # the first differences, until they have told in what blocks to prove
        self.watch = Watch.new(
            Bets.of(effect=HARM, variance=HARM, margin=self.tolerance), run_length=RUN_LENGTH,
            block=max(length, SHORTEST),
        )  # fmt: skip
        self._prove_in(LEAST)

    def observe(self, serving: Array, anchor: Array) -> Literal["alarm", "proven"] | None:
        """Take the losses in [0, 1] of the same labels, (n,) each, in order; return what is due."""
        difference = np.asarray(serving - anchor, np.float64)
        if self.watch.update_many(difference - self.tolerance):
            return "alarm"
        if self._told is not None:
            self._told = np.concatenate([self._told, difference])
            if len(self._told) >= MIN_RECENT:
                self._prove_in(max(backtest_length(self._told), LEAST))
                self._told = None
            return None
        means = self.blocks.update_many(-difference)
        if len(means):
            self.refuted.update_many(means + self.tolerance)
        if self.refuted.log_e < -math.log(self.alpha * alpha_factor(self.blocks.length)):
            return None
        if self.blocks.too_short and self.blocks.length < LONGEST:
            self._prove_in(2 * self.blocks.length)
            return None
        return "proven"

    def _prove_in(self, length: int) -> None:
        """Begin to gather what refutes harm, in blocks of so many labels."""
        self.blocks = Blocks(min(length, LONGEST))
        self.refuted = MixBet.new(Bets.flat(-self.tolerance))

    def numbers(self) -> dict[str, float]:
        """Return what a decision rests on."""
        return {
            "labels": float(self.watch.n),
            "log_m": self.watch.log_m,
            "alarm_at": math.log(RUN_LENGTH),
            "log_e": self.refuted.log_e,
            "block": float(self.watch.blocks.length),
            "proof_block": float(self.blocks.length),
            "average_run_length": self.watch.average_run_length,
        }

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        told = None if self._told is None else self._told.tolist()
        return [*(part.to_bytes().hex() for part in (self.watch, self.blocks, self.refuted)), told]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        watch, blocks, refuted = (bytes.fromhex(part) for part in document[:3])
        told = document[3] if len(document) > 3 else None  # noqa: PLR2004 (older states prove already)
        self._told = None if told is None else np.array(told, np.float64)
        self.watch, self.blocks = Watch.from_bytes(watch), Blocks.from_bytes(blocks)
        self.refuted = MixBet.from_bytes(refuted)
