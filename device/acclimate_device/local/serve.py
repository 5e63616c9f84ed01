"""``acclimate serve``: an agent whose events and labels come from other programs on the device, until it is stopped.

They ask over a Unix socket, and over topics of a broker if one is named. SIGTERM and Ctrl-C end it: what is at hand
is answered, the agent learns what waits, makes it durable, and the socket is removed. A failure of the agent ends it
too, with an error, so that a service manager can start it anew.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from acclimate_device.agent import Agent
from acclimate_device.learning import Learning, living
from acclimate_device.local.bridge import Bridge
from acclimate_device.local.broker import Broker, link_to
from acclimate_device.local.limits import Limits
from acclimate_device.local.server import MODE, LocalServer
from acclimate_device.local.service import Service
from acclimate_device.service import attend
from acclimate_device.sync.start import linked

BEAT_S = 1.0  # between two looks at triggers, windows and the agent's health


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings(Learning):
    """How the agent learns and where it answers."""

    socket: Path
    mode: int = MODE
    group: str | None = None
    limits: Limits = field(default_factory=Limits)
    broker: Broker | None = None


def serve(settings: ServeSettings, *, ready: Callable[[], object] = bool) -> None:
    """Serve until stopped; under a service manager the loop that looks after the agent feeds the watchdog.

    Args:
        settings: of agent and socket.
        ready: called as soon as the socket answers.

    Raises:
        StateError, UsageError: see ``living`` and ``socket_file.bound``.
    """
    with living(settings) as agent, linked(agent) as uplink, _stop_signals() as stopped:
        service = Service(agent, settings.limits)
        if uplink is not None:
            service.link = lambda: "up" if uplink.link.connected else "down"
        server = LocalServer(settings.socket, service, settings.limits)
        server.start(mode=settings.mode, group=settings.group)
        bridge = _bridge(settings, service)
        try:
            ready()
            beats = _beats(agent, service, stopped)
            if not attend(agent, beats, period_s=BEAT_S):
                for _ in beats:
                    pass
        finally:
            if bridge is not None:
                bridge.close()
            server.close()


def _bridge(settings: ServeSettings, service: Service) -> Bridge | None:
    """Return what answers over topics, started; None without a broker."""
    broker = settings.broker
    if broker is None:
        return None
    made = Bridge(service, link_to(broker), broker.prefix, limits=settings.limits)
    made.start()
    return made


def _beats(agent: Agent, service: Service, stopped: threading.Event) -> Iterator[None]:
    """Look after the agent about once a second until it is stopped; raises what made it fail."""
    while not stopped.wait(BEAT_S) and service.failure is None:
        agent.tick()
        yield
    if service.failure is not None:
        raise service.failure


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Set an event at SIGINT and SIGTERM instead of dying of them."""
    stopped = threading.Event()

    def note(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stopped.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
