"""Routes of the lineage of the fleet and of the audit log."""

from typing import Annotated

from fastapi import APIRouter, Query

from acclimate_hub import limits
from acclimate_hub.api import models as m
from acclimate_hub.api.calls import Viewer
from acclimate_hub.api.devices import shown
from acclimate_hub.store import audit, lineage, tables
from acclimate_hub.store.paging import page
from acclimate_shared.errors import MissingError

router = APIRouter(tags=["records"])


@router.get("/lineage")
def list_nodes(
    call: Viewer,
    device: Annotated[
        str | None, Query(pattern=r"^([a-z0-9][a-z0-9\-]{0,62})?$", description="Empty: releases")
    ] = None,
    after: m.Cursor = None,
    limit: m.Limit = limits.PAGE_ROWS,
) -> m.Page[m.Node]:
    """List the versions of a device, of all, or the releases."""
    query = lineage.nodes(call.tenant, device)
    with call.hub.database.read() as connection:
        rows, cursor = page(connection, query, tables.lineage_versions.c.digest, after, limit)
    return m.Page(items=[m.Node.model_validate(row) for row in rows], next=cursor)


@router.get("/lineage/{digest}")
def family(call: Viewer, digest: m.DigestId) -> m.Family:
    """Show what a version or a release came from and what came of it, up to a page of each."""
    with call.hub.database.read() as connection:
        query = lineage.nodes(call.tenant).where(tables.lineage_versions.c.digest == digest)
        if connection.execute(query).first() is None:
            raise MissingError("there is no such version", field="digest", value=digest)
        up = lineage.ancestors(connection, call.tenant, digest, limits.MAX_PAGE_ROWS)
        down = lineage.descendants(connection, call.tenant, digest, limits.MAX_PAGE_ROWS)
    return m.Family(digest=digest, ancestors=up[1:], descendants=down[1:])


@router.get("/lineage/{digest}/devices")
def devices_running(
    call: Viewer, digest: m.DigestId, after: m.Cursor = None, limit: m.Limit = limits.PAGE_ROWS
) -> m.Page[m.Device]:
    """List the devices whose serving version descends from a release."""
    query = lineage.running(call.tenant, digest)
    with call.hub.database.read() as connection:
        rows, cursor = page(connection, query, tables.devices.c.device, after, limit)
    return m.Page(items=[shown(row) for row in rows], next=cursor)


@router.get("/audit")
def list_audit(
    call: Viewer, after: Annotated[int, Query(ge=0, le=2**53)] = 0, limit: m.Limit = limits.PAGE_ROWS
) -> m.Page[m.Entry]:
    """List who did what, oldest first; the cursor is a place in the log."""
    with call.hub.database.read() as connection:
        found = audit.entries(connection, call.tenant, after, limit)
    cursor = str(found[-1].place) if len(found) == limit else None
    return m.Page(items=[m.Entry.model_validate(entry) for entry in found], next=cursor)


@router.get("/audit/verification")
def verify_audit(
    call: Viewer,
    head: Annotated[str, Query(pattern="^([0-9a-f]{64})?$", description="One that was kept elsewhere")] = "",
) -> m.Verified:
    """Check the whole log; an entry that was changed, or a head that it never had, is an error."""
    with call.hub.database.read() as connection:
        count = audit.verify(connection, call.tenant, head)
        return m.Verified(entries=count, head=audit.head(connection, call.tenant))
