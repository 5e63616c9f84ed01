"""The store of rollouts in memory: for tests, simulations and a try-out; nothing survives the process.

Example:
    >>> store = MemoryStore()
    >>> list(store.rollouts()), store.rollout("r1") is None
    ([], True)
"""

import threading
from collections.abc import Iterable

from acclimate_hub.rollout.records import DeviceRow, Rollout, Transition
from acclimate_shared.rollout_reports import BlockReport


class MemoryStore:
    """See `Store`; one lock makes every method atomic."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._rollouts: dict[str, Rollout] = {}
        self._transitions: dict[str, list[Transition]] = {}
        self._devices: dict[str, dict[str, DeviceRow]] = {}
        self._blocks: dict[tuple[str, int], dict[tuple[str, str], BlockReport]] = {}

    def rollout(self, name: str) -> Rollout | None:
        """Return a rollout."""
        return self._rollouts.get(name)

    def rollouts(self) -> Iterable[Rollout]:
        """Return all, in order of number and id."""
        return sorted(self._rollouts.values(), key=lambda rollout: (rollout.number, rollout.id))

    def swap(self, new: Rollout, transition: Transition | None) -> bool:
        """Take a rollout in place of the version before it."""
        with self._lock:
            old = self._rollouts.get(new.id)
            if (old.version if old else 0) != new.version - 1:
                return False
            if new.number and any(r.number == new.number for r in self._rollouts.values() if r.id != new.id):
                return False
            self._rollouts[new.id] = new
            if transition is not None:
                self._transitions.setdefault(new.id, []).append(transition)
            return True

    def transitions(self, rollout: str) -> Iterable[Transition]:
        """Return the transitions of a rollout, in order."""
        return tuple(self._transitions.get(rollout, ()))

    def device(self, rollout: str, device: str) -> DeviceRow | None:
        """Return the row of a device."""
        return self._devices.get(rollout, {}).get(device)

    def devices(self, rollout: str) -> Iterable[DeviceRow]:
        """Return the rows of a rollout."""
        return tuple(self._devices.get(rollout, {}).values())

    def swap_device(self, new: DeviceRow) -> bool:
        """Take a row in place of the version before it."""
        with self._lock:
            rows = self._devices.setdefault(new.rollout, {})
            old = rows.get(new.device)
            if (old.version if old else 0) != new.version - 1:
                return False
            rows[new.device] = new
            return True

    def add_block(self, report: BlockReport) -> bool:
        """Keep a block report unless there is one already."""
        with self._lock:
            kept = self._blocks.setdefault((report.rollout, report.block), {})
            key = (report.stage, report.device)
            if key in kept:
                return False
            kept[key] = report
            return True

    def blocks(self, rollout: str, block: int) -> Iterable[BlockReport]:
        """Return the reports of a time block."""
        with self._lock:
            return tuple(self._blocks.get((rollout, block), {}).values())

    def drop_blocks(self, rollout: str, before: int) -> None:
        """Forget the reports of the time blocks before this one."""
        with self._lock:
            for key in [key for key in self._blocks if key[0] == rollout and key[1] < before]:
                del self._blocks[key]
