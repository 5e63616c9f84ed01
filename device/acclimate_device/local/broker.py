"""The broker on this device, by which other programs reach the agent: where it is, who may enter, and a link to it.

Readings and labels go over it in the clear, so it must be on the loopback. One elsewhere is refused, unless that is
said aloud and the connection is encrypted. Who may say and hear what is the broker's to decide, by its users and their
rights (docs/local-protocol.md has a configuration).
"""

import ipaddress
import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from acclimate_device.local.limits import BROKER_LINK
from acclimate_device.local.topics import PREFIX, check_prefix, online
from acclimate_device.sync.wire import Address, Link, Login, Will
from acclimate_shared.errors import UsageError

PLACE = "127.0.0.1:1883"
MOST_BYTES = 1024  # of a login file
_CLIENT = "acclimate-"


class CountedLink(Link, Protocol):
    """A link that also tells what waits and what was lost."""

    @property
    def pending(self) -> int:
        """Messages that the broker has not acknowledged."""

    @property
    def dropped(self) -> int:
        """Messages that came while too much waited to be taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """A broker that was named.

    Attributes:
        host: name or number; ``port`` beside it.
        prefix: of the agent's topics, which also names it there: one agent a prefix.
        login: file with USER:PASSWORD, None for a broker that asks for nothing.
        ca: file with the certificates that its own must follow from, None for no TLS.
    """

    host: str
    port: int
    prefix: str = PREFIX
    login: Path | None = None
    ca: Path | None = None


def broker_at(place: str, *, prefix: str, login: Path | None, ca: Path | None, remote: bool) -> Broker:
    """Return a broker that may be used; files are read once, to find mistakes now.

    Args:
        place: HOST:PORT, an IPv6 number in brackets.
        prefix: see ``Broker``, as the next two.
        login: likewise.
        ca: likewise.
        remote: whether it may be on another machine.

    Raises:
        UsageError: the place is none or on another machine, the prefix is none, or a file cannot be used.
    """
    host, _, port = place.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UsageError("a broker is HOST:PORT", field="broker", value=place, remedy=f"such as {PLACE}")
    if not is_loopback(host):
        if not remote:
            remedy = f"use {PLACE}, or add --broker-remote: readings and labels then leave this device"
            raise UsageError("the broker is on another machine", field="broker", value=place, remedy=remedy)
        if ca is None:
            remedy = "add --broker-ca FILE"
            raise UsageError(
                "readings would cross the network in the clear", field="broker", value=place, remedy=remedy
            )
    made = Broker(host=host, port=int(port), prefix=check_prefix(prefix), login=login, ca=ca)
    _login(made)
    _tls(made)
    return made


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its number or by the one name that always is (RFC 6761, 6.3)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def link_to(broker: Broker, *, lasting: bool = False) -> CountedLink:
    """Return a link, which says under ``PREFIX/online`` when it has gone.

    Args:
        broker: to reach.
        lasting: whether the broker keeps what comes while the agent is away.
    """
    from acclimate_device.sync.link import mqtt_link  # what a run needs is loaded when it runs

    client = _CLIENT + broker.prefix.replace("/", "-")
    address = Address(host=broker.host, port=broker.port, client=client, lasting=lasting)
    gone = Will(online(broker.prefix), b"false")
    return mqtt_link(
        address,
        credentials=lambda: _tls(broker),
        will=lambda: gone,
        login=lambda: _login(broker),
        limits=BROKER_LINK,
    )


def _tls(broker: Broker) -> ssl.SSLContext | None:
    if broker.ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(broker.ca))
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        remedy = "give the certificate of the authority, PEM"
        raise UsageError("no certificates", field="broker-ca", value=str(broker.ca), remedy=remedy) from exc


def _login(broker: Broker) -> Login | None:
    """Read the login, at every attempt: it may have been changed."""
    path = broker.login
    if path is None:
        return None
    try:
        if not _private(path):
            raise UsageError(
                "others may read the login", field="broker-login", value=str(path), remedy=f"run chmod 600 {path}"
            )
        with path.open(encoding="utf-8") as file:
            user, colon, password = file.read(MOST_BYTES).strip().partition(":")
    except (OSError, UnicodeError) as exc:
        raise UsageError("the login cannot be read", field="broker-login", value=str(path)) from exc
    if not user or not colon:
        remedy = "write USER:PASSWORD into it, in one line"
        raise UsageError("this is no login", field="broker-login", value=str(path), remedy=remedy)
    return Login(user, password)


def _private(path: Path) -> bool:
    """Return whether only we may read a file; what a service manager hands over is guarded by its folder."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    handed = directory is not None and path.parent == Path(directory)
    return handed or not stat.S_IMODE(path.stat().st_mode) & 0o077
