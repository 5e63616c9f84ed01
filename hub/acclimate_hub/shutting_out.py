"""A revoked device is out within a minute: the broker learns the new list, and the hub takes the device's place.

The hub discards its messages at once, by the database. For the broker the list of revoked certificates is written anew
and the broker told to read it; that refuses new connections. The one that is open ends when the hub connects under the
device's id. That is done a few times, for the broker may be slow to read. The list is also written before it expires:
a broker with an old one lets nobody in.
"""

import asyncio
import logging
import shlex
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

from acclimate_hub import limits
from acclimate_hub.hub import Hub
from acclimate_hub.store import credentials
from acclimate_shared.durable import write_file
from acclimate_shared.errors import LinkError, StateError

logger = logging.getLogger(__name__)

LIST = "revoked.crl"
TIMES = 3  # that the place of a device is taken
RELOAD_S = 15.0  # that the command may take

Evict = Callable[[str], Awaitable[None]]


class ShuttingOut:
    """Keeps a broker's list of revoked certificates, for one tenant."""

    def __init__(self, hub: Hub, tenant: str, folder: Path, reload: str = "") -> None:
        """Keep the list in a folder.

        Args:
            hub: whose database says who is revoked.
            tenant: whose devices.
            folder: of the broker's files.
            reload: command by which the broker reads the list again; "" for none.
        """
        self._hub, self._tenant, self._path, self._reload = hub, tenant, folder / LIST, shlex.split(reload)
        self._serials: list[tuple[int, float]] | None = None
        self._written_s = 0.0
        self._left: dict[str, int] = {}  # how often the place of each is still to be taken
        self._seen: dict[str, float] = {}  # who was revoked within a day, and when

    def step(self) -> list[str]:
        """Write the list if it is news or grows old; return the devices whose place is to be taken now.

        Raises:
            LinkError: the database does not answer.
            StateError: the disk refuses.
        """
        now_s = self._hub.now()
        with self._hub.database.read() as connection:
            serials = credentials.revoked(connection, self._tenant, now_s)
            found = credentials.revoked_since(connection, self._tenant, now_s - limits.DAY_S)
        self._left |= {name: TIMES for name, when_s in found.items() if self._seen.get(name) != when_s}
        self._seen = found
        if serials != self._serials or now_s - self._written_s > limits.CRL_S / 2:
            self._write(now_s)
            self._serials = serials
        due = sorted(self._left)
        self._left = {name: count - 1 for name, count in self._left.items() if count > 1}
        return due

    def _write(self, now_s: float) -> None:
        try:
            write_file(self._path, self._hub.revocation_list(self._tenant).encode("ascii"))
            self._path.chmod(0o644)
        except OSError as exc:
            raise StateError(f"the list of revoked certificates is old: {exc}", field="file", value=self._path) from exc
        self._written_s = now_s
        if not self._reload:
            logger.warning("the list of revoked certificates is new: let the broker read it again (--reload)")
            return
        try:
            subprocess.run(self._reload, check=True, capture_output=True, timeout=RELOAD_S)  # noqa: S603 - the operator's
        except (OSError, subprocess.SubprocessError) as exc:
            logger.error("the broker was not told to read its list again: %s", exc)  # noqa: TRY400 (no bug of ours)

    async def run(self, evict: Evict) -> None:
        """Do so until cancelled.

        Args:
            evict: takes the place of a device.
        """
        while True:
            try:
                for name in await asyncio.to_thread(self.step):
                    logger.info("%s is shut out", name)
                    await evict(name)
            except (LinkError, StateError) as exc:
                logger.warning("revoked devices: %s", exc)
            await asyncio.sleep(limits.SHUT_OUT_EVERY_S)
