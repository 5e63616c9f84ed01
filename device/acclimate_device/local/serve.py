"""``acclimate serve``: an agent whose events and labels come from other programs on the device, until it is stopped.

SIGTERM and Ctrl-C end it: what is at hand is answered, the agent learns what waits, makes it durable, and the socket
is removed. A failure of the agent ends it too, with an error, so that a service manager can start it anew.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from acclimate_device.admission.policy import read_policy
from acclimate_device.agent import Agent
from acclimate_device.durability import Durability
from acclimate_device.local.limits import Limits
from acclimate_device.local.server import MODE, LocalServer
from acclimate_device.local.service import Service
from acclimate_device.plans import read_plan
from acclimate_device.procedures import Task
from acclimate_device.rules import COMMISSION, Policy, Rules
from acclimate_device.service import attend
from acclimate_device.sync.start import linked
from acclimate_device.triggers.files import read_triggers

BEAT_S = 1.0  # between two looks at triggers, windows and the agent's health


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """How the agent is made and where it answers."""

    socket: Path
    task: Task
    state: Path | None = None
    mode: int = MODE
    group: str | None = None
    limits: Limits = field(default_factory=Limits)
    key: str | None = None
    learners: tuple[str, ...] | None = None
    micro_batch: int = 512
    seed: int = 0
    policy: Policy = "continual"
    commission: int = COMMISSION
    challengers: tuple[str, ...] | None = None
    plan: Path | None = None
    triggers: str | None = None
    admission: Path | None = None
    durability: Durability = field(default_factory=Durability)


def agent_of(settings: ServeSettings) -> Agent:
    """Return the agent, which learns in a thread of its own.

    Raises:
        StateError: the state cannot be used.
        UsageError: an unknown learner or challenger, or a file that cannot be used.
    """
    return Agent(
        task=settings.task, learners=settings.learners, key=settings.key, seed=settings.seed,
        micro_batch=settings.micro_batch, state=settings.state, background=True,
        rules=Rules(
            policy=settings.policy, challengers=settings.challengers, commission=settings.commission,
            plan=read_plan(settings.plan, settings.task) if settings.plan else None,
        ),
        triggers=read_triggers(settings.triggers) if settings.triggers else None,
        durability=settings.durability,
        admission=read_policy(settings.admission) if settings.admission else None,
    )  # fmt: skip


def serve(settings: ServeSettings, *, ready: Callable[[], object] = bool) -> None:
    """Serve until stopped; under a service manager the loop that looks after the agent feeds the watchdog.

    Args:
        settings: of agent and socket.
        ready: called as soon as the socket answers.

    Raises:
        StateError, UsageError: see ``agent_of`` and ``socket_file.bound``.
    """
    with agent_of(settings) as agent, linked(agent) as uplink, _stop_signals() as stopped:
        service = Service(agent, settings.limits)
        if uplink is not None:
            service.link = lambda: "up" if uplink.link.connected else "down"
        server = LocalServer(settings.socket, service, settings.limits)
        server.start(mode=settings.mode, group=settings.group)
        try:
            ready()
            beats = _beats(agent, service, stopped)
            if not attend(agent, beats, period_s=BEAT_S):
                for _ in beats:
                    pass
        finally:
            server.close()


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
