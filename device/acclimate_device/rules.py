"""What is decided about a contest beforehand, and what it says when something made a version."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from acclimate_device.gates import Limits
from acclimate_device.outside import BASE, Visitors
from acclimate_device.procedures import Procedure, told
from acclimate_shared.errors import UsageError
from acclimate_shared.evidence import Plan
from acclimate_shared.lineage import Proof

Policy = Literal["continual", "superiority"]

NONE = ("none",)
REHEARSE = 96  # rows at a commit
COMMISSION = 2048  # labels that the first champion learns before it is frozen
PARKED = "parked"
MADE = ("scratch", "merged")
GUESTS = (PARKED, *MADE)  # challengers that are no live candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How the contest is run.

    Attributes:
        policy: see ``acclimate_device.arena``.
        challengers: names of the candidates that may challenge; None for all that promise something, ("none",) for no
            contest at all.
        at_once: most tests that run at the same time.
        plan: None for the default of the task.
        commission: labels that the first champion learns before it is frozen, where nothing may serve that moves; an
            empty model has nothing that evidence could protect. 0 freezes it as it is. Counted in whole commits.
        scratch: commits between two trainings from scratch, 0 for none; see ``acclimate_device.scratch``.
        rehearse: rows of absent classes that are learned again at a commit, at most, 0 for none; see
            ``acclimate_device.rehearsal``.
        limits: that a candidate must keep.
        visitors: candidates from outside.
        variants: members beside the standard ones; see ``acclimate_device.variants``.
    """

    policy: Policy = "continual"
    challengers: tuple[str, ...] | None = None
    at_once: int = 3
    plan: Plan | None = None
    commission: int = COMMISSION
    scratch: int = 0
    rehearse: int = REHEARSE
    limits: Limits = field(default_factory=Limits)
    visitors: Visitors = field(default_factory=Visitors)
    variants: tuple[Procedure, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return what a state is tied to, beside the plan, which depends on the task."""
        return {
            "policy": self.policy,
            "commission": self.commission,
            "challengers": self.challengers and sorted(self.challengers),
            "scratch": self.scratch,
            "rehearse": self.rehearse,
            "variants": told(self.variants),
            **self.visitors.facts(),
        }

    def admits(self, kind: str) -> bool:
        """Return whether challengers of a kind that has no column of its own may challenge."""
        return self.challengers is None or kind in self.challengers

    def columns(self, live: Sequence[str]) -> list[int]:
        """Return the columns of the candidates that may challenge.

        Raises:
            UsageError: a name that is not among ``live``.
        """
        if self.challengers is None:
            return list(range(len(live)))
        for name in self.challengers:
            if name not in live and name not in GUESTS and self.challengers != NONE:
                remedy = f"use none, or some of {', '.join(live)}"
                raise UsageError("no such candidate", field="challengers", value=name, remedy=remedy)
        return [at for at, name in enumerate(live) if name in self.challengers or _is_base(name, self.challengers)]


EventKind = Literal["commit", "promote", "rollback", "override", "surgery", "forget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that made a version, for the lineage; see ``acclimate_shared.lineage.Change``."""

    kind: EventKind
    procedure: str  # digest of what serves from now on
    reason: str = ""
    who: str = ""
    plan: str = ""
    proof: Proof | None = None
    gates: dict[str, bool] = field(default_factory=dict)


def _is_base(name: str, challengers: tuple[str, ...]) -> bool:
    """Return whether a candidate is a released base, which may challenge wherever there is a contest."""
    return name.startswith(BASE) and challengers != NONE
