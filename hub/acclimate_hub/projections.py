"""What a message means as rows: pure functions from messages to metric points and to the nodes of the lineage."""

from collections.abc import Iterable, Sequence

from acclimate_hub.store.lineage import Node
from acclimate_hub.store.metrics import Point
from acclimate_shared.messages.up import FeatureCounts, LineageRecord, Metrics, Resources


def feature_subject(feature: FeatureCounts, bins: str) -> str:
    """Return the subject of the bins of a feature, such as ``feature-3-0f3a5b7c9d1e``; other bins have another one.

    Args:
        feature: whose bins.
        bins: digest of the release that declares them.
    """
    return f"feature-{feature.feature}-{bins[:12]}"


def bin_measure(at: int) -> str:
    """Return the measure of a bin, from 0 on: ``bin-0``."""
    return f"bin-{at}"


def metric_points(tenant: str, device: str, body: object) -> list[Point]:
    """Return the points of a message, none if it has no metrics.

    Scores weigh their labels, alarms the looks of their detector; for bins see ``feature_subject``.
    """
    if not isinstance(body, Metrics):
        return []
    found: list[tuple[str, str, float, float]] = []  # measure, subject, weight, value
    found += [(score.measure, score.candidate, score.labels, score.mean) for score in body.scores]
    found += [("log-e", test.challenger, 1.0, test.log_e) for test in body.tests]
    found += [
        ("alarms", drift.detector, drift.looks, drift.alarms / drift.looks) for drift in body.drift if drift.looks
    ]
    for feature in body.features:
        subject = feature_subject(feature, body.bins or "")
        found += [(bin_measure(at), subject, 1.0, float(count)) for at, count in enumerate(feature.counts)]
    found += [(name, "", 1.0, float(getattr(body.resources, name))) for name in Resources.__struct_fields__]
    unique = {(measure, subject): (weight, value) for measure, subject, weight, value in found}
    return [
        Point(
            tenant=tenant,
            device=device,
            measure=measure,
            subject=subject,
            time_s=body.end_s,
            weight=weight,
            value=value,
        )
        for (measure, subject), (weight, value) in unique.items()
    ]


def lineage_links(tenant: str, bodies: Iterable[tuple[str, object]]) -> list[tuple[Node, Sequence[str]]]:
    """Return the nodes of records, each with what it came from: parents, and the release that it brought in."""
    links: list[tuple[Node, Sequence[str]]] = []
    for device, body in bodies:
        if not isinstance(body, LineageRecord):
            continue
        node = Node(
            tenant=tenant,
            digest=body.digest,
            device=device,
            kind=body.kind,
            version=body.version,
            model=body.model,
            time_s=body.time_s,
            labels=body.labels,
            cpu_s=body.cpu_s,
            gain=body.gain,
        )
        links.append((node, [*body.parents, *([body.bundle] if body.bundle else [])]))
    return links
