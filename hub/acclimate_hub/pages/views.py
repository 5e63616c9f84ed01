"""What the pages need of rollouts: a small seam, and how it stands on the service and its store.

``Desk`` is all that a page may ask or do about the rollouts of one tenant; ``ServiceDesk`` answers from ``Rollouts``
and its ``Store``. Who wires the application gives a function from a tenant to its desk.

Example:
    >>> desk = in_memory(lambda: 0.0)("main")
    >>> list(desk.all()), "abort" in ACTIONS
    ([], True)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from acclimate_hub.rollout import DeviceRow, Explanation, MemoryStore, Rollout, Rollouts, Store, Transition, explain
from acclimate_shared.errors import UsageError


class Desk(Protocol):
    """The rollouts of one tenant."""

    @property
    def audits(self) -> bool:
        """Whether ``act`` writes to the audit log itself; if not, the pages do."""

    def all(self) -> Sequence[Rollout]:
        """Return all, newest first, drafts before those that were started."""

    def get(self, name: str) -> Rollout:
        """Return one; raises UnknownRolloutError if there is none."""

    def rows(self, rollout: Rollout) -> Sequence[DeviceRow]:
        """Return the rows of its devices."""

    def row(self, rollout: Rollout, device: str) -> DeviceRow | None:
        """Return the row of one device."""

    def transitions(self, rollout: Rollout) -> Sequence[Transition]:
        """Return what happened to it, in order."""

    def explanation(self, rollout: Rollout) -> Explanation:
        """Return where it stands, in words and numbers."""

    def act(self, action: str, name: str, who: str, why: str) -> Rollout:
        """Do one of ``ACTIONS``; raises the errors of ``Rollouts``."""


Desks = Callable[[str], Desk]  # of a tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that people do to a rollout.

    Attributes:
        scope: that it needs.
        label: of its button; ``meaning``: what comes of it, before it is pressed.
        tone: class of the style sheet.
        done: what is said afterwards.
    """

    scope: str
    label: str
    meaning: str
    done: str
    tone: str = "plain"


#: In the order of their buttons; the names are those of ``rollout.machine``.
ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        "approve": Action(
            scope="releaser",
            label="Approve",
            meaning="The plan is right and the release may go out. It still has to be started.",
            done="Approved.",
            tone="good",
        ),
        "start": Action(
            scope="releaser",
            label="Start",
            meaning="The first wave opens at once.",
            done="Started.",
            tone="good",
        ),
        "resume": Action(
            scope="operator",
            label="Resume",
            meaning="The wave goes on. Its evidence starts anew.",
            done="Resumed.",
            tone="good",
        ),
        "pause": Action(
            scope="operator",
            label="Pause",
            meaning="No further device begins; those that run the new base keep it. Evidence of the wave is given up.",
            done="Paused.",
        ),
        "retry": Action(
            scope="operator",
            label="Retry failed",
            meaning="Devices that failed or went back try once more.",
            done="Devices that failed are told to try again.",
        ),
        "roll back": Action(
            scope="operator",
            label="Roll back",
            meaning="Every device returns to the previous model. This rollout cannot be taken up again.",
            done="Rolled back. Devices return to the previous model.",
            tone="bad",
        ),
        "abort": Action(
            scope="operator",
            label="Stop",
            meaning="It ends for good: whoever has the new base returns to the previous model, online devices at once.",
            done="Stopped. Devices return to the previous model.",
            tone="bad",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class ServiceDesk:
    """A desk on the service and its store."""

    service: Rollouts
    store: Store
    audits: bool = False

    def all(self) -> Sequence[Rollout]:
        """See ``Desk``."""
        return sorted(self.store.rollouts(), key=lambda one: (one.number == 0, one.number), reverse=True)

    def get(self, name: str) -> Rollout:
        """See ``Desk``."""
        return self.service.get(name)

    def rows(self, rollout: Rollout) -> Sequence[DeviceRow]:
        """See ``Desk``."""
        return list(self.store.devices(rollout.id))

    def row(self, rollout: Rollout, device: str) -> DeviceRow | None:
        """See ``Desk``."""
        return self.store.device(rollout.id, device)

    def transitions(self, rollout: Rollout) -> Sequence[Transition]:
        """See ``Desk``."""
        return list(self.store.transitions(rollout.id))

    def explanation(self, rollout: Rollout) -> Explanation:
        """See ``Desk``."""
        rows, outcomes = self.rows(rollout), self.service.outcomes(rollout)
        return explain(rollout, outcomes, rows, self.transitions(rollout))

    def act(self, action: str, name: str, who: str, why: str) -> Rollout:
        """See ``Desk``.

        Raises:
            UsageError: there is no such action.
        """
        acts = {
            "approve": self.service.approve,
            "start": self.service.start,
            "resume": self.service.resume,
            "pause": self.service.pause,
            "retry": self.service.retry,
            "roll back": self.service.roll_back,
            "abort": self.service.abort,
        }
        if action not in acts:
            raise UsageError("there is no such action", field="action", value=action, remedy=", ".join(acts))
        return acts[action](name, who, why)


def in_memory(now: Callable[[], float]) -> Desks:
    """Return desks whose rollouts end with the process: for a try-out and for tests."""
    desks: dict[str, ServiceDesk] = {}

    def desk(tenant: str) -> ServiceDesk:
        if tenant not in desks:
            store = MemoryStore()
            desks[tenant] = ServiceDesk(Rollouts(store, now), store)
        return desks[tenant]

    return desk
