"""Routes of devices and cohorts, and of their metrics."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response
from sqlalchemy import Row, select

from acclimate_hub import limits
from acclimate_hub.api import models as m
from acclimate_hub.api.calls import Operator, Viewer
from acclimate_hub.identity import enrolment
from acclimate_hub.store import audit, devices, metrics, tables, tenants
from acclimate_hub.store.paging import page
from acclimate_shared.messages.envelope import decode
from acclimate_shared.messages.topics import Kind

router = APIRouter(tags=["devices"])

Measure = Annotated[str, Query(max_length=64, pattern=r"^[a-z0-9_\-]+$", examples=["accuracy"])]
SUBJECT = (
    "A candidate, a detector, or a feature: `feature-3-` and 12 digits of the release that declares its bins, which "
    "are the measures `bin-0`, `bin-1` and so on. Empty: the device itself"
)
Subject = Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9_.\-]*$", description=SUBJECT)]
Width = Annotated[int, Query(ge=1, le=86400, description="300 or 3600 seconds, as the hub keeps them")]


def shown(row: Row[Any], *, whole: bool = False) -> m.Device:
    """Return a device as the API shows it; ``whole`` with its last state."""
    found = m.Device.model_validate({name: value for name, value in row._mapping.items() if name != "reported"})  # noqa: SLF001
    if whole and row.reported is not None:
        found.reported = msgspec.to_builtins(decode(row.reported, Kind.STATE).body)
    return found


@router.get("/devices")
def list_devices(
    call: Viewer,
    cohort: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}$")] = None,
    after: m.Cursor = None,
    limit: m.Limit = limits.PAGE_ROWS,
) -> m.Page[m.Device]:
    """List devices, of one cohort or of all."""
    with call.hub.database.read() as connection:
        rows, cursor = page(connection, devices.listed(call.tenant, cohort), tables.devices.c.device, after, limit)
    return m.Page(items=[shown(row) for row in rows], next=cursor)


@router.get("/devices/{device}")
def get_device(call: Viewer, device: m.DeviceId) -> m.Device:
    """Show a device with its last state."""
    with call.hub.database.read() as connection:
        return shown(devices.get(connection, call.tenant, device), whole=True)


@router.post("/devices/{device}/revoke", response_model=m.Done)
def revoke_device(call: Operator, device: m.DeviceId) -> Response:
    """Shut a device out: its messages are discarded from now on, its certificates go on the revocation list."""

    def act(connection: Any, now_s: float) -> m.Done:  # noqa: ANN401
        count = enrolment.revoke(connection, call.tenant, device, call.caller.actor, now_s)
        return m.Done(done="device.revoke", object=device, count=count)

    return call.do(act)


@router.post("/devices/{device}/readmit", response_model=m.Done)
def readmit_device(call: Operator, device: m.DeviceId) -> Response:
    """Let a device that was revoked, or has lost its key, enrol again with a claim token."""

    def act(connection: Any, now_s: float) -> m.Done:  # noqa: ANN401
        enrolment.readmit(connection, call.tenant, device, call.caller.actor, now_s)
        return m.Done(done="device.readmit", object=device)

    return call.do(act)


@router.put("/devices/{device}/cohort", response_model=m.Done)
def move_device(call: Operator, device: m.DeviceId, move: m.Move) -> Response:
    """Put a device into another cohort."""

    def act(connection: Any, now_s: float) -> m.Done:  # noqa: ANN401
        devices.move(connection, call.tenant, device, move.cohort)
        done = audit.Act(actor=call.caller.actor, action="device.move", object=device, detail={"cohort": move.cohort})
        audit.record(connection, call.tenant, done, now_s)
        return m.Done(done="device.move", object=device)

    return call.do(act)


@router.get("/cohorts")
def list_cohorts(call: Viewer, after: m.Cursor = None, limit: m.Limit = limits.PAGE_ROWS) -> m.Page[m.Cohort]:
    """List cohorts."""
    cohorts = tables.cohorts
    query = select(cohorts).where(cohorts.c.tenant == call.tenant)
    with call.hub.database.read() as connection:
        rows, cursor = page(connection, query, cohorts.c.cohort, after, limit)
    return m.Page(items=[m.Cohort.model_validate(row) for row in rows], next=cursor)


@router.post("/cohorts", status_code=201, response_model=m.Cohort)
def create_cohort(call: Operator, cohort: m.Cohort) -> Response:
    """Make a cohort."""

    def act(connection: Any, now_s: float) -> m.Cohort:  # noqa: ANN401
        tenants.create_cohort(connection, call.tenant, cohort.cohort, cohort.criticality, now_s)
        done = audit.Act(actor=call.caller.actor, action="cohort.create", object=cohort.cohort, detail={})
        audit.record(connection, call.tenant, done, now_s)
        return cohort

    return call.do(act, 201)


@router.get("/devices/{device}/metrics")
def device_metrics(
    call: Viewer,
    device: m.DeviceId,
    measure: Measure,
    subject: Subject = "",
    width_s: Width = 3600,
    start_s: m.Time = 0.0,
    end_s: m.Time = 253402300799.0,
) -> m.Series:
    """Show one measure of a device over time."""
    asked = metrics.Question(
        tenant=call.tenant, measure=measure, subject=subject, width_s=width_s, start_s=start_s, end_s=end_s
    )
    with call.hub.database.read() as connection:
        devices.get(connection, call.tenant, device)
        rows = metrics.of_device(connection, asked, device)
    return _series(asked, rows)


@router.get("/cohorts/{cohort}/metrics")
def cohort_metrics(
    call: Viewer,
    cohort: m.CohortId,
    measure: Measure,
    subject: Subject = "",
    width_s: Width = 3600,
    start_s: m.Time = 0.0,
    end_s: m.Time = 253402300799.0,
) -> m.Series:
    """Show one measure of a cohort over time, where enough of its devices reported it."""
    asked = metrics.Question(
        tenant=call.tenant, measure=measure, subject=subject, width_s=width_s, start_s=start_s, end_s=end_s
    )
    with call.hub.database.read() as connection:
        rows = metrics.of_cohort(connection, asked, cohort, call.gate.least_devices)
    return _series(asked, rows)


def _series(asked: metrics.Question, rows: list[Row[Any]]) -> m.Series:
    buckets = [m.Bucket.model_validate(row) for row in rows]
    return m.Series(measure=asked.measure, subject=asked.subject, width_s=asked.width_s, buckets=buckets)
