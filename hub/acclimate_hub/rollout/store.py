"""What a rollout needs of a store; `memory.MemoryStore` is its twin for tests and simulation.

Each ``swap`` is a compare-and-set in one transaction: it takes the new record only in place of the version that it was
made from, one less (version 1: only if there is none yet), and says whether it did.
"""

from collections.abc import Iterable
from typing import Protocol

from acclimate_hub.rollout.records import DeviceRow, Rollout, Transition
from acclimate_shared.rollout_reports import BlockReport


class Store(Protocol):
    """The seam; every method is atomic."""

    def rollout(self, name: str) -> Rollout | None:
        """Return a rollout."""

    def rollouts(self) -> Iterable[Rollout]:
        """Return all, in order of number and id."""

    def swap(self, new: Rollout, transition: Transition | None) -> bool:
        """Take a rollout in place of the version before it, and with it the record of its transition, or neither.

        It is refused, too, if another rollout has its number (0, not started, may be many): of two that are started
        at once the second must look again.
        """

    def transitions(self, rollout: str) -> Iterable[Transition]:
        """Return the transitions of a rollout, in order."""

    def device(self, rollout: str, device: str) -> DeviceRow | None:
        """Return the row of a device."""

    def devices(self, rollout: str) -> Iterable[DeviceRow]:
        """Return the rows of a rollout."""

    def swap_device(self, new: DeviceRow) -> bool:
        """Take a row in place of the version before it."""

    def add_block(self, report: BlockReport) -> bool:
        """Keep a report unless there is one of its (rollout, stage, device, block); return whether it was kept."""

    def blocks(self, rollout: str, block: int) -> Iterable[BlockReport]:
        """Return the reports of a time block."""

    def drop_blocks(self, rollout: str, before: int) -> None:
        """Forget the reports of the time blocks before this one."""
