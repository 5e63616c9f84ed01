"""The application: routes, errors as problems, a limit on bodies, and ``/metrics`` for Prometheus."""

from typing import Any

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from acclimate_hub import limits, pages
from acclimate_hub.api import aliases, devices, identity, problems, records, releases, rollouts
from acclimate_hub.api.calls import Gate, Shelves, Viewer
from acclimate_hub.hub import Hub
from acclimate_hub.identity.api_tokens import Caller
from acclimate_hub.identity.rates import Rates
from acclimate_hub.ingest import Ingest
from acclimate_hub.store import devices as device_rows
from acclimate_shared import __version__
from acclimate_shared.release import MAX_BUNDLE_BYTES

PREFIX = "/api/v1"


class _BodyLimit:
    """Ends a request whose body is too large, before it is in memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        count, most = 0, _most_bytes(scope)

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > most:
                raise HTTPException(413, f"a body has at most {most} bytes")
            return message

        await self._app(scope, counted if scope["type"] == "http" else receive, send)


def _most_bytes(scope: Scope) -> int:
    """Return the limit of a body; the long ones are read only after the token was checked."""
    method, path = scope.get("method", ""), scope.get("path", "")
    if method == "PUT" and path.startswith(f"{PREFIX}/bundles/"):
        return MAX_BUNDLE_BYTES
    return limits.MAX_RELEASE_BYTES if (method, path) == ("POST", f"{PREFIX}/releases") else limits.MAX_BODY_BYTES


def create(
    hub: Hub,
    *,
    ingest: Ingest | None = None,
    least_devices: int = 20,
    desks: pages.Desks | None = None,
    shelves: Shelves | None = None,
    operator: Caller | None = None,
) -> FastAPI:
    """Make the application of a hub.

    Args:
        hub: an open hub.
        ingest: whose counts ``/metrics`` shows.
        least_devices: that a view of a cohort needs; fewer would show single ones.
        desks: the rollouts of a tenant, for the pages; None: those of this process alone.
        shelves: the releases of a tenant; None: none are kept.
        operator: who calls without a token, see ``Gate``; never for an application that others can reach.
    """
    app = FastAPI(
        title="Acclimate hub",
        version=__version__,
        description="Enrol, observe and update a fleet of devices that keep learning.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.gate = Gate(hub, Rates(limits.API_RATE), Rates(limits.REFUSED_RATE), least_devices, operator, shelves)
    for module in (aliases, devices, identity, records, releases, rollouts):
        app.include_router(module.router, prefix=PREFIX, responses=problems.RESPONSES)
    problems.install(app)
    app.add_middleware(_BodyLimit)
    pages.mount(app, hub, desks or pages.in_memory(hub.now), least_devices=least_devices)

    @app.get("/metrics", responses=problems.RESPONSES, response_class=Response, tags=["metrics"])
    def prometheus(call: Viewer) -> Response:
        """Show the hub to Prometheus, as text."""
        return Response(_exposition(call.hub, call.tenant, ingest), media_type=CONTENT_TYPE_LATEST)

    return app


def _exposition(hub: Hub, tenant: str, ingest: Ingest | None) -> bytes:
    registry = CollectorRegistry()
    with hub.database.read() as connection:
        counts: dict[str, Any] = dict(device_rows.counts(connection, tenant))
    gauge = Gauge("acclimate_devices", "Devices by standing", ["tenant", "standing"], registry=registry)
    for standing, count in counts.items():
        gauge.labels(tenant, standing).set(count)
    if ingest is not None:
        messages = Gauge("acclimate_messages", "Messages of this process by fate", ["fate"], registry=registry)
        for fate in ("committed", "repeated", "refused"):
            messages.labels(fate).set(ingest.counts[fate])
    return generate_latest(registry)
