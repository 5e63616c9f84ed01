"""The one file that touches paho: one connection to an MQTT broker, for ``watch`` to look after.

Each is a fresh paho client in a thread of its own, which alone touches it. (paho deadlocks when several threads
publish, or callbacks do; its own thread can die or hang while ``is_connected`` stays true.) Others put commands in a
queue, and nothing waits for the thread.

The contract is MQTT 3.1.1: a session that the broker keeps, QoS 1, a last will. Nothing relies on what it keeps, since
messages are acknowledged by the hub. With ``newer`` MQTT 5 is tried first, for the sake of a session that expires; if
that does not connect, the next attempt is 3.1.1.
"""

import logging
import random
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from acclimate_device.sync.limits import DAY_S, LinkLimits
from acclimate_device.sync.watch import Session, Tell, WatchedLink
from acclimate_device.sync.wire import Address, Arrived, Connected, Health, Login, Lost, Will

logger = logging.getLogger(__name__)

UNDER_WAY = 128  # messages that paho may have under way at once; more than any window of ours


class _Client(paho.Client):
    """Reads no packet that is too long: paho would keep up to 256 MiB of one."""

    packet_bytes = 0
    overlong = False

    def _sock_recv(self, bufsize: int) -> bytes:  # asked for the whole rest of a packet at once
        if bufsize > self.packet_bytes:
            self.overlong = True
            raise ConnectionAbortedError
        return super()._sock_recv(bufsize)


