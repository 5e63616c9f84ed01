"""Rate limits: a token bucket for each name, for a bounded number of names.

Example:
    >>> from acclimate_hub.limits import Rate
    >>> rates = Rates(Rate(burst=2, per_s=1.0))
    >>> [rates.allows("a", 0.0), rates.allows("a", 0.0), rates.allows("a", 0.0), rates.allows("a", 1.0)]
    [True, True, False, True]
"""

import threading
from collections import OrderedDict

from acclimate_hub.limits import Rate
from acclimate_shared.errors import RateError

MAX_NAMES = 10_000


class Rates:
    """Buckets of one rate; safe to share between threads."""

    def __init__(self, rate: Rate) -> None:
        """Start with full buckets."""
        self._rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name: level, time; oldest first
        self._lock = threading.Lock()

    def allows(self, name: str, now_s: float) -> bool:
        """Take one from the bucket of a name; whether there was one."""
        with self._lock:
            level, before_s = self._buckets.pop(name, (float(self._rate.burst), now_s))
            level = min(float(self._rate.burst), level + max(0.0, now_s - before_s) * self._rate.per_s)
            allowed = level >= 1.0
            self._buckets[name] = (level - allowed, now_s)
            if len(self._buckets) > MAX_NAMES:
                self._buckets.popitem(last=False)
        return allowed

    def check(self, name: str, now_s: float) -> None:
        """Take one from the bucket of a name.

        Raises:
            RateError: there was none.
        """
        if not self.allows(name, now_s):
            remedy = f"wait; {self._rate.per_s:g} a second are allowed"
            raise RateError("this was asked too often", field="rate", remedy=remedy)
