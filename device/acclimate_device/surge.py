"""A sudden rise of the losses of what serves, noticed within a few labels, and since when it lasts.

A cumulative sum (Page, "Continuous inspection schemes", Biometrika 1954) of log-likelihood ratios of each loss, in
[0, 1]: as usual, or halfway between usual and 1. Where losses come independently, a false alarm comes once in at least
exp(ALARM) labels, on average; where errors come in runs it would come often, so every alarm raises the bar for the next
ones, and it sinks again with time. The sum begins again at 0 whenever "as usual" is the likelier, so the last time that
it did tells when the rise began. An alarm is a reason to look, not evidence.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ALARM = math.log(4096)
RAISED = 2.0  # of the bar by an alarm
SINKS = 2048  # labels in which the bar loses most of that again
MEMORY = 512  # labels whose losses are what is usual, the latest weighing most
LEAST, MOST = 0.02, 0.9  # usual losses are taken for at least, and at most, so large
LASTS = 32  # labels after an alarm for which it stands
STEP = 32  # losses for which "usual" stays the same
FIRST = 256  # labels before an alarm can be told


class Surge:
    """The state of the sum.

    Attributes:
        since: labels since the rise began, while an alarm stands; else 0.
    """

    def __init__(self, *, regression: bool) -> None:
        """Start with nothing known; errors of a regression count as shares of themselves and the usual error."""
        self._regression = regression
        self._seen = 0
        self._usual = self._scale = self._sum = 0.0
        self._run = 0  # labels since the sum was 0
        self._left = 0  # labels for which the alarm stands
        self._raised = 0.0  # of the bar

    @property
    def since(self) -> int:
        """See the class."""
        return self._run if self._left else 0

    def update(self, losses: Array, *, armed: bool = True) -> bool:
        """Take losses, (labels,) float64, finite, in order.

        Args:
            losses: of what serves.
            armed: whether anybody wants to know; else the usual loss is learned alone.

        Returns:
            Whether an alarm stands after the last of them.
        """
        standing = self._left
        for at in range(0, len(losses), STEP):
            self._take(self._shares(losses[at : at + STEP]).tolist(), armed=armed)
        if standing and self._left:  # an alarm of this call stands at its end, however many losses there are
            self._left = max(0, standing - len(losses))
            if not self._left:
                self.calm()
        return self._left > 0

    def _take(self, losses: list[float], *, armed: bool) -> None:
        usual = min(max(self._usual, LEAST), MOST)
        risen = (1 + usual) / 2
        right, wrong = math.log((1 - risen) / (1 - usual)), math.log(risen / usual)
        for loss in losses:
            self._seen += 1
            if not armed or self._seen <= FIRST:
                self.calm()
            elif self._left:
                self._run += 1
            else:
                self._add(right + loss * (wrong - right))
            self._raised -= self._raised / SINKS
            self._usual += (loss - self._usual) / min(self._seen, MEMORY)

    def _add(self, ratio: float) -> None:
        self._sum += ratio
        self._run += 1
        if self._sum <= 0:
            self._sum, self._run = 0.0, 0
        elif self._sum >= ALARM + self._raised:
            self._sum, self._left = 0.0, LASTS
            self._raised += RAISED

    def _shares(self, losses: Array) -> Array:
        """Return losses in [0, 1]."""
        if not self._regression or not len(losses):
            return losses
        shares = losses / (losses + self._scale) if self._scale else np.full(len(losses), 0.5)
        for count, loss in enumerate(losses.tolist(), self._seen + 1):
            self._scale += (loss - self._scale) / min(count, MEMORY)
        return shares

    def usual(self, losses: Array) -> bool:
        """Return whether losses, (n,) float64, n > 0, are no larger than is usual, but for chance."""
        shares = losses / (losses + self._scale) if self._regression and self._scale else losses
        usual = min(max(self._usual, LEAST), MOST)
        return float(shares.mean()) <= usual + 2 * math.sqrt(usual * (1 - usual) / len(shares))

    def calm(self) -> None:
        """End the alarm."""
        self._sum, self._run, self._left = 0.0, 0, 0

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        return [self._seen, self._usual, self._scale, self._sum, self._run, self._left, self._raised]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned; None of a release that had none."""
        if document is not None:
            self._seen, self._usual, self._scale, self._sum, self._run, self._left, self._raised = document