class MqttSession:
    """One connection; see the module."""

    def __init__(
        self,
        address: Address,
        protocol: MQTTProtocolVersion,
        shown: tuple[ssl.SSLContext | None, Will | None, Login | None],
        limits: LinkLimits,
        tell: Tell,
    ) -> None:
        """Prepare; see ``mqtt_link``."""
        self._address, self._protocol, self._limits, self._tell = address, protocol, limits, tell
        self.begun_s = self.beat_s = self.heard_s = time.monotonic()
        self.connected = self.ended = self._leaving = False
        self._asked: dict[int, float] = {}
        self._commands: deque[Callable[[paho.Client], int | None]] = deque()
        self._wake, self._woken = socket.socketpair()
        self._woken.settimeout(0.0)
        self._client = self._made(*shown)
        self.thread = threading.Thread(target=self._run, name="acclimate-link", daemon=True)

    def _made(self, tls: ssl.SSLContext | None, will: Will | None, login: Login | None) -> _Client:
        newer = self._protocol is MQTTProtocolVersion.MQTTv5
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._address.client,
            clean_session=None if newer else not self._address.lasting,
            protocol=self._protocol,
            reconnect_on_failure=False,
        )
        client.packet_bytes = self._limits.packet_bytes
        client.connect_timeout = self._limits.connect_s / 2
        client.max_inflight_messages_set(UNDER_WAY)
        if tls is not None:
            client.tls_set_context(tls)
        if login is not None:
            client.username_pw_set(login.user, login.password)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_publish = client.on_subscribe = client.on_unsubscribe = self._on_answer
        client.on_socket_open = _at_once
        return client

    # -- for others ---------------------------------------------------------------------------------------------

    @property
    def overlong(self) -> bool:
        """Whether the broker began a packet that was too long."""
        return self._client.overlong

    def start(self) -> None:
        """See ``watch.Session``."""
        self.thread.start()

    def health(self) -> Health:
        """See ``watch.Session``."""
        asked = next(iter(list(self._asked.values())), None)
        alive = self.thread.is_alive() or not self.thread.ident
        return Health(
            alive=alive,
            connected=self.connected,
            begun_s=self.begun_s,
            beat_s=self.beat_s,
            heard_s=self.heard_s,
            asked_s=asked,
            pending=len(self._asked) + len(self._commands),
        )

    def publish(self, topic: str, payload: bytes, *, qos: int, retained: bool) -> None:
        """See ``watch.Session``."""

        def command(client: paho.Client) -> int | None:
            sent = client.publish(topic, payload, qos=qos, retain=retained)
            return sent.mid if qos else None  # QoS 0 has no answer

        self._do(command)

    def subscribe(self, topics: Sequence[str], *, qos: int) -> None:
        """See ``watch.Session``."""
        wanted = [(topic, qos) for topic in topics]
        self._do(lambda client: client.subscribe(wanted)[1])

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """See ``watch.Session``."""
        left = list(topics)
        self._do(lambda client: client.unsubscribe(left)[1])

    def leave(self, within_s: float) -> None:
        """See ``watch.Session``."""
        self._leaving = True
        self._nudge()
        self.thread.join(within_s)

    def _do(self, command: Callable[[paho.Client], int | None]) -> None:
        """Let the thread do something that the broker answers by this number, or not at all."""
        self._commands.append(command)
        self._nudge()

    def _nudge(self) -> None:
        with suppress(OSError):
            self._wake.send(b"\0")

    def abandon(self) -> None:
        """See ``watch.Session``: shut the socket under the thread; whether it notices does not matter."""
        self.ended = True
        sock: Any = self._client.socket()
        with suppress(OSError, AttributeError):
            sock.shutdown(socket.SHUT_RDWR)
        self._nudge()

    # -- the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        reason = "it was closed"
        try:
            reason = self._talk()
        except Exception as exc:  # noqa: BLE001 - whatever ends the thread, the others hear of it
            reason = str(exc) or type(exc).__name__
        finally:
            self._tell(self, Lost(reason))
            for end in (self._client.socket(), self._wake, self._woken):
                if end is not None:
                    end.close()

    def _talk(self) -> str:
        place, keepalive_s = (self._address.host, self._address.port), self._limits.keepalive_s
        if self._protocol is MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = int(DAY_S) if self._address.lasting else 0
            self._client.connect(
                *place, keepalive=keepalive_s, clean_start=not self._address.lasting, properties=properties
            )
        else:
            self._client.connect(*place, keepalive=keepalive_s)
        while not self.ended:
            sock: Any = self._client.socket()
            if sock is None:
                return "the broker has ended it"
            readable = self._wait(sock)
            if readable:
                self.heard_s = time.monotonic()
                self._client.loop_read()
            while self._commands:
                mid = self._commands.popleft()(self._client)
                if mid is not None:
                    self._asked[mid] = time.monotonic()
            if self._leaving and not self._asked:  # what was said last must arrive too
                self._leaving = False
                self._client.disconnect()
            if self._client.want_write():
                self._client.loop_write()
            self._client.loop_misc()
            self.beat_s = time.monotonic()
        return "it was given up"

    def _wait(self, sock: Any) -> bool:  # noqa: ANN401 - a socket, with TLS or without
        """Wait until there is something to do; return whether there is something to read."""
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        with selectors.DefaultSelector() as selector:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._client.want_write() else 0)
            selector.register(sock, events)
            selector.register(self._woken, selectors.EVENT_READ)
            ready = selector.select(self._limits.turn_s)
        with suppress(BlockingIOError):
            self._woken.recv(4096)
        return any(key.fileobj is sock and event & selectors.EVENT_READ for key, event in ready)

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:  # noqa: ANN401 - paho's signature
        if reason.value != 0:
            self.ended = True
            logger.warning("the broker refuses us: %s", reason)
            return
        self.connected = True
        self._tell(self, Connected(bool(flags.session_present)))

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:  # noqa: ANN401
        payload = bytes(message.payload[: self._limits.message_bytes + 1])
        self._tell(self, Arrived(message.topic, payload, bool(message.retain)))

    def _on_answer(self, _client: Any, _data: Any, mid: int, *_rest: Any) -> None:  # noqa: ANN401
        self._asked.pop(mid, None)


def _at_once(_client: Any, _data: Any, sock: Any) -> None:  # noqa: ANN401
    """Send small packets at once: acknowledgements that wait for each other cost 40 ms a window."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def mqtt_link(
    address: Address,
    *,
    credentials: Callable[[], ssl.SSLContext | None],
    will: Callable[[], Will | None] = lambda: None,
    login: Callable[[], Login | None] = lambda: None,
    limits: LinkLimits | None = None,
    rng: random.Random | None = None,
) -> WatchedLink:
    """Return a link to a broker, which connects at its first ``tend``.

    Args:
        address: of the broker.
        credentials: what TLS needs, asked for at each attempt; None for no TLS.
        will: likewise.
        login: likewise, at a broker that knows users.
        limits: None for the default.
        rng: of the pauses; None for one that differs each time.
    """
    chosen = limits or LinkLimits()

    last: list[MqttSession] = []

    def begin(tell: Tell, attempt: int) -> Session:
        protocol = MQTTProtocolVersion.MQTTv5 if address.newer and attempt == 1 else MQTTProtocolVersion.MQTTv311
        spoilt = bool(last) and last[-1].overlong  # the broker's session would send that packet for ever
        where = replace(address, lasting=address.lasting and not spoilt)
        last[:] = [MqttSession(where, protocol, (credentials(), will(), login()), chosen, tell)]
        return last[-1]

    return WatchedLink(begin, chosen, rng=rng)
