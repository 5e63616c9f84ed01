"""From a state that is enrolled to an uplink that runs beside its agent; a state that is not stays alone."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from acclimate_device.agent import Agent
from acclimate_device.fleet_rows import FleetRows
from acclimate_device.slots import Bases
from acclimate_device.sync import identity
from acclimate_device.sync.bins import Spread
from acclimate_device.sync.follow import Follower
from acclimate_device.sync.gauge import Gauge
from acclimate_device.sync.limits import FOLLOW_S, LinkLimits, OutboxLimits, UplinkLimits
from acclimate_device.sync.outbox import Outbox
from acclimate_device.sync.renewal import Renewal
from acclimate_device.sync.seats import AgentSeats
from acclimate_device.sync.twin import Twin
from acclimate_device.sync.update import Places, Received, facts_of_machine, receive
from acclimate_device.sync.uplink import Uplink
from acclimate_device.sync.wire import Address, Will
from acclimate_shared.errors import AcclimateError, StateError

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
        meter=Gauge(agent, features=Spread(agent, Bases(store.path.parent)).taken),
        limits=uplink,
    )
    return made


def follower_of(agent: Agent, uplink: Uplink) -> Follower | None:
    """Return what follows the rollouts of a hub, not started yet; None for a policy under which no base takes part.

    Raises:
        StateError: the state cannot be used.
    """
    store = agent.store
    if store is None or agent.policy != "continual":
        return None
    folder, device = store.path.parent, uplink.device
    places = Places.under(folder)

    def fetch(digest: str) -> Received:
        chunks = uplink.chunks(digest)
        try:
            return receive(uplink.metadata(), chunks, digest, places=places, facts=facts_of_machine())
        finally:
            chunks.close()

    seats = AgentSeats(agent, Bases(folder), fetch)
    made = Follower(device, FleetRows(store), seats, uplink.send)
    uplink.on_desired(made.desired)
    uplink.on_command(made.command)
    return made


def _follow(follower: Follower, uplink: Uplink, stopped: threading.Event) -> None:
    """Follow until stopped; whatever goes wrong changes no answer."""
    while not stopped.wait(FOLLOW_S):
        try:
            follower.step()
            running, wants = follower.answering()
            uplink.twin.runs(running)
            if wants:
                uplink.twin.differs(wants)
        except AcclimateError as exc:
            logger.warning("a rollout has to wait: %s", exc)
        except Exception:
            logger.exception("a fault while following a rollout; the agent goes on")


@contextmanager
def linked(agent: Agent) -> Iterator[Uplink | None]:
    """Keep an agent in touch with its hub for a while, if its state is enrolled; close this before the agent."""
    try:
        made = uplink_of(agent)
    except StateError as exc:
        logger.error("no link to the hub: %s", exc)  # noqa: TRY400 (the agent is whole without it)
        made = None
    stopped = threading.Event()
    follower = follower_of(agent, made) if made else None
    thread = threading.Thread(target=_follow, args=(follower, made, stopped), name="acclimate-rollouts", daemon=True)
    if made:
        made.start()
    if follower:
        thread.start()
    try:
        yield made
    finally:
        stopped.set()
        if follower:
            thread.join()
        if made:
            made.close()
