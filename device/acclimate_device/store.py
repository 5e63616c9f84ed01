"""The one file that touches SQLite: checkpoints of an agent, encrypted, each a single transaction.

A checkpoint is a set of named tensors and named JSON documents. Tensors are addressed by a keyed digest of their
content, so one that did not change is not written again. The checkpoint before the last one is kept: if a record of the
last one is damaged, it serves. WAL mode, one writer, full sync: after a crash the last commit is there whole. A copy of
the file is made once a day; it takes over if the file itself is destroyed, which is set aside under another name.

Encrypted is all but messages that wait for the hub, see ``fleet_rows``, and the data key, wrapped by one from ``keys``.
"""

import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy.typing as npt

from acclimate_device import binding, fleet_rows, lineage_rows, pins, spare
from acclimate_device.keys import WrappingKey
from acclimate_device.migrations import OPEN_LINEAGE, seal_lineage
from acclimate_device.ring import Ring
from acclimate_device.store_tables import FILE, FORMAT, create, reseal_waiting
from acclimate_device.tensor_bytes import from_bytes, packed, to_bytes, unpacked
from acclimate_device.transactions import Transactions, translated
from acclimate_device.vault import Vault
from acclimate_shared.errors import CorruptStateError, StateError, StateMismatchError

Array = npt.NDArray[Any]
Saved = tuple[dict[str, Array], dict[str, Any]]
logger = logging.getLogger(__name__)

BUSY_S = 5.0  # how long to wait for another process that holds the file
MOST_LINES = 2**62  # of a lineage
REMEDY = "restore a copy"


