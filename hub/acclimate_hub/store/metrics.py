"""Metrics in buckets of time, a fine and a coarse width; and what a cohort has, where it has enough devices.

A bucket holds weight, weighted total, least and most of one measure of one subject of one device, so that buckets add
up whatever their order.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select

from acclimate_hub.limits import Retention
from acclimate_hub.store import tables
from acclimate_hub.store.database import upsert
from acclimate_shared.errors import AccessError

_T = tables.metrics
_KEY = ("device", "width_s", "start_s", "measure", "subject")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One number of one device: ``subject`` is a candidate, a detector or a feature, empty for the device itself."""

    tenant: str
    device: str
    measure: str
    subject: str
    time_s: float
    weight: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which series: of a device or a cohort, in buckets of ``width_s``, from ``start_s`` up to ``end_s``."""

    tenant: str
    measure: str
    subject: str
    width_s: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Buckets of ``width_s`` from ``start_s`` up to and with ``end_s``."""

    tenant: str
    width_s: int
    start_s: float
    end_s: float


@dataclass(slots=True)
class _Bucket:
    weight: float
    total: float
    least: float
    most: float


def add(connection: Connection, points: Sequence[Point], retention: Retention) -> None:
    """Add points to their buckets of both widths."""
    buckets: dict[tuple[str, int, int, str, str, str], _Bucket] = {}
    for point in points:
        for width_s in (retention.fine_s, retention.coarse_s):
            start = int(point.time_s // width_s) * width_s
            key = (point.device, width_s, start, point.measure, point.subject, point.tenant)
            total = point.weight * point.value
            kept = buckets.setdefault(key, _Bucket(0.0, 0.0, point.value, point.value))
            kept.weight, kept.total = kept.weight + point.weight, kept.total + total
            kept.least, kept.most = min(kept.least, point.value), max(kept.most, point.value)
    rows = [dict(zip((*_KEY, "tenant"), key, strict=True)) | asdict(kept) for key, kept in sorted(buckets.items())]
    upsert(connection, _T, rows, _KEY, added=("weight", "total", "least", "most"))


def forget(connection: Connection, retention: Retention, now_s: float) -> int:
    """Delete buckets that are older than the policy keeps them; return how many."""
    count = 0
    for width_s, keep_s in ((retention.fine_s, retention.fine_keep_s), (retention.coarse_s, retention.coarse_keep_s)):
        old = (_T.c.width_s == width_s) & (_T.c.start_s < now_s - keep_s)
        count += connection.execute(delete(_T).where(old)).rowcount
    return count


def of_device(connection: Connection, question: Question, device: str) -> list[Row[Any]]:
    """Return the buckets of one device: start, weight, mean, least, most; oldest first."""
    columns = (_T.c.start_s, _T.c.weight, (_T.c.total / _T.c.weight).label("mean"), _T.c.least, _T.c.most)
    query = select(*columns).where(*_asked(question), _T.c.device == device, _T.c.weight > 0)
    return list(connection.execute(query.order_by(_T.c.start_s)))


def totals(connection: Connection, span: Span, device: str, subjects: Sequence[str]) -> dict[tuple[str, str], float]:
    """Return the weighted total of every measure of some subjects of a device, by measure and subject."""
    inside = (_T.c.tenant == span.tenant) & (_T.c.width_s == span.width_s) & (_T.c.device == device)
    inside &= (_T.c.start_s >= span.start_s) & (_T.c.start_s <= span.end_s) & _T.c.subject.in_(subjects)
    query = select(_T.c.measure, _T.c.subject, func.sum(_T.c.total).label("total")).where(inside)
    rows = connection.execute(query.group_by(_T.c.measure, _T.c.subject))
    return {(row.measure, row.subject): float(row.total) for row in rows}


def of_cohort(connection: Connection, question: Question, cohort: str, least_devices: int) -> list[Row[Any]]:
    """Return the buckets of a cohort: start, devices, mean over devices; those of too few devices are left out.

    Devices count alike, whatever their weight, and least and most are not shown: they would be of one device.

    Raises:
        AccessError: the whole cohort has too few devices.
    """
    devices = tables.devices
    inside = (devices.c.tenant == question.tenant) & (devices.c.cohort == cohort)
    size = connection.execute(select(func.count()).where(inside)).scalar_one()
    if size < least_devices:
        remedy = f"a view needs {least_devices} devices"
        raise AccessError("the cohort has too few devices to be shown", field="cohort", value=cohort, remedy=remedy)
    count = func.count()
    mean = func.avg(_T.c.total / _T.c.weight).label("mean")
    query = select(_T.c.start_s, count.label("devices"), mean).join(devices, devices.c.device == _T.c.device)
    query = (
        query.where(*_asked(question), inside, _T.c.weight > 0).group_by(_T.c.start_s).having(count >= least_devices)
    )
    return list(connection.execute(query.order_by(_T.c.start_s)))


def _asked(question: Question) -> list[Any]:
    return [
        _T.c.tenant == question.tenant,
        _T.c.measure == question.measure,
        _T.c.subject == question.subject,
        _T.c.width_s == question.width_s,
        _T.c.start_s >= question.start_s,
        _T.c.start_s < question.end_s,
    ]
