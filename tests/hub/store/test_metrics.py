import math
import random

import pytest

from acclimate_hub.limits import Retention
from acclimate_hub.store import devices, metrics
from acclimate_hub.store.database import Database
from acclimate_shared.errors import AccessError
from tests.hub.conftest import NOW

KEEP = Retention(fine_s=60, fine_keep_s=600.0, coarse_s=600, coarse_keep_s=6000.0)
START = int(NOW // 600) * 600.0


def point(device: str, time_s: float, value: float, weight: float = 1.0, tenant: str = "main") -> metrics.Point:
    return metrics.Point(
        tenant=tenant, device=device, measure="accuracy", subject="rls", time_s=time_s, weight=weight, value=value
    )


def asked(width_s: int, tenant: str = "main") -> metrics.Question:
    return metrics.Question(
        tenant=tenant, measure="accuracy", subject="rls", width_s=width_s, start_s=START, end_s=START + 1200
    )


def enrol(database: Database, count: int) -> None:
    with database.write() as connection:
        for at in range(count):
            devices.create(connection, "main", f"gw-{at}", "default", NOW)


def test_buckets_add_up_whatever_the_order_and_the_grouping(database: Database) -> None:
    enrol(database, 1)
    generator = random.Random(1)  # noqa: S311 - repeatable
    points = [
        point("gw-0", START + generator.uniform(0, 1199), generator.random(), generator.randint(1, 9))
        for _ in range(200)
    ]
    for group in (points[:50], points[50:51], points[51:]):
        with database.write() as connection:
            metrics.add(connection, list(group), KEEP)
    for width_s in (60, 600):
        with database.read() as connection:
            rows = metrics.of_device(connection, asked(width_s), "gw-0")
        for row in rows:
            inside = [p for p in points if row.start_s <= p.time_s < row.start_s + width_s]
            weight = sum(p.weight for p in inside)
            assert row.weight == weight
            assert math.isclose(row.mean, sum(p.weight * p.value for p in inside) / weight)
            assert (row.least, row.most) == (min(p.value for p in inside), max(p.value for p in inside))
        assert sum(row.weight for row in rows) == sum(p.weight for p in points)


def test_a_cohort_is_shown_only_where_it_has_enough_devices(database: Database) -> None:
    enrol(database, 20)
    with database.write() as connection:
        full = [point(f"gw-{at}", START, at / 20, weight=1 + at) for at in range(20)]
        few = [point(f"gw-{at}", START + 60, 1.0) for at in range(19)]
        metrics.add(connection, full + few, KEEP)
    with database.read() as connection:
        rows = metrics.of_cohort(connection, asked(60), "default", 20)
        assert [(row.start_s, row.devices) for row in rows] == [(START, 20)]
        assert math.isclose(rows[0].mean, sum(at / 20 for at in range(20)) / 20)  # each device counts once
        assert len(metrics.of_cohort(connection, asked(60), "default", 19)) == 2
        for cohort, least in (("default", 21), ("nowhere", 1)):
            with pytest.raises(AccessError, match="too few devices"):
                metrics.of_cohort(connection, asked(60), cohort, least)
        with pytest.raises(AccessError):
            metrics.of_cohort(connection, asked(60, "other"), "default", 1)


def test_the_policy_forgets_fine_buckets_first(database: Database) -> None:
    enrol(database, 1)
    with database.write() as connection:
        metrics.add(connection, [point("gw-0", START, 0.5), point("gw-0", START + 900, 0.5)], KEEP)
        assert metrics.forget(connection, KEEP, START + 1000) == 1
        assert len(metrics.of_device(connection, asked(60), "gw-0")) == 1
        assert len(metrics.of_device(connection, asked(600), "gw-0")) == 2
        assert metrics.forget(connection, KEEP, START + 1e6) == 3
