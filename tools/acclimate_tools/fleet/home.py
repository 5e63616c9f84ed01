"""Where a simulated device keeps what it must not forget: a small database of its own, which survives a kill.

What it ever put into its outbox is written down beside, by a trigger inside the same transaction, so that at the end
everything can be compared with what the hub has.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from acclimate_device.fleet_rows import CURSOR, Cursor, Execute, FleetRows
from acclimate_device.vault import KEY_BYTES, Vault

_TALLY = """
CREATE TABLE IF NOT EXISTS told (boot TEXT NOT NULL, sequence INTEGER NOT NULL, kind TEXT NOT NULL,
    PRIMARY KEY (boot, sequence)) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS tell AFTER INSERT ON outbox BEGIN
    INSERT INTO told VALUES (new.boot, new.sequence, new.kind); END;
CREATE TABLE IF NOT EXISTS lineage (place INTEGER PRIMARY KEY, line BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS seat (digest TEXT PRIMARY KEY, serves INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Told:
    """One message that a device put into its outbox, whether the hub has it or not."""

    boot: str
    sequence: int
    kind: str


class SmallHome:
    """See ``fleet_rows.Home``; also the committed lineage of the device, as ``outbox.Source``."""

    def __init__(self, file: Path) -> None:
        """Open the database of a device, or make it.

        Nothing is flushed to the disk: a killed process loses nothing by that, and thousands of devices on one disk
        would measure the disk.
        """
        self.vault = Vault(bytes(KEY_BYTES), file.stem)
        self._lock = threading.RLock()
        self._rows = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-64"):
            self._rows.execute(statement)
        self.fleet_rows = FleetRows(self)
        self._rows.executescript(_TALLY)

    @contextmanager
    def rows(self) -> Iterator[Execute]:
        """Make a transaction."""
        with self._lock:
            self._rows.execute("BEGIN IMMEDIATE")
            try:
                yield self._rows.execute
            except BaseException:
                self._rows.execute("ROLLBACK")
                raise
            self._rows.execute("COMMIT")

    # -- lineage ------------------------------------------------------------------------------------------------

    def append(self, line: bytes) -> None:
        """Add a record to the lineage."""
        with self.rows() as execute:
            execute("INSERT INTO lineage (line) VALUES (?)", [line])

    def lines(self) -> int:
        """See ``outbox.Source``."""
        with self._lock:
            return int(self._rows.execute("SELECT coalesce(max(place), 0) FROM lineage").fetchone()[0])

    def lineage_after(self, place: int, most: int) -> list[tuple[int, bytes]]:
        """See ``outbox.Source``."""
        with self._lock:
            query = "SELECT place, line FROM lineage WHERE place > ? ORDER BY place LIMIT ?"
            return [(int(at), bytes(line)) for at, line in self._rows.execute(query, [place, most])]

    def taken(self) -> int:
        """Return the place up to which the lineage has become messages."""
        kept = self.fleet_rows.fact(CURSOR)
        return msgspec.msgpack.decode(kept, type=Cursor).place if kept else 0

    # -- seats --------------------------------------------------------------------------------------------------

    def seats(self) -> dict[str, bool]:
        """Return the bases that take part, and whether each serves."""
        with self._lock:
            return {digest: bool(serves) for digest, serves in self._rows.execute("SELECT * FROM seat")}

    def keep_seat(self, digest: str, *, serves: bool) -> None:
        """Note that a base takes part."""
        with self.rows() as execute:
            execute("INSERT OR REPLACE INTO seat VALUES (?, ?)", [digest, int(serves)])

    def leave_seat(self, digest: str) -> None:
        """Note that a base takes part no longer."""
        with self.rows() as execute:
            execute("DELETE FROM seat WHERE digest = ?", [digest])

    # -- the end ------------------------------------------------------------------------------------------------

    def told(self) -> list[Told]:
        """Return all that was ever put into the outbox."""
        with self._lock:
            return [Told(*row) for row in self._rows.execute("SELECT boot, sequence, kind FROM told")]

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._rows.close()
