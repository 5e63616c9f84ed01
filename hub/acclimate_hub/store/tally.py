"""What the hub has of each event, counted where it was committed and where it was applied."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from acclimate_hub.limits import Retention
from acclimate_hub.store import tables
from acclimate_hub.store.events import Key

_ONE_A_MESSAGE = "predictions"  # a measure that every message of metrics has once


@dataclass(frozen=True, slots=True)
class Tally:
    """Keys of the events of a tenant, and how many of them became metrics and nodes of the lineage."""

    keys: frozenset[Key]
    metrics: int
    lineage: int


def tally(connection: Connection, tenant: str) -> Tally:
    """Count; only before anything is forgotten does it agree with what devices have told."""
    events, metrics, versions = tables.events, tables.metrics, tables.lineage_versions
    keys = select(events.c.device, events.c.boot, events.c.sequence).where(events.c.tenant == tenant)
    applied = select(func.coalesce(func.sum(metrics.c.weight), 0.0)).where(
        metrics.c.tenant == tenant, metrics.c.measure == _ONE_A_MESSAGE, metrics.c.width_s == Retention().fine_s
    )
    records = select(func.count()).where(versions.c.tenant == tenant, versions.c.device != "")
    return Tally(
        keys=frozenset(tuple(row) for row in connection.execute(keys)),
        metrics=round(connection.execute(applied).scalar_one()),
        lineage=connection.execute(records).scalar_one(),
    )
