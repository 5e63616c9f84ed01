"""The fleet at a glance: how many devices there are and how they are, cohorts, open rollouts, what happened last."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from sqlalchemy import Connection, Row

from acclimate_hub import limits
from acclimate_hub.limits import Retention
from acclimate_hub.pages import svg
from acclimate_hub.pages.views import Desk
from acclimate_hub.rollout import Explanation, Phase, Rollout
from acclimate_hub.store import devices, metrics, overview
from acclimate_hub.store.metrics import Question
from acclimate_hub.store.paging import page

MAX_COHORTS = 100
RECENT = 10  # events
BASES = 5  # that are listed by how many devices run them
SCORES_S = 7 * limits.DAY_S  # of the small charts of cohorts
OPEN = frozenset({Phase.WAVE, Phase.PAUSED, Phase.DRAFT, Phase.APPROVED})

#: What a device did when its model changed.
CHANGES = {
    "start": "began to learn",
    "promote": "promoted a challenger",
    "rollback": "went back a version",
    "override": "serves what a person or a rollout chose",
    "merge": "merged a base",
    "surgery": "was rebuilt",
    "import": "took in a base",
}
#: Standing, its word, its tone, what it means.
STANDINGS = (
    ("online", "Online", "good", "connected now"),
    ("away", "Offline", "warn", "not connected, heard within a day"),
    ("silent", "Silent", "bad", "not heard for more than a day"),
    ("never", "Never seen", "plain", "enrolled, but has not spoken yet"),
    ("revoked", "Revoked", "off", "shut out; its messages are discarded"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many devices are of one standing."""

    word: str
    tone: str
    meaning: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """A cohort; ``chart`` is empty where there are no scores, or too few devices to show any (``hidden``)."""

    name: str
    criticality: int
    total: int
    online: int
    silent: int
    hidden: bool
    score: float | None
    chart: Markup | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A rollout that has not ended, and where it stands."""

    rollout: Rollout
    explanation: Explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Everything on the page; ``measure`` and ``subject`` are what the charts of cohorts show, if anything."""

    total: int
    counts: tuple[Count, ...]
    bar: Markup
    cohorts: tuple[Cohort, ...]
    measure: str
    subject: str
    least_devices: int
    open: tuple[Open, ...]
    bases: tuple[tuple[str, str, int], ...]
    recent: tuple[Row[Any], ...]
    acts: tuple[Row[Any], ...]


def glance(connection: Connection, tenant: str, desk: Desk, *, least_devices: int, now_s: float) -> Fleet:
    """Return the page.

    Args:
        connection: of a ``read``.
        tenant: whose fleet.
        desk: its rollouts.
        least_devices: that a view of a cohort needs.
        now_s: seconds since 1970.
    """
    silent_before_s = now_s - limits.SILENT_S
    row = overview.standings(connection, tenant, silent_before_s)
    counts = tuple(
        Count(word=word, tone=tone, meaning=meaning, count=getattr(row, name))
        for name, word, tone, meaning in STANDINGS
    )
    said = ", ".join(f"{count.count} {count.word.lower()}" for count in counts)
    measure, subject, cohorts = _cohorts(connection, tenant, least_devices, now_s)
    names = {one.digest: f"{one.name} {one.version}" for one in overview.releases(connection, tenant, 500)}
    bases = tuple(
        (one.running, names.get(one.running, ""), one.devices) for one in overview.running(connection, tenant, BASES)
    )
    return Fleet(
        total=row.total,
        counts=counts,
        bar=svg.stacked([(count.word, count.count, f"fill {count.tone}") for count in counts], said),
        cohorts=cohorts,
        measure=measure,
        subject=subject,
        least_devices=least_devices,
        open=tuple(Open(rollout=one, explanation=desk.explanation(one)) for one in desk.all() if one.phase in OPEN),
        bases=bases,
        recent=tuple(overview.notable(connection, tenant, RECENT)),
        acts=tuple(overview.audit_end(connection, tenant, None, RECENT)),
    )


def _cohorts(
    connection: Connection, tenant: str, least_devices: int, now_s: float
) -> tuple[str, str, tuple[Cohort, ...]]:
    width_s, start_s = Retention().coarse_s, now_s - SCORES_S
    score = overview.busiest_measure(connection, tenant, start_s, width_s)
    measure, subject = (score.measure, score.subject) if score else ("", "")
    asked = Question(
        tenant=tenant, measure=measure, subject=subject, width_s=width_s, start_s=start_s, end_s=now_s + limits.DAY_S
    )
    found = []
    for row in overview.cohorts(connection, tenant, now_s - limits.SILENT_S, MAX_COHORTS):
        hidden = row.total < least_devices
        buckets = metrics.of_cohort(connection, asked, row.cohort, least_devices) if measure and not hidden else []
        points = [(float(one.start_s), float(one.mean)) for one in buckets]
        label = f"{measure} of {subject or 'the devices'} in {row.cohort}"
        cohort = Cohort(
            name=row.cohort,
            criticality=row.criticality,
            total=row.total,
            online=row.online,
            silent=row.silent,
            hidden=hidden,
            score=points[-1][1] if points else None,
            chart=svg.spark(points, label) if points else "",
        )
        found.append(cohort)
    return measure, subject, tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """A page of the list of devices."""

    rows: tuple[Row[Any], ...]
    next: str | None
    cohorts: tuple[str, ...]


def listed(connection: Connection, tenant: str, *, cohort: str, start: str, after: str) -> Devices:
    """Return a page of devices.

    Args:
        connection: of a ``read``.
        tenant: whose devices.
        cohort: only of this one; empty: of all.
        start: of their names; empty: all.
        after: cursor of the page before, empty for the first one.
    """
    query = devices.listed(tenant, cohort or None)
    column = query.selected_columns["device"]
    if start:
        query = query.where(column.startswith(start, autoescape=True))
    rows, cursor = page(connection, query, column, after or None, limits.PAGE_ROWS)
    names = tuple(row.cohort for row in overview.cohorts(connection, tenant, 0.0, MAX_COHORTS))
    return Devices(rows=tuple(rows), next=cursor, cohorts=names)


def standing(row: Row[Any], now_s: float) -> Count:
    """Return how a device is, in the words of the counts."""
    name = (
        "revoked" if row.revoked_s is not None
        else "online" if row.online
        else "never" if row.seen_s is None
        else "silent" if row.seen_s < now_s - limits.SILENT_S
        else "away"
    )  # fmt: skip
    _, word, tone, meaning = next(one for one in STANDINGS if one[0] == name)
    return Count(word=word, tone=tone, meaning=meaning, count=1)