class Store:
    """The state folder of one agent or replay."""

    def __init__(
        self, folder: Path, *, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.time
    ) -> None:
        """Open or create the state in ``folder``.

        Args:
            folder: of the state.
            environment: where keys are looked for, see ``keys``.
            clock: seconds since 1970.

        Raises:
            StateError: the folder cannot be used, another process has it open, or no key opens it.
            CorruptStateError: the file is damaged, and there is no copy.
            StateMismatchError: a newer version wrote it.
        """
        self.path = folder / FILE
        self.written = 0  # bytes, since it was opened
        self._unfoldable = 0  # bytes of the lineage when it was folded last, since it was opened
        self.trouble: list[str] = []  # what was found damaged, for people
        self._environment, self._clock = environment, clock
        try:
            self._open()
        except CorruptStateError as exc:
            self._fall_back(exc)

    def _open(self) -> None:
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as exc:
            raise translated(exc, self.path) from exc
        self._connection, self._turns = connection, Transactions(connection.execute)
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "locking_mode=EXCLUSIVE", "wal_autocheckpoint=0"):
                connection.execute(f"PRAGMA {pragma}")
            self._migrate()
        except (OSError, sqlite3.Error, StateError) as exc:
            connection.close()
            raise exc if isinstance(exc, StateError) else translated(exc, self.path) from exc

    def _fall_back(self, exc: CorruptStateError) -> None:
        """Let the copy serve in place of the damaged file, and open it; raise what was found if there is none."""
        with suppress(sqlite3.Error):
            self._connection.close()
        try:
            done = spare.put_copy_in_place(self.path)
        except OSError as failure:
            raise translated(failure, self.path) from exc
        if done is None:
            raise exc
        self._note(f"{exc.message}: {done}")
        self._open()

    def _note(self, text: str) -> None:
        logger.error("%s", text)
        self.trouble.append(text)

    def _migrate(self) -> None:
        tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found = self._meta("format") if "meta" in tables else None
        if found in {str(FORMAT), OPEN_LINEAGE}:
            owner, wraps = self._meta("owner") or "", self._meta("keys") or "{}"
            self.ring = Ring.opened(self.path.parent, owner, wraps, self._environment)
            if found == OPEN_LINEAGE:
                with self._overwriting():
                    seal_lineage(self._connection.execute, self.vault)
                self.copy()
            return
        if found is not None:
            remedy = "update acclimate, or use another folder"
            raise StateMismatchError("the state has another format", field="format", value=found, remedy=remedy)
        with self._overwriting():
            create(self._connection)
            self.ring = Ring.new(self.path.parent, self._environment)
            self._set("owner", self.ring.owner)
            self._set("keys", self.ring.stored([self.ring.key]))
            self._set("format", str(FORMAT))

    def rewrap(self, fresh: WrappingKey, *, only: bool) -> None:
        """Wrap the data key under a fresh wrapping key, beside the present one or in its place.

        Raises:
            StateError: the disk refuses; everything is as before.
        """
        with self._overwriting():
            self._set("keys", self.ring.stored([fresh] if only else [self.ring.key, fresh]))
        if only:
            self.ring = self.ring.under(fresh)
            self.copy()

    def rotate(self) -> None:
        """Encrypt everything under a new data key, in one transaction; the old key is overwritten.

        Only the last checkpoint is kept. The journal must be empty, since it is under the old key.

        Raises:
            StateError: the disk refuses; everything is as before.
        """
        saved, bound, before = self.load(), self.binding(), self.ring
        kept = pins.pinned(self._connection.execute)
        pinned = [earlier for generation, earlier in self.checkpoints() if generation in kept][::-1]
        try:
            with self._overwriting():
                pins.clear(self._connection.execute)
                self.ring = before.renewed()
                self._set("keys", self.ring.stored([self.ring.key]))
                for reseal in (fleet_rows.reseal, reseal_waiting, lineage_rows.reseal):
                    reseal(self._connection.execute, before.vault, self.ring.vault)
                if bound:
                    self._set("binding", binding.sealed(bound, self.ring.vault))
                for earlier in pinned:
                    self._write(*earlier, [], self.lines())
                    pins.pin(self._connection.execute)
                if saved:
                    self._write(*saved, [], self.lines())
        except BaseException:
            self.ring = before
            raise
        self.copy()

    def forget_key(self) -> None:
        """Overwrite the wrapped data key: from now on nobody can read what is in the file.

        Raises:
            StateError: the disk refuses.
        """
        with self._overwriting():
            self._set("keys", self.ring.stored([]))

    @contextmanager
    def _overwriting(self) -> Iterator[None]:
        """Make a transaction that overwrites what it deletes, in the file and in the WAL."""
        self._connection.execute("PRAGMA secure_delete=ON")
        try:
            with self._turns.one():
                yield
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.execute("PRAGMA secure_delete=OFF")
        except sqlite3.Error as exc:
            raise translated(exc, self.path) from exc

    @property
    def vault(self) -> Vault:
        """What seals the records of this folder."""
        return self.ring.vault

    def _meta(self, name: str) -> str | None:
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", [name]).fetchone()
        return None if row is None else str(row[0])

    def _set(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [name, value])

    def bind(self, facts: Mapping[str, Any]) -> None:
        """Tie a new state to what its results depend on, or check that an old one is tied to the same.

        Raises:
            StateMismatchError: naming the first fact that differs.
            StateError: the disk refuses.
        """
        bound = self.binding()
        if not bound:
            try:
                self._set("binding", binding.sealed(facts, self.ring.vault))
            except sqlite3.Error as exc:
                raise translated(exc, self.path) from exc
            return
        binding.check(bound, facts, self.path.parent)

    def binding(self) -> dict[str, Any]:
        """Return the facts that the state is tied to, empty if none.

        Raises:
            CorruptStateError: they are damaged.
        """
        sealed = self._meta("binding")
        return {} if sealed is None else binding.opened(sealed, self.vault)

    def commit(
        self,
        tensors: Mapping[str, Array],
        documents: Mapping[str, Any],
        lineage: Sequence[bytes] = (),
        *,
        after: int | None = None,
    ) -> None:
        """Write a checkpoint in one transaction; the one before the last leaves.

        Args:
            tensors: every tensor of the new checkpoint by name.
            documents: every JSON value by name.
            lineage: lines to be added to those that are there.
            after: lines that come before them, any others leave; None for all that are there.

        Raises:
            StateError: the disk refuses; the last checkpoint is still there.
        """
        before = self.lines() if after is None else after
        try:
            with self._turns.one():
                self._write(tensors, documents, lineage, before)
            self.written += self._turns.settle()
        except sqlite3.Error as exc:
            raise translated(exc, self.path) from exc
        with suppress(StateError):  # the checkpoint is safe; the rest is done another time
            self._unfoldable = lineage_rows.tidy(self, before, self._unfoldable)
            if abs(self._clock() - spare.copied_s(self.path)) >= spare.COPY_EVERY_S:
                self.copy()

    def _write(
        self, tensors: Mapping[str, Array], documents: Mapping[str, Any], lineage: Sequence[bytes], after: int
    ) -> None:
        execute = self._connection.execute
        last = execute("SELECT max(generation) FROM checkpoint").fetchone()[0] or 0
        generation = last + 1
        parts = {name: self._put(array, generation) for name, array in tensors.items()}
        kept = {"documents": dict(documents), "tensors": parts}
        text = json.dumps(kept, separators=(",", ":"), allow_nan=False)
        body = self.ring.vault.seal(f"checkpoint/{generation}", packed(text.encode()))
        execute("INSERT INTO checkpoint VALUES (?, ?)", [generation, body])
        lineage_rows.put(execute, self.vault, lineage, after)
        pins.prune(execute, generation)

    def _put(self, array: Array, generation: int) -> str:
        data = to_bytes(array)
        digest = self.ring.vault.digest(data)
        known = self._connection.execute("SELECT 1 FROM tensor WHERE digest = ?", [digest]).fetchone()
        if known is None:
            body = self.ring.vault.seal(f"tensor/{digest}", packed(data))
            self._connection.execute("INSERT INTO tensor VALUES (?, ?)", [digest, body])
        self._connection.execute("INSERT OR IGNORE INTO part VALUES (?, ?)", [generation, digest])
        return digest

    def load(self) -> Saved | None:
        """Return tensors and documents of the last checkpoint that is whole, None if there is none at all.

        Raises:
            CorruptStateError: every checkpoint is damaged, or something is missing.
        """
        try:
            return self._load()
        except CorruptStateError as exc:
            self._fall_back(exc)
            return self._load()

    def _load(self) -> Saved | None:
        first: CorruptStateError | None = None
        try:
            for generation, body in self._bodies():
                try:
                    return self._read(generation, body)
                except CorruptStateError as exc:
                    self._note(f"checkpoint {generation}: {exc.message} [{exc.field}]; the one before it is tried")
                    first = first or exc
        except sqlite3.Error as exc:
            raise translated(exc, self.path) from exc
        if first:
            raise first
        return None

    def _read(self, generation: int, body: bytes) -> Saved:
        kept = json.loads(unpacked(self.ring.vault.open(f"checkpoint/{generation}", body)))
        tensors = {}
        for name, digest in kept["tensors"].items():
            row = self._connection.execute("SELECT data FROM tensor WHERE digest = ?", [digest]).fetchone()
            if row is None:
                raise CorruptStateError("a tensor is missing", field=name, remedy=REMEDY)
            try:
                tensors[name] = from_bytes(unpacked(self.ring.vault.open(f"tensor/{digest}", row[0])))
            except CorruptStateError as exc:
                raise CorruptStateError("a tensor is damaged", field=name, remedy=REMEDY) from exc
        return tensors, kept["documents"]

    def pin(self) -> None:
        """Keep the last checkpoint for long, see ``pins``.

        Raises:
            StateError: the disk refuses.
        """
        with self.rows() as execute:
            pins.pin(execute)

    def checkpoints(self) -> Iterator[tuple[int, Saved]]:
        """Yield every checkpoint that is whole, with its number, the last one first."""
        for generation, body in self._bodies():
            with suppress(CorruptStateError):
                yield generation, self._read(generation, body)

    def _bodies(self) -> list[tuple[int, bytes]]:
        query = "SELECT generation, body FROM checkpoint ORDER BY generation DESC"
        with self._turns.guard:
            found: list[tuple[int, bytes]] = self._connection.execute(query).fetchall()
        return found

    def drop(self, generations: Sequence[int]) -> None:
        """Let go of checkpoints before their time, and overwrite them; never of the last one.

        Raises:
            StateError: the disk refuses.
        """
        with self._overwriting():
            pins.drop(self._connection.execute, generations)
        self.copy()

    def lines(self) -> int:
        """Return the place of the newest line of the lineage, 0 if there is none."""
        with self._turns.guard:
            return lineage_rows.newest(self._connection.execute)

    def lineage(self, place: int = MOST_LINES) -> bytes:
        """Return the lines of the lineage up to a place, all of them by default, oldest first."""
        with self._turns.guard:
            return lineage_rows.upto(self._connection.execute, self.vault, place)

    def lineage_after(self, place: int, most: int) -> list[tuple[int, bytes]]:
        """Return the next lines of the lineage after a place, at most so many, with their places."""
        with self._turns.guard:
            return lineage_rows.after(self._connection.execute, self.vault, place, most)

    def copy(self) -> None:
        """Make a copy of the file beside it, whole or not at all.

        Raises:
            StateError: the disk refuses.
        """
        fresh = self.path.with_name(spare.COPY + ".tmp")
        try:
            fresh.unlink(missing_ok=True)
            with self._turns.guard:
                self._connection.execute("VACUUM INTO ?", [str(fresh)])
            self.written += spare.keep_copy(self.path, fresh, self._clock())
        except (OSError, sqlite3.Error) as exc:
            raise translated(exc, self.path) from exc

    def bytes(self) -> int:
        """Return the size of the state on disk in bytes."""
        return sum(path.stat().st_size for path in self.path.parent.glob("acclimate.*"))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def rows(self) -> Iterator[fleet_rows.Execute]:
        """Make a transaction for rows beside the checkpoints, see ``fleet_rows``; any thread may.

        Raises:
            StateError: the disk refuses, or the state is closed.
        """
        try:
            with self._turns.one():
                yield self._connection.execute
            self.written += self._turns.settle(lazily=True)
        except sqlite3.Error as exc:
            raise translated(exc, self.path) from exc
