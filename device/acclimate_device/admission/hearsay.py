"""Which labels later predictions are told of: the last known label is an input, and a wrong one misleads at once.

A label that contradicts a champion who was sure is odd. Whether odd labels are news or noise is a matter of the stream,
and the stream tells: the next label of the same key repeats the odd one, or the one before it. While they turn out to
be noise more often than news, an odd label is not told until another says the same; it is learned all the same. Where
odd labels are news, as after a drift, nothing is kept back.
"""

from collections import OrderedDict
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ODD = 0.2  # probability below which a label that contradicts is odd
FADING = 1.0 / 64  # of what odd labels were, an odd label
TRUST = 1.0  # in odd labels before the first
_Heard = tuple[int | None, int | None, int | None]  # told last; if the last label was odd, it and what was told before
MOST_KEYS = 1000  # of which the last label is known; the one that was silent for longest makes room


class Hearsay:
    """What odd labels have turned out to be, and the last labels of every key."""

    def __init__(self) -> None:
        """Start with nothing heard."""
        self.news, self.noise = TRUST, 0.0  # faded shares of odd labels that the next label repeated, or took back
        self.kept_back = 0
        self._last: OrderedDict[str, _Heard] = OrderedDict()

    def tell(self, key: str, label: int, answer: Array, *, trusted: bool = False) -> bool:
        """Return whether later predictions may know of a label.

        Args:
            key: group of the history.
            label: class index.
            answer: (classes,) probabilities that the champion gave.
            trusted: whether the label is beyond doubt.
        """
        known, odd, before = self._last.pop(key, (None, None, None))
        if odd is not None:
            self._settle(news=label == odd, noise=label == before)
        given = float(answer[label]) if label < len(answer) else 0.0
        strange = known is not None and label != known and given < ODD and int(np.argmax(answer)) != label
        back = strange and not trusted and label != odd and self.noise > self.news
        self._last[key] = (known if back else label, label, known) if strange else (label, None, None)
        if len(self._last) > MOST_KEYS:
            self._last.popitem(last=False)
        self.kept_back += back
        return not back

    def _settle(self, *, news: bool, noise: bool) -> None:
        self.news += FADING * (news - self.news)
        self.noise += FADING * (noise - self.noise)

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        return [self.news, self.noise, self.kept_back, [[key, *last] for key, last in self._last.items()]]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        self.news, self.noise, self.kept_back, last = document
        self._last = OrderedDict((key, (known, odd, before)) for key, known, odd, before in last)
