"""How the inputs of a device are spread over the bins that its base model declares, now and over the last week."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec
from markupsafe import Markup
from sqlalchemy import Connection

from acclimate_hub import limits
from acclimate_hub.limits import Retention
from acclimate_hub.pages import svg
from acclimate_hub.projections import bin_measure, feature_subject
from acclimate_hub.store import metrics, overview
from acclimate_shared.messages.up import Metrics
from acclimate_shared.release import Release

SHOWN = 24  # features, those that have shifted most first
WEEK_S = 7 * limits.DAY_S
MAJOR = 0.25  # population stability index of what is usually called a major shift
SIGMAS = 6.0  # above what chance alone would show on average
HALF = 0.5  # of an event is in every bin beforehand, so that an empty one makes no infinite index


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One feature of the stream.

    Attributes:
        shift: population stability index of the window against the week.
        shifted: whether that is a major one, and more than chance would show.
    """

    name: str
    events: int
    shift: float
    shifted: bool
    chart: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Those that have shifted most, and how many more there are."""

    shown: tuple[Input, ...]
    more: int


def glance(connection: Connection, tenant: str, device: str, body: Metrics) -> Inputs | None:
    """Return the inputs of a window of a device; None if it counts none of them."""
    if not body.features or body.bins is None:
        return None
    row = overview.release(connection, tenant, body.bins)
    declared = msgspec.json.decode(row.manifest, type=Release).constraints.features if row else ()
    subjects = {feature_subject(one, body.bins): one for one in body.features}
    span = metrics.Span(tenant=tenant, width_s=Retention().coarse_s, start_s=body.end_s - WEEK_S, end_s=body.end_s)
    week = metrics.totals(connection, span, device, list(subjects))
    found = []
    for subject, one in subjects.items():
        known = one.feature < len(declared)
        name = declared[one.feature].name if known else f"feature {one.feature}"
        bounds = declared[one.feature].bounds if known else ()
        usual = [week.get((bin_measure(at), subject), 0.0) for at in range(len(one.counts))]
        found.append(_input(name, bounds, one.counts, usual))
    found.sort(key=lambda one: (-one.shift, one.name))
    return Inputs(shown=tuple(found[:SHOWN]), more=max(0, len(found) - SHOWN))


def _input(name: str, bounds: Sequence[float], counts: Sequence[int], usual: Sequence[float]) -> Input:
    events, shift = sum(counts), index(counts, usual)
    bins = [
        svg.Bin(title=f"{words}: {count:,} events", share=count / events, usual=before / (sum(usual) or 1.0))
        for words, count, before in zip(_ranges(bounds, len(counts)), counts, usual, strict=True)
    ]
    label = f"{name}: {events:,} events over {len(bins)} bins, shift {shift:.2f}"
    shifted = shift >= max(MAJOR, chance(events, sum(usual), len(bins)))
    return Input(name=name, events=events, shift=shift, shifted=shifted, chart=svg.histogram(bins, label))


def index(counts: Sequence[float], usual: Sequence[float]) -> float:
    """Return the population stability index of counts against what is usual, 0 where nothing is usual yet.

    Source: the sum over bins of (p - q) ln(p / q), as credit scoring has long used it (Siddiqi, Credit Risk
    Scorecards, 2006, chapter 10); half an event is added to every bin.
    """
    if not sum(usual):
        return 0.0
    p, q = (_shares(found) for found in (counts, usual))
    return sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))


def chance(events: float, before: float, bins: int) -> float:
    """Return an index that events of an unchanged stream hardly ever reach.

    Without a change the index is about (1/n + 1/m) times a chi-squared number of as many degrees of freedom as there
    are bins less one (Yurdakul and Naranjo 2020, Statistical properties of the population stability index).

    Args:
        events: n, at least one.
        before: m; nothing is beyond chance as long as there are none.
        bins: at least two.
    """
    if not before:
        return math.inf
    return (1 / events + 1 / before) * (bins - 1 + SIGMAS * math.sqrt(2 * (bins - 1)))


def _shares(counts: Sequence[float]) -> list[float]:
    total = sum(counts) + HALF * len(counts)
    return [(count + HALF) / total for count in counts]


def _ranges(bounds: Sequence[float], count: int) -> list[str]:
    """Return what each bin holds, in words; its number where its bounds are not known here."""
    if len(bounds) != count - 1:
        return [f"bin {at}" for at in range(count)]
    between = [f"above {low:g} to {high:g}" for low, high in pairwise(bounds)]
    return [f"up to {bounds[0]:g}", *between, f"above {bounds[-1]:g}"]
