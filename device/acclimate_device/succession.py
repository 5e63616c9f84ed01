"""After a promotion: what served before learns on, and is compared with what serves now, on every label.

A promotion rests on what was seen before it. If the world changes right after it, the anchor is of no help, since it is
as outdated as what was promoted; but what served before, which may adapt faster, is still there. A watch of the paired
losses says when the new one has become worse than it by more than the tolerance; then the old one serves again. That
is a rollback, no promotion: it needs no level of the account, and its errors are those of a watch. While the new one
is not worse by the tolerance, the mean time to a false alarm is at least RUN_LABELS labels.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_shared.evidence import Bets, Watch, backtest_length

Array = npt.NDArray[Any]

RUN_LABELS = 80_000.0  # labels to a false alarm on average, at least
LEAST_RUN = 500.0  # observations to a false alarm on average, at least, however long a block is
MIN_RECENT = 256  # pairs of losses from which a block length can be told
LONGEST = 1024
HARM = 0.05  # loss in [0, 1] that the watch is made to find quickly; smaller harm takes longer


class Succession:
    """What served before the latest promotion, and the watch over what serves now."""

    def __init__(self, tolerance: float) -> None:
        """Start where nobody was promoted.

        Args:
            tolerance: in units of the loss, in [0, 1].
        """
        self.tolerance = tolerance
        self.column: int | None = None
        self.end()

    def begin(self, column: int, recent: Array, block: int) -> None:
        """Watch from now on what has just been promoted.

        Args:
            column: live column of what served before.
            recent: (n, 2) losses in [0, 1] of what serves now and of what served before, from before the promotion.
            block: labels in a block of the test that it has won, which served for these losses; used where ``recent``
                are too few to tell.
        """
        length = backtest_length(recent[:, 0] - recent[:, 1]) if len(recent) >= MIN_RECENT else block
        self.column, self.watch = column, self._fresh(min(length, LONGEST))

    def end(self) -> None:
        """Watch nothing any more: somebody else was promoted, or what served before is not there."""
        self.column, self.watch = None, self._fresh(1)

    def _fresh(self, block: int) -> Watch:
        bets = Bets.of(effect=HARM, variance=HARM, margin=self.tolerance)
        return Watch.new(bets, run_length=max(RUN_LABELS / block, LEAST_RUN), block=block)

    def observe(self, now: Array, before: Array) -> bool:
        """Take the losses in [0, 1] of the same labels, (n,) each, in order; return whether it has become worse."""
        difference = np.asarray(now - before, np.float64)
        return self.column is not None and self.watch.update_many(difference - self.tolerance)

    def numbers(self) -> dict[str, float]:
        """Return what a decision rests on."""
        return {
            "labels": float(self.watch.n),
            "log_m": self.watch.log_m,
            "alarm_at": float(np.log(self.watch.run_length)),
            "block": float(self.watch.blocks.length),
            "average_run_length": self.watch.average_run_length,
        }

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        return [self.column, self.watch.to_bytes().hex()]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned; None from a state that had none."""
        self.end()
        if document is not None:
            self.column, watch = document[0], Watch.from_bytes(bytes.fromhex(document[1]))
            self.watch = watch
