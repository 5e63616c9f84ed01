"""To make a state unreadable for ever, and to change its keys, while no agent runs.

Wiping destroys the wrapped data key first, everywhere it is stored, and proves that nothing opens any more with the
keys that were there; then every file of the state is overwritten and removed, base models, what was fetched and what is
trusted among them. Killed anywhere, it is repeated to the end.
"""

import os
import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from acclimate_device import keys, spare
from acclimate_device.control import reopen
from acclimate_device.journal import PREFIX
from acclimate_device.keys import KEY_FILE, NEXT
from acclimate_device.store import Store
from acclimate_device.store_tables import FILE
from acclimate_shared.durable import sync_folder
from acclimate_shared.errors import StateError, UsageError

OWN = "acclimate."  # how the files of a state begin
BESIDE = ("slots.*", ".slots.*", "bases", "trust", "bundles")  # other files and folders that an agent makes there
CHUNK_BYTES = 1_048_576

NO_PROMISE = (
    "flash memory keeps old blocks until it needs them: copies of the wrapped data key and of the key file may remain "
    "where only a laboratory reads them, and in backups, snapshots and journals of the file system. A key from the "
    "operating system's credential store, kept off this disk, is what protects against that."
)


def wipe(folder: Path, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Destroy a state; return what was destroyed, what was proven, and what cannot be promised.

    Args:
        folder: of the state; other files in it stay.
        environment: see ``keys``.

    Raises:
        UsageError: there is no state.
        StateError: an agent uses it, or the disk refuses; part of it may be destroyed already.
    """
    before = files = _files(folder)
    if not files:
        remedy = "name the folder that was given as --state"
        raise UsageError("no state here", field="state", value=str(folder), remedy=remedy)
    try:
        forgotten = _forget(folder, environment)
        files = _files(folder)
        order = sorted(files, key=lambda path: (path.name == FILE, not path.name.startswith(KEY_FILE), path.name))
        shut = forgotten and _shut(folder, environment)
        for path in order:
            destroy(path)
        _prune(folder)
        sync_folder(folder)
    except OSError as exc:
        message = f"the state cannot be destroyed: {exc.strerror}"
        raise StateError(message, field="state", value=str(folder), remedy="check disk and rights, and repeat") from exc
    left = [str(path.relative_to(folder)) for path in _files(folder)]
    return {
        "destroyed": sorted({str(path.relative_to(folder)) for path in [*before, *files]}),
        "left": left,
        "key_forgotten": forgotten,
        "proven_shut": shut or not left,
        "not_promised": NO_PROMISE,
    }


def _files(folder: Path) -> list[Path]:
    """Return the files of a state, those in its folders too."""
    if not folder.is_dir():
        return []
    found = [path for pattern in (OWN + "*", *BESIDE) for path in folder.glob(pattern)]
    return [file for path in found for file in [path, *path.rglob("*")] if file.is_file()]


def leftovers(folder: Path, journal: int) -> list[Path]:
    """Return files of a state at rest that it does not need: journals before one, and what was set aside."""
    old = [path for path in folder.glob(PREFIX + "*") if not _needed(path.name.removeprefix(PREFIX), journal)]
    return old + list(folder.glob(f"{OWN}*{spare.DAMAGED}*"))


def _needed(number: str, journal: int) -> bool:
    return number.isdigit() and int(number) >= journal


def clear(folder: Path) -> None:
    """Remove the files of a state that was never whole, without the care of ``wipe``."""
    for path in _files(folder):
        path.unlink(missing_ok=True)
    _prune(folder)


def _prune(folder: Path) -> None:
    """Remove the empty folders of a state."""
    for path in [path for pattern in BESIDE for path in folder.glob(pattern) if path.is_dir()]:
        shutil.rmtree(path)


def _forget(folder: Path, environment: Mapping[str, str]) -> bool:
    """Overwrite the wrapped key in the database; return whether there was one that opened."""
    if not (folder / FILE).is_file():
        return False
    for path in folder.glob(spare.COPY + "*"):
        destroy(path)  # first, so that nothing falls back to it
    try:
        with closing(Store(folder, environment=environment)) as store:
            store.forget_key()
    except StateError as exc:
        if "another process" in exc.message:
            raise
        return False  # nothing opens it: it is as good as destroyed already
    return True


def _shut(folder: Path, environment: Mapping[str, str]) -> bool:
    """Return whether the database refuses the keys that opened it a moment ago."""
    try:
        Store(folder, environment=environment).close()
    except StateError:
        return True
    return False


def destroy(path: Path) -> None:
    """Overwrite a file with zeros, make that durable, and remove it."""
    left = path.stat().st_size
    with path.open("r+b") as file:
        while left > 0:
            left -= file.write(bytes(min(left, CHUNK_BYTES)))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def rotate(folder: Path) -> None:
    """Encrypt everything under a new data key. Killed anywhere, the state opens, under one key or the other.

    An agent's journal is under the old key, so a checkpoint is made first.

    Raises:
        StateError: the state is in use or damaged, or the disk refuses.
    """
    with closing(Store(folder)) as store:
        agents = "members" in store.binding() and store.load() is not None
    if agents:
        with reopen(folder) as agent:
            agent.commit()
    with closing(Store(folder)) as store:
        store.rotate()


def rewrap(folder: Path, environment: Mapping[str, str] = os.environ) -> str:
    """Replace the wrapping key; return what the new one protects against.

    A credential of the operating system takes over from a key file; a key file is replaced by a new one. Killed
    anywhere, the state opens with what is there.

    Raises:
        UsageError: the credential is in use already; replace it where it comes from.
        StateError: the state is in use or damaged, or the disk refuses.
    """
    with closing(Store(folder, environment=environment)) as store:
        present, best = store.ring.key, keys.found(folder, environment)[0]
        if best.source == "credential":
            if present.source == "credential":
                remedy = "change it in the unit, with the old one given as ACCLIMATE_KEY_FILE for one start"
                raise UsageError("the key is a credential already", field="key", value="credential", remedy=remedy)
            store.rewrap(best, only=True)
            destroy(present.path)
            return best.protects
        path = present.path.with_name(present.path.name.removesuffix(NEXT))
        fresh = keys.make(path.with_name(path.name + NEXT), "file" if present.source == "file" else "folder")
        store.rewrap(fresh, only=False)
        fresh.path.replace(path)
        sync_folder(path.parent)
        moved = keys.WrappingKey(fresh.secret, fresh.source, path)
        store.rewrap(moved, only=True)
        return moved.protects
