"""Drift detectors: one value at a time in, ``drift_detected`` out, in bounded memory.

All have River's interface (``update``, ``drift_detected``) plus ``reset``, ``detail`` and an exact ``to_bytes`` /
``from_bytes``: what is resumed goes on bit for bit as if it had never stopped. ``DETECTORS`` makes each by name with
our defaults, chosen so that a stream without drift gives at most one false alarm in 100,000 values.

Which to take: ``adwin`` or ``page-hinkley`` on the loss of each label; ``features`` where labels come late or never.
``adwin`` finds changes in both directions and keeps no reference; ``page-hinkley`` is the cheapest.

Example:
    >>> detector = DETECTORS["adwin"]()
    >>> for i in range(2000):
    ...     detector.update(float(i >= 1000))
    ...     if detector.drift_detected:
    ...         break
    >>> i
    1023
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from acclimate_device.drift.adwin import Adwin
from acclimate_device.drift.base import Detector
from acclimate_device.drift.dummy import Dummy
from acclimate_device.drift.features import FeatureDrift
from acclimate_device.drift.page_hinkley import PageHinkley
from acclimate_device.drift.sketch import Sketch

# River's own defaults are the defaults of the classes; these are ours. Page-Hinkley forgets nothing here: with River's
# alpha below 1 the sums settle at -delta / (1 - alpha), where forgetting cancels delta, and chance alone passes the
# threshold every 20,000 values or so.
DETECTORS: Mapping[str, Callable[[], Detector]] = MappingProxyType(
    {
        "adwin": lambda: Adwin(delta=1e-4, clock=32, max_buckets=5, min_window_length=10, grace_period=30),
        "dummy": lambda: Dummy(every=10_000),
        "features": FeatureDrift,
        "page-hinkley": lambda: PageHinkley(min_instances=100, delta=0.25, threshold=40.0, alpha=1.0, standardise=True),
    }
)

__all__ = ["DETECTORS", "Adwin", "Detector", "Dummy", "FeatureDrift", "PageHinkley", "Sketch"]
