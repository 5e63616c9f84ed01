"""From a state that is enrolled to an uplink that runs beside its agent; a state that is not stays alone."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from acclimate_device.agent import Agent
from acclimate_device.fleet_rows import FleetRows
from acclimate_device.sync import identity
from acclimate_device.sync.gauge import Gauge
from acclimate_device.sync.limits import LinkLimits, OutboxLimits, UplinkLimits
from acclimate_device.sync.outbox import Outbox
from acclimate_device.sync.renewal import Renewal
from acclimate_device.sync.twin import Twin
from acclimate_device.sync.uplink import Uplink
from acclimate_device.sync.wire import Address, Will
from acclimate_shared.errors import StateError

logger = logging.getLogger(__name__)


def uplink_of(
    agent: Agent,
    *,
    link: LinkLimits | None = None,
    outbox: OutboxLimits | None = None,
    uplink: UplinkLimits | None = None,
) -> Uplink | None:
    """Return an uplink for an agent, not started yet; None if its state is not enrolled.

    Args:
        agent: that keeps a state.
        link: limits of the connection; None for the default, as the next two.
        outbox: of what waits.
        uplink: of what is said.

    Raises:
        StateError: the state cannot be used.
    """
    store = agent.store
    who = identity.load(rows := FleetRows(store)) if store else None
    if store is None or who is None or not who.enrolled:
        return None
    from acclimate_device.sync.link import mqtt_link

    box = Outbox(rows, who.device, time.time, outbox)
    twin = Twin(rows, who.device, who.cohort, lambda: int(psutil.virtual_memory().available))
    renewal = Renewal(rows, who, time.time)

    def credentials() -> identity.Context:
        now = renewal.identity
        return identity.context(now.ca, now.certificate, now.key)

    def will() -> Will:
        return made.will()

    address = Address(host=who.host, port=who.port, client=who.device)
    made = Uplink(
        link=mqtt_link(address, credentials=credentials, will=will, limits=link),
        outbox=box,
        twin=twin,
        renewal=renewal,
        source=store,
        meter=Gauge(agent),
        limits=uplink,
    )
    return made


@contextmanager
def linked(agent: Agent) -> Iterator[Uplink | None]:
    """Keep an agent in touch with its hub for a while, if its state is enrolled; close this before the agent."""
    try:
        made = uplink_of(agent)
    except StateError as exc:
        logger.error("no link to the hub: %s", exc)  # noqa: TRY400 (the agent is whole without it)
        made = None
    if made:
        made.start()
    try:
        yield made
    finally:
        if made:
            made.close()
