"""Two slots for base models: the current one, and one that is on trial or was current before.

A released base first takes part in shadow, in a process of its own. Before it runs in the agent's own process, where a
crash would be the agent's, its slot is marked, durably, as on *trial*. Every start that finds a trial which did not end
cleanly counts it, before anything of the base is loaded, as a boot loader counts attempts; so does every gate that is
shut when the base has won. After TRIES of them the slot has *failed*: the base is not loaded any more, what served
before serves, and the digest is not tried again until a person says so. TRIAL_COMMITS healthy commits *confirm* a base:
it is the current one, and the one before stays in the other slot.

A power cut in a trial counts as a crash: nothing can tell one from the other.
"""

import contextlib
import fcntl
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from acclimate_device.outside import Base, names_of_base
from acclimate_device.rebase import fits
from acclimate_device.slot import MAX_BYTES, Slot, Slots, SlotState, parsed
from acclimate_shared.constraints import CONSTRAINTS, Constraints, read_constraints, write_constraints
from acclimate_shared.durable import write_file
from acclimate_shared.errors import AcclimateError, CorruptStateError, StateError, UsageError
from acclimate_shared.learner import LearnerPackage, load_package, save_package

logger = logging.getLogger(__name__)

TRIES = 3  # trials that may end badly
TRIAL_COMMITS = 8  # in one life of the agent, with the base in its process
DIGEST = re.compile("[0-9a-f]{64}")
DOCUMENT, LOCK, PACKAGES = "slots.json", "slots.lock", "bases"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How a base fares in an agent, see ``Operations.health``.

    Attributes:
        inside: whether it runs in the agent's process.
        quarantined: why it takes part no longer, "" if it does.
        shut: gates that were shut when it had won, each as the row of the contest and its name.
    """

    inside: bool
    quarantined: str
    shut: tuple[tuple[int, str], ...] = ()


class Bases:
    """The slots of a state folder; several processes may look, and change them one after the other."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        """Look after the slots of a state.

        Args:
            folder: of the state.
            now: seconds since 1970.
        """
        self._folder, self._now = folder, now
        self._begun = False
        self._commits: dict[str, int] = {}  # commits of the agent when a trial was first seen in this life

    # -- looking ------------------------------------------------------------------------------------------------

    def read(self) -> Slots:
        """Return the slots; a document that cannot be read is set aside, for the agent must start without it."""
        path = self._folder / DOCUMENT
        try:
            with path.open("rb") as file:
                return parsed(file.read(MAX_BYTES))
        except FileNotFoundError:
            return Slots()
        except CorruptStateError:
            pass
        except OSError as exc:
            raise StateError(f"the slots cannot be read: {exc}", field="slots", value=str(path)) from exc
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        logger.error("the document of the base models is damaged: it was put aside as %s", aside.name)
        return Slots()

    def told(self) -> dict[str, Any]:
        """Return the slots for people and programs."""
        found: dict[str, Any] = msgspec.to_builtins(self.read())
        return {place: found[place] for place in ("current", "other")}

    def package(self, digest: str) -> Path:
        """Return the folder of the package of a base."""
        return self._folder / PACKAGES / digest

    def present(self) -> list[Base]:
        """Return the bases that take part, without counting a start: for a look at a state at rest."""
        return self._present(self.read())

    def _present(self, slots: Slots) -> list[Base]:
        plain = [Base(slot.digest, self.package(slot.digest)) for slot in slots.usable]
        return plain + [Base(slot.digest, self.package(slot.digest), slot.on) for slot in slots.usable if slot.on]

    def packages(self) -> dict[str, LearnerPackage]:
        """Return the packages of the bases that may be loaded, by digest; one that is damaged is left out."""
        found = {}
        for slot in self.read().usable:
            with contextlib.suppress(AcclimateError):
                found[slot.digest] = load_package(self.package(slot.digest))
        return found

    def needs(self, digest: str) -> Constraints | None:
        """Return what was signed about the devices of a base; None if it is not known, or damaged."""
        with contextlib.suppress(AcclimateError, OSError):
            return read_constraints((self.package(digest) / CONSTRAINTS).read_bytes())
        return None

    # -- changing -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Keep other processes from changing the slots meanwhile.

        Raises:
            StateError: the disk refuses.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / LOCK).open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as exc:
            raise StateError(f"the slots cannot be kept: {exc}", field="slots", value=str(self._folder)) from exc

    def _write(self, slots: Slots) -> None:
        write_file(self._folder / DOCUMENT, msgspec.json.format(msgspec.json.encode(slots)))

    def _moved(self, slot: Slot, state: SlotState, **changes: Any) -> Slot:  # noqa: ANN401
        return msgspec.structs.replace(slot, state=state, since_s=self._now(), **changes)

    def install(
        self,
        digest: str,
        package: LearnerPackage,
        *,
        model: str,
        version: str,
        needs: Constraints | None = None,
        again: bool = False,
    ) -> Slot:
        """Put a verified base into the slot that is not current; return what is there now.

        Args:
            digest: of the bundle.
            package: its learner.
            model: as it was signed.
            version: likewise.
            needs: what was signed about its devices.
            again: try it, even if it has failed here.

        Raises:
            UsageError: it has failed here before.
            StateError: the disk refuses; the slots are what they were.
        """
        with self._changing():
            slots = self.read()
            known = slots.of(digest)
            if known and known.state != "failed":
                return known
            if known and not again:
                remedy = "give --retry to try it again"
                raise UsageError(f"this base has failed here: {known.reason}", field="digest", value=digest,
                                 remedy=remedy)  # fmt: skip
            self._unpack(digest, package, needs)
            on = self._before(slots, package)
            slot = Slot(digest=digest, model=model, version=version, since_s=self._now(), on=on)
            self._write(slots.put(slot))
            self._forget(keep=[one.digest for one in (slots.put(slot).current, slot) if one])
            return slot

    def _before(self, slots: Slots, package: LearnerPackage) -> str:
        """Return the current base, if what was learned from it here may be added to a new one."""
        current = slots.current
        with contextlib.suppress(AcclimateError):
            if current and fits(package, load_package(self.package(current.digest))):
                return current.digest
        return ""

    def _unpack(self, digest: str, package: LearnerPackage, needs: Constraints | None) -> None:
        part = self.package(digest).with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        save_package(package, part)
        if needs:
            write_file(part / CONSTRAINTS, write_constraints(needs))
        shutil.rmtree(self.package(digest), ignore_errors=True)
        part.rename(self.package(digest))

    def _forget(self, keep: Sequence[str]) -> None:
        for folder in (self._folder / PACKAGES).iterdir():
            if folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)

    def put(
        self, slots: Slots, packages: Mapping[str, LearnerPackage], needs: Mapping[str, Constraints] | None = None
    ) -> None:
        """Fill the slots of a folder that has none, as they were in another; a base without its package is damaged.

        Args:
            slots: all of them.
            packages: of the bases, by digest.
            needs: what was signed about the devices of some of them, likewise.

        Raises:
            PackageError: a package is not valid.
            CorruptStateError: a digest is none.
            StateError: the disk refuses.
        """
        digests = [*packages, *(slot.digest for slot in (slots.current, slots.other) if slot)]
        if not all(DIGEST.fullmatch(digest) for digest in digests):
            raise CorruptStateError("the digest of a base makes no sense", field="slots", remedy="export it anew")
        with self._changing():
            for digest, package in packages.items():
                self._unpack(digest, package, (needs or {}).get(digest))
            self._write(slots)

    def withdraw(self, why: str) -> Slot:
        """Take the base that is on its way, or else the current one, out of service; return the failed slot.

        The one before becomes the current one.

        Raises:
            UsageError: there is none, or no reason.
            StateError: the disk refuses.
        """
        if not why.strip():
            raise UsageError("this needs a reason", field="why", value=why, remedy="say why, for the record")
        with self._changing():
            slots = self.read()
            waiting = slots.other if slots.other and slots.other.state in {"shadow", "trial"} else None
            slot = waiting or slots.current
            if slot is None:
                raise UsageError("there is no base model here", field="state", value=str(self._folder))
            return self._out(slots, slot, why)

    def _out(self, slots: Slots, slot: Slot, why: str) -> Slot:
        gone = self._moved(slot, "failed", reason=why, running=False)
        before = slots.other if slots.other and slots.other.state == "confirmed" else None
        current = slots.current and slots.current.digest == slot.digest
        self._write(Slots(current=before, other=gone) if current else slots.put(gone))
        return gone

    def fail(self, digest: str, why: str) -> None:
        """Take a base out of service, wherever it is; nothing if it is there no more.

        Raises:
            StateError: the disk refuses.
        """
        with self._changing():
            slots = self.read()
            slot = slots.of(digest)
            if slot is not None and slot.state != "failed":
                self._out(slots, slot, why)

    def replaces(self, digest: str, before: str) -> None:
        """Note who served when a base was let in to serve.

        Raises:
            StateError: the disk refuses.
        """
        with self._changing():
            slots = self.read()
            if slot := slots.of(digest):
                self._write(slots.put(msgspec.structs.replace(slot, before=before)))

    # -- a life of the agent ------------------------------------------------------------------------------------

    def begin(self) -> list[Base]:
        """Count trials that did not end, before anything is loaded; return the bases that may take part.

        Raises:
            StateError: the disk refuses: without a count nothing on trial may be loaded.
        """
        with self._changing():
            before = slots = self.read()
            for slot in slots.usable:
                slots = slots.put(self._started(slot))
            if slots != before:
                self._write(slots)
        self._begun = True
        return self._present(slots)

    def _started(self, slot: Slot) -> Slot:
        """Return a slot at the start of an agent."""
        try:
            load_package(self.package(slot.digest))
        except AcclimateError as exc:
            return self._failed(slot, f"its package is damaged: {exc.message}")
        if slot.state != "trial":
            return slot
        counted = self._tried(slot, "the agent did not end cleanly while it was on trial") if slot.running else slot
        return counted if counted.state == "failed" else msgspec.structs.replace(counted, running=True)

    def _tried(self, slot: Slot, reason: str) -> Slot:
        tries = slot.tries + 1
        if tries >= TRIES:
            return self._failed(slot, f"{reason}, {tries} times", tries=tries)
        logger.warning("base %s %s: %s (%d of %d)", slot.model, slot.version, reason, tries, TRIES)
        return msgspec.structs.replace(slot, tries=tries, reason=reason)

    def _failed(self, slot: Slot, reason: str, **changes: Any) -> Slot:  # noqa: ANN401
        logger.error("base %s %s has failed: %s", slot.model, slot.version, reason)
        return self._moved(slot, "failed", reason=reason, running=False, **changes)

    def entering(self, name: str) -> None:
        """Note that a base is about to run in the agent's own process; see ``Visitors.entering``.

        Raises:
            StateError: the disk refuses: it must not enter.
        """
        self._change(name, lambda slot: self._moved(slot, "trial", running=True) if slot.state == "shadow" else slot)

    def _change(self, name: str, change: Callable[[Slot], Slot]) -> None:
        with self._changing():
            slots = self.read()
            for slot in slots.usable:
                if name in names_of_base(slot.digest) and (changed := change(slot)) != slot:
                    self._write(slots.put(changed))

    def attend(self, health: Mapping[str, Health], commits: int, unfit: str = "") -> list[Base]:
        """Take note of how bases fare; return those that are to take part from now on.

        Args:
            health: of each that takes part, by the id of its candidate.
            commits: of the agent so far.
            unfit: why the agent could not take them, "" if it could.

        Raises:
            StateError: the disk refuses.
        """
        with self._changing():
            before = slots = self.read()
            for slot in slots.usable:
                plain, rebased = names_of_base(slot.digest)
                if plain in health:
                    slots = slots.put(self._both_fare(slot, health[plain], health.get(rebased), commits))
                elif unfit:
                    slots = slots.put(self._failed(slot, unfit))
            other = slots.other
            if other and other.state == "confirmed" and not (before.other and before.other.state == "confirmed"):
                slots = Slots(current=other, other=slots.current)
            if slots != before:
                self._write(slots)
        return self._present(slots)

    def _both_fare(self, slot: Slot, plain: Health, other: Health | None, commits: int) -> Slot:
        """Note how a base fares that may be two candidates; the one with local learning may leave alone."""
        if other is None:
            return self._fares(slot, plain, commits)
        if other.quarantined:
            logger.warning(
                "base %s %s with local learning is left out: %s", slot.model, slot.version, other.quarantined
            )
            slot = msgspec.structs.replace(slot, on="")
        inside, shut = plain.inside or other.inside, tuple(sorted({*plain.shut, *other.shut}))
        return self._fares(slot, Health(inside=inside, quarantined=plain.quarantined, shut=shut), commits)

    def _fares(self, slot: Slot, health: Health, commits: int) -> Slot:
        if health.quarantined:
            return self._failed(slot, health.quarantined)
        for row, gate in health.shut:
            if row > slot.heard and slot.state != "failed":
                slot = msgspec.structs.replace(self._tried(slot, f"gate {gate} was shut"), heard=row)
        if slot.state != "trial" or not health.inside:
            return slot
        since = self._commits.setdefault(slot.digest, commits)
        if commits - since < TRIAL_COMMITS:
            return slot
        logger.info("base %s %s is confirmed", slot.model, slot.version)
        return self._moved(slot, "confirmed", running=False, tries=0, reason="")

    def end(self) -> None:
        """Note that the agent has ended cleanly."""
        if not self._begun:
            return
        self._begun = False
        with self._changing():
            before = slots = self.read()
            for slot in slots.usable:
                slots = slots.put(msgspec.structs.replace(slot, running=False))
            if slots != before:
                self._write(slots)
