"""The releases of one tenant on this hub: signed metadata, the keys that the hub may hold, and the bundles.

A folder has it all: ``tuf/`` the metadata as devices ask for them, ``keys/`` the snapshot and timestamp keys, encrypted
with the hub's secret, and ``blobs/`` the bundles, unless a URL says that they are elsewhere.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from acclimate_hub.releases.blobs import open_blobs
from acclimate_hub.releases.keys import load_key, new_key
from acclimate_hub.releases.repository import Repository
from acclimate_shared.errors import MissingFileError, StateError
from acclimate_shared.release import CHUNK_BYTES, Listed

ROLES = ("snapshot", "timestamp")


class Shelf:
    """See the module; every method may be called from any thread."""

    def __init__(self, folder: Path, secret: bytes, now: Callable[[], float], blobs: str = "") -> None:
        """Open the shelf; its keys are made where there are none.

        Args:
            folder: of the tenant's releases.
            secret: of the hub.
            now: seconds since 1970.
            blobs: URL of the bundles; "" for the folder.

        Raises:
            UsageError: the keys are of another secret, or the URL makes no sense.
            StateError: the disk refuses.
        """
        keys, phrase = folder / "keys", secret.decode("ascii")
        try:
            for role in ROLES:
                if not (keys / f"{role}.pem").exists():
                    new_key(keys / role, phrase)
        except OSError as exc:
            raise StateError(f"the keys cannot be kept: {exc}", field="folder", value=str(folder)) from exc
        snapshot, timestamp = (load_key(keys / role, phrase) for role in ROLES)
        self.blobs = open_blobs(blobs or str(folder / "blobs"))
        self.keys = keys
        self._lock = threading.Lock()
        self._repository = Repository(
            folder / "tuf", snapshot=snapshot, timestamp=timestamp, clock=lambda: datetime.fromtimestamp(now(), UTC)
        )

    def publish(self, files: Mapping[str, bytes], bundles: Mapping[str, bytes]) -> list[Listed]:
        """Take what an author has signed, with the bundles that are new; return all releases that are listed now.

        Args:
            files: ``N.root.json`` and ``N.targets.json``.
            bundles: by digest.

        Raises:
            TrustError, ExpiredError, MissingFileError, UsageError: see ``Repository.accept``; nothing is announced.
            LinkError: the place of the bundles does not answer.
        """
        for data in bundles.values():
            self.blobs.put(data)
        with self._lock:
            return self._repository.accept(files, lambda digest, length: self.blobs.size(digest) == length)

    def listed(self) -> list[Listed]:
        """Return the releases that are listed now."""
        with self._lock:
            return self._repository.listed()

    def served(self) -> dict[str, bytes]:
        """Return the metadata that devices may need, by name, signed again if they end soon; empty before the first.

        Raises:
            TrustError: they are damaged.
        """
        try:
            with self._lock:
                self._repository.renew()
                return self._repository.served()
        except MissingFileError:
            return {}

    def chunk(self, digest: str, index: int) -> bytes:
        """Return a chunk of a bundle, empty beyond its end.

        Raises:
            MissingFileError: there is no such bundle.
            LinkError: the place of the bundles does not answer.
        """
        return self.blobs.read(digest, index * CHUNK_BYTES, CHUNK_BYTES)
