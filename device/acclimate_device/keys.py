"""Where the key that wraps the data key comes from: the operating system, or a file.

Order: a systemd credential ``acclimate-key`` (``LoadCredentialEncrypted=`` in the unit; bound to the TPM where there
is one); the file that ``ACCLIMATE_KEY_FILE`` names; ``acclimate.key`` in the state folder, made at the first start.
What each of them is good for is said aloud, see ``WrappingKey.protects``.
"""

import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from acclimate_device.vault import derived
from acclimate_shared.durable import sync_folder
from acclimate_shared.errors import StateError

CREDENTIAL = "acclimate-key"
KEY_FILE = "acclimate.key"
NEXT = ".next"  # of a key file that is being replaced
SECRET_BYTES = 32
LEAST_BYTES, MOST_BYTES = 16, 65_536  # of a secret that somebody else made

_PROTECTS = {
    "credential": "a copy of the disk without this machine's credential store",
    "file": "a copy of the database without the key file, which must lie on another disk to protect against theft",
    "folder": "a copy of the database without the key file beside it; not against theft of the disk or the folder",
}


@dataclass(frozen=True, slots=True)
class WrappingKey:
    """A secret and where it came from."""

    secret: bytes
    source: Literal["credential", "file", "folder"]
    path: Path

    def __repr__(self) -> str:
        """Return the source alone, never the secret."""
        return f"WrappingKey({self.source})"

    @property
    def name(self) -> str:
        """Return what identifies the secret without giving it away, 16 hex digits."""
        return derived(self.secret, b"", "key name")[:8].hex()

    @property
    def protects(self) -> str:
        """Return what encryption under this key protects against."""
        return _PROTECTS[self.source]


def found(folder: Path, environment: Mapping[str, str] = os.environ) -> list[WrappingKey]:
    """Return the wrapping keys there are, the preferred one first.

    Args:
        folder: of the state.
        environment: may name a credentials directory and a key file.

    Raises:
        StateError: a key file cannot be read, may be read by others, or is too short.
    """
    places: list[tuple[Literal["credential", "file", "folder"], Path]] = []
    if directory := environment.get("CREDENTIALS_DIRECTORY"):
        places.append(("credential", Path(directory) / CREDENTIAL))
    if named := environment.get("ACCLIMATE_KEY_FILE"):
        places += [("file", Path(named)), ("file", Path(named + NEXT))]
    own = folder / KEY_FILE
    places += [("folder", own), ("folder", own.with_name(KEY_FILE + NEXT))]
    return [WrappingKey(_read(path, source), source, path) for source, path in places if path.is_file()]


def _read(path: Path, source: str) -> bytes:
    try:
        if source != "credential" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise StateError(
                "others may read the key file", field="key", value=str(path), remedy=f"run chmod 600 {path}"
            )
        with path.open("rb") as file:
            secret = file.read(MOST_BYTES + 1)
    except OSError as exc:
        raise StateError(f"the key cannot be read: {exc.strerror}", field="key", value=str(path)) from exc
    if not LEAST_BYTES <= len(secret) <= MOST_BYTES:
        remedy = f"it must have {LEAST_BYTES} to {MOST_BYTES} secret bytes"
        raise StateError("this is no key", field="key", value=str(path), remedy=remedy)
    return secret


def preferred(folder: Path, environment: Mapping[str, str] = os.environ) -> WrappingKey:
    """Return the key for a new state; a key file is made if there is no key at all.

    Raises:
        StateError: see ``found``; or the file cannot be written.
    """
    there = [key for key in found(folder, environment) if not key.path.name.endswith(NEXT)]
    if there:
        return there[0]
    named = environment.get("ACCLIMATE_KEY_FILE")
    return make(Path(named) if named else folder / KEY_FILE, "file" if named else "folder")


def make(path: Path, source: Literal["file", "folder"]) -> WrappingKey:
    """Write a new key file of mode 0600, durable before this returns.

    Raises:
        StateError: it cannot be written.
    """
    secret, fresh = secrets.token_bytes(SECRET_BYTES), path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(path.parent)
    except OSError as exc:
        fresh.unlink(missing_ok=True)
        message = f"the key file cannot be written: {exc.strerror}"
        raise StateError(message, field="key", value=str(path), remedy="check disk and rights") from exc
    return WrappingKey(secret, source, path)
