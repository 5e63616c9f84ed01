"""One process that serves: the API, the worker at the broker, and the clock that forgets what is old."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from acclimate_hub.api.app import create
from acclimate_hub.broker import Link, Worker, evict
from acclimate_hub.conductor import Conductor
from acclimate_hub.hub import Hub
from acclimate_hub.ingest import Ingest
from acclimate_hub.limits import Retention
from acclimate_hub.pages import Desks, ServiceDesk
from acclimate_hub.shutting_out import ShuttingOut
from acclimate_hub.store import devices
from acclimate_hub.store.rollouts import SqlRollouts
from acclimate_shared.errors import LinkError, UsageError

logger = logging.getLogger(__name__)

FORGET_EVERY_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a process serves.

    Attributes:
        host: of the API, with its ``port``.
        tenant: whose broker is served.
        broker: ``HOST:PORT`` of its listener for the hub, empty for none.
        certificates: folder that ``broker-config`` has written.
        least_devices: that a view of a cohort needs.
        data: folder of the hub, whose releases are served; None for none.
        reload: command by which the broker reads its list of revoked certificates again; "" for none.
        blobs: URL of the bundles; "" for that folder.
        certificate: of API and pages, with its ``key``; None: no TLS, for this machine or behind what ends TLS.
    """

    host: str
    port: int
    tenant: str
    broker: str
    certificates: Path
    least_devices: int
    data: Path | None = None
    reload: str = ""
    blobs: str = ""
    certificate: Path | None = None
    key: Path | None = None

    def link(self) -> Link | None:
        """Return where the broker is.

        Raises:
            UsageError: it is not HOST:PORT.
        """
        if not self.broker:
            return None
        host, _, port = self.broker.rpartition(":")
        if not host or not port.isdecimal():
            raise UsageError("a broker is HOST:PORT", field="broker", value=self.broker)
        names = (self.certificates / name for name in ("ca.crt", "hub.crt", "hub.key"))
        ca, certificate, key = names
        return Link(host=host, port=int(port), ca=ca, certificate=certificate, key=key)


def application(hub: Hub, plan: Plan) -> FastAPI:
    """Return the API with its worker, which lives as long as the application.

    Raises:
        UsageError: the plan makes no sense.
        LinkError: the hub's certificate for the broker cannot be used.
        MissingError: there is no such tenant.
    """
    link = plan.link()
    hub.authority(plan.tenant)
    conductor = conductor_of(hub, plan)
    ingest = Ingest(hub, Retention(), [conductor.hear])
    if link is not None:
        link.context()
    shelves = partial(hub.shelf, folder=plan.data, blobs=plan.blobs) if plan.data else None
    app = create(hub, ingest=ingest, least_devices=plan.least_devices, desks=desks_of(hub), shelves=shelves)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_forget(ingest))]
        if link is not None:
            tasks.append(asyncio.create_task(Worker(hub, plan.tenant, link, ingest, conductor).run()))
            shutting_out = ShuttingOut(hub, plan.tenant, plan.certificates, plan.reload)
            tasks.append(asyncio.create_task(shutting_out.run(partial(evict, link))))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    app.router.lifespan_context = lifespan
    return app


def conductor_of(hub: Hub, plan: Plan) -> Conductor:
    """Return what conducts the rollouts of the plan's tenant.

    Raises:
        UsageError: the keys of its releases are of another secret, or their place makes no sense.
        StateError: the disk refuses.
    """

    def cohorts(names: Iterable[str]) -> dict[str, str]:
        with hub.database.read() as connection:
            return devices.cohorts(connection, plan.tenant, sorted(set(names)))

    shelf = hub.shelf(plan.tenant, plan.data, plan.blobs) if plan.data else None
    return Conductor(plan.tenant, hub.rollouts(plan.tenant), shelf, cohorts, hub.now)


def desks_of(hub: Hub) -> Desks:
    """Return what the pages ask about rollouts, from the database."""

    def desk(tenant: str) -> ServiceDesk:
        return ServiceDesk(hub.rollouts(tenant), SqlRollouts(hub.database, tenant))

    return desk


async def _forget(ingest: Ingest) -> None:
    while True:
        try:
            logger.info("%d old rows forgotten", await asyncio.to_thread(ingest.forget))
        except LinkError as exc:
            logger.warning("nothing is forgotten now: %s", exc)
        await asyncio.sleep(FORGET_EVERY_S)


def serve_forever(hub: Hub, plan: Plan) -> None:
    """Serve until the process is told to end.

    Raises:
        UsageError: the plan makes no sense, or its certificate for the API cannot be used.
        LinkError: the hub's certificate for the broker cannot be used.
    """
    _check_tls(plan)
    app = application(hub, plan)
    tls: dict[str, Any] = {"ssl_certfile": plan.certificate, "ssl_keyfile": plan.key}
    try:
        uvicorn.run(app, host=plan.host, port=plan.port, log_level="warning", server_header=False, **tls)
    finally:
        hub.close()


def _check_tls(plan: Plan) -> None:
    if plan.key is not None and plan.certificate is None:
        raise UsageError("a key has its certificate", field="certificate", remedy="give --certificate, too")
    try:
        if plan.certificate is not None:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(plan.certificate, plan.key)
    except OSError as exc:  # ssl.SSLError is one
        words, remedy = f"the certificate of the API cannot be used: {exc}", "give --certificate and --key, in PEM"
        raise UsageError(words, field="certificate", value=str(plan.certificate), remedy=remedy) from exc
