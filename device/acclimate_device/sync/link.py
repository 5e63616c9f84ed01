"""The one file that touches paho: a connection to an MQTT broker that is watched, given up when it hangs, made again.

Each connection is a ``_Session``: a fresh paho client in a thread of its own, which alone touches it. (paho deadlocks
when several threads publish, or callbacks do; its own thread can die or hang while ``is_connected`` stays true.) Others
put commands in a queue; what happens goes into another. A session that hangs is abandoned: its socket is shut, what it
may still say is not heard, and the next one starts; nothing waits for its thread.

The contract is MQTT 3.1.1: a session that the broker keeps, QoS 1, a last will. Nothing relies on what it keeps, since
messages are acknowledged by the hub. With ``newer`` MQTT 5 is tried first, for the sake of a session that expires; if
that does not connect, it is 3.1.1 from then on.
"""

import logging
import queue
import random
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from acclimate_device.sync.limits import DAY_S, RECEIVED, LinkLimits
from acclimate_device.sync.wire import Arrived, Connected, Happening, Health, Lost, Will, pause_s, verdict
from acclimate_shared.errors import LinkError

logger = logging.getLogger(__name__)

UNDER_WAY = 128  # messages that paho may have under way at once; more than any window of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a broker is and who we are there.

    Attributes:
        host: name that is in the broker's certificate; ``port`` beside it.
        client: id of the client.
        lasting: whether the broker keeps our session while we are away.
        newer: whether MQTT 5 is tried first.
    """

    host: str
    port: int
    client: str
    lasting: bool = True
    newer: bool = False


class _Session:
    """One connection; see the module."""

    def __init__(
        self,
        address: Address,
        tls: ssl.SSLContext | None,
        will: Will | None,
        limits: LinkLimits,
        tell: Callable[["_Session", Happening], None],
    ) -> None:
        self._address, self._limits, self._tell = address, limits, tell
        self._protocol = MQTTProtocolVersion.MQTTv5 if address.newer else MQTTProtocolVersion.MQTTv311
        self.begun_s = self.beat_s = self.heard_s = time.monotonic()
        self.connected = self.ended = False
        self._asked: dict[int, float] = {}
        self._commands: deque[Callable[[paho.Client], Any]] = deque()
        self._wake, self._woken = socket.socketpair()
        self._woken.settimeout(0.0)
        self._client = self._made(tls, will)
        self.thread = threading.Thread(target=self._run, name="acclimate-link", daemon=True)

    def _made(self, tls: ssl.SSLContext | None, will: Will | None) -> paho.Client:
        newer = self._protocol is MQTTProtocolVersion.MQTTv5
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._address.client,
            clean_session=None if newer else not self._address.lasting,
            protocol=self._protocol,
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._limits.connect_s / 2
        client.max_inflight_messages_set(UNDER_WAY)
        if tls is not None:
            client.tls_set_context(tls)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_publish = client.on_subscribe = client.on_unsubscribe = self._on_answer
        return client

    # -- for others ---------------------------------------------------------------------------------------------

    def health(self) -> Health:
        asked = next(iter(list(self._asked.values())), None)
        alive = self.thread.is_alive() or not self.thread.ident
        return Health(
            alive=alive,
            connected=self.connected,
            begun_s=self.begun_s,
            beat_s=self.beat_s,
            heard_s=self.heard_s,
            asked_s=asked,
        )

    def do(self, command: Callable[[paho.Client], Any]) -> None:
        """Let the thread do something with the client."""
        self._commands.append(command)
        with suppress(OSError):
            self._wake.send(b"\0")

    def abandon(self) -> None:
        """Shut the socket under the thread; whether it notices does not matter."""
        self.ended = True
        sock: Any = self._client.socket()
        with suppress(OSError, AttributeError):
            sock.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._wake.send(b"\0")

    # -- the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        reason = "it was closed"
        try:
            reason = self._talk()
        except Exception as exc:  # noqa: BLE001 - whatever ends the thread, the others hear of it
            reason = str(exc) or type(exc).__name__
        finally:
            self._tell(self, Lost(reason))
            for end in (self._wake, self._woken):
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
                self._commands.popleft()(self._client)
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
        self._tell(self, Arrived(message.topic, bytes(message.payload)))

    def _on_answer(self, _client: Any, _data: Any, mid: int, *_rest: Any) -> None:  # noqa: ANN401
        self._asked.pop(mid, None)

    def asked(self, mid: int | None) -> None:
        """Note that the broker owes an answer."""
        if mid is not None:
            self._asked[mid] = time.monotonic()


class MqttLink:
    """See ``wire.Link`` and the module."""

    def __init__(
        self,
        address: Address,
        *,
        credentials: Callable[[], ssl.SSLContext | None],
        will: Callable[[], Will | None] = lambda: None,
        limits: LinkLimits | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Connect at the first ``tend``.

        Args:
            address: of the broker.
            credentials: what TLS needs, asked for at each attempt; None for no TLS.
            will: likewise.
            limits: None for the default.
            rng: of the pauses.
        """
        self._address, self._credentials, self._will = address, credentials, will
        self._limits = limits or LinkLimits()
        self._rng = rng or random.Random()  # noqa: S311 - only spreads the load
        self._happened: queue.Queue[Happening] = queue.Queue(RECEIVED)
        self._session: _Session | None = None
        self._lock = threading.Lock()
        self._failures = 0
        self._due_s = 0.0
        self.given_up: list[str] = []  # why sessions were abandoned

    @property
    def connected(self) -> bool:
        """See ``Link``."""
        session = self._session
        return session is not None and session.connected and not session.ended

    def tend(self) -> None:
        """See ``Link``."""
        now_s, session = time.monotonic(), self._session
        if session is not None:
            why = verdict(session.health(), now_s, self._limits)
            if why and not session.ended:
                logger.warning("the connection is given up: %s", why)
                self.given_up.append(why)
                self._drop(session, why)
            return
        if now_s >= self._due_s:
            self._begin()

    def _begin(self) -> None:
        try:
            session = _Session(self._address, self._credentials(), self._will(), self._limits, self._heard)
        except (OSError, ValueError, LinkError) as exc:
            logger.warning("no connection can be made: %s", exc)
            self._failed()
            return
        self._session = session
        session.thread.start()

    def _failed(self) -> None:
        self._failures += 1
        self._due_s = time.monotonic() + pause_s(self._failures, self._limits, self._rng)

    def _drop(self, session: _Session, reason: str) -> None:
        self._heard(session, Lost(reason))
        session.abandon()

    def _heard(self, session: _Session, happening: Happening) -> None:
        """Take what a session tells; of one that was given up, nothing."""
        with self._lock:
            if session is not self._session:
                return
            if isinstance(happening, Lost):
                self._session = None
                if not session.connected:
                    self._address = replace(self._address, newer=False)
                elif time.monotonic() - session.begun_s > self._limits.answer_s:
                    self._failures = 0  # it was of use; one that is ended at once is no better than none
                self._failed()
        try:
            self._happened.put_nowait(happening)
        except queue.Full:
            logger.warning("too much comes at once: something is dropped")

    def receive(self, timeout_s: float) -> Happening | None:
        """See ``Link``."""
        try:
            return self._happened.get(timeout=max(timeout_s, 0.0)) if timeout_s > 0 else self._happened.get_nowait()
        except queue.Empty:
            return None

    def _now(self) -> _Session:
        session = self._session
        if session is None or not session.connected or session.ended:
            raise LinkError("there is no connection to the broker", field="link", remedy="it is tried again")
        return session

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retained: bool = False) -> None:
        """See ``Link``."""
        session = self._now()

        def command(client: paho.Client) -> None:
            sent = client.publish(topic, payload, qos=qos, retain=retained)
            if qos:
                session.asked(sent.mid)

        session.do(command)

    def subscribe(self, topics: Sequence[str], *, qos: int = 1) -> None:
        """See ``Link``."""
        session, wanted = self._now(), [(topic, qos) for topic in topics]
        session.do(lambda client: session.asked(client.subscribe(wanted)[1]))

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """See ``Link``."""
        session, left = self._now(), list(topics)
        session.do(lambda client: session.asked(client.unsubscribe(left)[1]))

    def renew(self) -> None:
        """See ``Link``."""
        session = self._session
        if session is not None:
            self._drop(session, "the credentials are new")
        self._failures, self._due_s = 0, 0.0

    def close(self) -> None:
        """See ``Link``."""
        session = self._session
        if session is None:
            return
        if session.connected:
            session.do(lambda client: client.disconnect())
            session.thread.join(self._limits.turn_s)
        with self._lock:
            self._session = None
        session.abandon()
