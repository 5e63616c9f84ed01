"""The files beside the database: its daily copy, and what was found damaged and set aside."""

import logging
import os
import time
from pathlib import Path

from acclimate_shared.durable import sync_folder

logger = logging.getLogger(__name__)

COPY = "acclimate.copy.db"
DAMAGED = ".damaged-"  # and a number: a file that was set aside
MOST_ASIDE = 8  # of them in a folder: a failing disk must not fill itself with what it has spoilt
COPY_EVERY_S = 86_400.0  # between two copies of the database, seconds


def copied_s(database: Path) -> float:
    """Return when the copy of a database was made, seconds since 1970; long ago if there is none."""
    copy = database.with_name(COPY)
    return copy.stat().st_mtime if copy.is_file() else float("-inf")


def keep_copy(database: Path, fresh: Path, now_s: float) -> int:
    """Let a freshly written file be the copy of a database; return its bytes.

    Raises:
        OSError: the disk refuses.
    """
    _sync(fresh)
    os.utime(fresh, (now_s, now_s))
    fresh.replace(database.with_name(COPY))
    sync_folder(database.parent)
    return database.with_name(COPY).stat().st_size


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that it is out of the way but not lost; return its new path.

    Of those that were set aside earlier the MOST_ASIDE latest are kept; others are removed, and named in the log.

    Raises:
        OSError: the disk refuses.
    """
    there = path.parent.glob(path.name + DAMAGED + "*")
    number = 1 + max((int(one.name.rpartition("-")[2]) for one in there if one.name[-1].isdecimal()), default=0)
    aside = path.with_name(f"{path.name}{DAMAGED}{number}")
    os.utime(path)
    path.replace(aside)
    _forget_oldest(path.parent)
    sync_folder(path.parent)
    return aside


def _forget_oldest(folder: Path) -> None:
    """Remove what was set aside long ago."""
    there = sorted(folder.glob(f"*{DAMAGED}*"), key=lambda one: (one.stat().st_mtime_ns, one.name))
    for old in there[:-MOST_ASIDE]:
        old.unlink()
        logger.warning("removed %s: %d damaged files are kept", old.name, MOST_ASIDE)


def put_copy_in_place(database: Path) -> str | None:
    """Set a damaged database aside and let its copy serve; return what was done, None if there is no copy.

    Raises:
        OSError: the disk refuses.
    """
    copy = database.with_name(COPY)
    if not copy.is_file():
        return None
    fresh = database.with_name(database.name + ".tmp")
    fresh.write_bytes(copy.read_bytes())
    _sync(fresh)
    for ending in ("-wal", "-shm"):
        database.with_name(database.name + ending).unlink(missing_ok=True)
    aside = set_aside(database)
    fresh.replace(database)
    sync_folder(database.parent)
    made = time.strftime("%Y-%m-%d %H:%M", time.gmtime(copy.stat().st_mtime))
    return f"set aside as {aside.name}; the copy of {made} UTC serves"


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
