"""Buckets of metrics become coarser ones: what was counted is added up, what was averaged is averaged again.

Example:
    >>> from acclimate_shared.messages.up import Metrics, Resources
    >>> one = Metrics(start_s=0, end_s=300, schema="a" * 64, resources=Resources(predictions=2, memory_bytes=5))
    >>> two = Metrics(start_s=300, end_s=600, schema="a" * 64, resources=Resources(predictions=3, memory_bytes=4))
    >>> both = merged([one, two])
    >>> both.end_s, both.resources.predictions, both.resources.memory_bytes
    (600, 5, 5)
"""

from collections.abc import Sequence

from acclimate_shared.messages.limits import MAX_DETECTORS, MAX_SCORES, MAX_TESTS
from acclimate_shared.messages.up import CandidateScore, Drift, FeatureCounts, Metrics, Resources

WIDTHS_S = (3600.0, 6 * 3600.0, 24 * 3600.0, 7 * 24 * 3600.0)  # of the coarser buckets, one level after the other
_SUMS = ("predictions", "rejects", "crashes", "cpu_s", "written_bytes")
_PEAKS = ("latency_p50_s", "latency_p99_s", "memory_bytes", "disk_bytes", "outbox_bytes")


def merged(parts: Sequence[Metrics]) -> Metrics:
    """Return one bucket for several of the same schema, at least one, in order of time.

    Scores are weighted by their labels; of a test the last standing is kept; quantiles of latency become their largest.
    Counts over the bins of an earlier release are left out: they do not mix with those of the last one.
    """
    first, last = parts[0], parts[-1]
    bins = next((part.bins for part in reversed(parts) if part.bins), None)
    return Metrics(
        start_s=min(part.start_s for part in parts),
        end_s=max(part.end_s for part in parts),
        schema=first.schema,
        scores=_scores([score for part in parts for score in part.scores]),
        tests=tuple({test.challenger: test for part in parts for test in part.tests}.values())[-MAX_TESTS:],
        drift=_drift([drift for part in parts for drift in part.drift]),
        features=_features([counts for part in parts if part.bins == bins for counts in part.features]),
        bins=bins,
        resources=_resources([part.resources for part in parts]) if len(parts) > 1 else last.resources,
    )


def _scores(found: Sequence[CandidateScore]) -> tuple[CandidateScore, ...]:
    groups: dict[tuple[str, str, str], list[CandidateScore]] = {}
    for score in found:
        groups.setdefault((score.candidate, score.role, score.measure), []).append(score)
    means = []
    for group in groups.values():
        labels = sum(score.labels for score in group)
        mean = sum(score.labels * score.mean for score in group) / labels
        one = group[-1]
        means.append(
            CandidateScore(candidate=one.candidate, role=one.role, measure=one.measure, labels=labels, mean=mean)
        )
    return tuple(sorted(means, key=lambda score: -score.labels)[:MAX_SCORES])


def _drift(found: Sequence[Drift]) -> tuple[Drift, ...]:
    sums: dict[tuple[str, str], Drift] = {}
    for one in found:
        key = one.detector, one.signal
        known = sums.get(key)
        looks, alarms = (known.looks, known.alarms) if known else (0, 0)
        sums[key] = Drift(detector=one.detector, signal=one.signal, looks=looks + one.looks, alarms=alarms + one.alarms)
    return tuple(sums.values())[:MAX_DETECTORS]


def _features(found: Sequence[FeatureCounts]) -> tuple[FeatureCounts, ...]:
    sums: dict[int, list[int]] = {}
    for one in found:
        total = sums.setdefault(one.feature, [0] * len(one.counts))
        sums[one.feature] = [count + more for count, more in zip(total, one.counts, strict=True)]
    return tuple(FeatureCounts(feature=number, counts=tuple(counts)) for number, counts in sums.items())


def _resources(found: Sequence[Resources]) -> Resources:
    sums = {name: sum(getattr(one, name) for one in found) for name in _SUMS}
    return Resources(**sums, **{name: max(getattr(one, name) for one in found) for name in _PEAKS})
