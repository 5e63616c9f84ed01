"""The facts that ``acclimate doctor`` judges: looks at clock, disk, state, broker, libraries and socket.

Nothing is changed but a small file that is written and removed at once. A state that does not exist is not made.
"""

import os
import shutil
import socket
import ssl
import stat
import tempfile
import time
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

import psutil

from acclimate_device.doctor import LEAST_VERSIONS, WORDS, Facts, Hub, Trouble
from acclimate_device.fleet_rows import FleetRows
from acclimate_device.limits_of_host import read_limits
from acclimate_device.local.client import Client, LocalError
from acclimate_device.store import Store
from acclimate_device.store_tables import FILE
from acclimate_device.sync import identity
from acclimate_shared.errors import AcclimateError, UsageError

PATIENCE_S = 5.0  # for broker and socket each
REFUSAL_S = 1.0  # in which a broker that does not accept our certificate says so, after the handshake


class _OfState(TypedDict, total=False):
    key_source: str
    protects: str
    state: Trouble
    hub: Hub
    newest_s: float


class _OfSocket(TypedDict, total=False):
    socket: str
    socket_mode: int
    socket_trouble: Trouble


def gather(folder: Path | None, place: Path | None) -> Facts:
    """Return the facts of this machine.

    Args:
        folder: of a state, which should not be in use; None for none.
        place: of the socket of an agent that should be running; None for none.

    Raises:
        UsageError: there is no state in the folder.
    """
    if folder is not None and not (folder / FILE).is_file():
        remedy = "name the folder that was given as --state"
        raise UsageError("no state here", field="state", value=str(folder), remedy=remedy)
    at = folder or Path.cwd()
    return Facts(
        now_s=time.time(),
        folder=str(at),
        free_bytes=shutil.disk_usage(at).free,
        writing=try_to_write(at),
        versions={name: _version(name) for name in LEAST_VERSIONS},
        telemetry=os.environ.get(WORDS),
        limits=read_limits(),
        free_memory_bytes=int(psutil.virtual_memory().available),
        **(_of_state(folder) if folder else {}),
        **(_of_socket(place) if place else {}),
    )


def try_to_write(folder: Path) -> Trouble | None:
    """Write a small file into a folder, durably, and remove it; return what went wrong."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".acclimate-doctor-", dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        return Trouble(f"{folder} cannot be written: {exc.strerror}", "check rights, mount options and the disk")
    return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _of_state(folder: Path) -> _OfState:
    newest_s = (folder / FILE).stat().st_mtime  # before it is opened, which may change it
    try:
        with closing(Store(folder)) as store:
            who = identity.load(FleetRows(store))
            key = store.ring.key
    except AcclimateError as exc:
        return {"newest_s": newest_s, "state": Trouble(exc.message, exc.remedy)}
    found: _OfState = {"newest_s": newest_s, "key_source": key.source, "protects": key.protects}
    if who is not None and who.enrolled:
        found["hub"] = Hub(
            broker=f"{who.host}:{who.port}", expires_s=identity.expires_s(who.certificate), trouble=greet(who)
        )
    return found


def greet(who: identity.Identity) -> Trouble | None:
    """Shake hands with the broker over TLS, without a word of MQTT; return what went wrong.

    With TLS 1.3 our side of the handshake is over before the other judges our certificate (RFC 8446, section 2), so a
    refusal comes as the first thing that is read. A broker that accepts us is silent until we speak.
    """
    try:
        made = identity.context(who.ca, who.certificate, who.key)
        with (
            socket.create_connection((who.host, who.port), PATIENCE_S) as plain,
            made.wrap_socket(plain, server_hostname=who.host) as secured,
        ):
            return _refusal(secured)
    except UsageError as exc:
        return Trouble(exc.message, exc.remedy)
    except OSError as exc:  # of the network, of names and of TLS
        return Trouble(f"it does not answer as it should: {exc}", "check network, names, firewall and the broker")


def _refusal(secured: ssl.SSLSocket) -> Trouble | None:
    """Listen for what a broker says that does not accept our certificate."""
    secured.settimeout(REFUSAL_S)
    try:
        secured.recv(1)
    except TimeoutError:
        return None
    except OSError as exc:
        return Trouble(f"it does not accept this device: {exc}", "look at its log, and at the device in the hub")
    return Trouble("it ends the connection before a word is said", "look at its log, and at the device in the hub")


def _of_socket(place: Path) -> _OfSocket:
    found: _OfSocket = {"socket": str(place)}
    try:
        found["socket_mode"] = stat.S_IMODE(place.stat().st_mode)
        with Client(place, timeout_s=PATIENCE_S) as client:
            client.status()
    except PermissionError:
        found["socket_trouble"] = Trouble(f"you may not ask at {place}", "join the group of the socket")
    except (OSError, LocalError, ValueError, KeyError) as exc:  # the last two: somebody else answers there
        found["socket_trouble"] = Trouble(f"nobody answers at {place}: {exc}", "start acclimate serve, or see its log")
    return found
