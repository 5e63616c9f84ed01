"""A client for tests against a real broker: whatever it receives is kept."""

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.hub.servers import wait_until


class Client:
    """A connected client; ``got`` has (topic, payload) of every message."""

    def __init__(self, client: paho.Client) -> None:
        self.client = client
        self.got: list[tuple[str, bytes]] = []
        self.connected: list[int] = []
        self.disconnected = 0
        client.on_message = self._message
        client.on_connect = self._connect
        client.on_disconnect = self._disconnect

    def _message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.got.append((message.topic, bytes(message.payload)))

    def _connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.connected.append(reason.value)

    def _disconnect(self, *_rest: Any) -> None:
        self.disconnected += 1

    def subscribe(self, *filters: str) -> None:
        done: list[int] = []
        self.client.on_subscribe = lambda *_rest: done.append(1)
        self.client.subscribe([(one, 1) for one in filters])
        wait_until(lambda: bool(done))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos=1, retain=retain)

    @property
    def payloads(self) -> set[bytes]:
        return {payload for _, payload in self.got}

    def wait_for(self, payload: bytes) -> None:
        wait_until(lambda: payload in self.payloads)


@contextlib.contextmanager
def connection(
    port: int, ca: Path, certificate: Path, key: Path, *, client_id: str, v5: bool = False
) -> Iterator[Client]:
    """Connect with a certificate.

    Raises:
        OSError: the broker refuses it.
    """
    protocol = MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol, reconnect_on_failure=False
    )
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(certificate, key)
    client.tls_set_context(context)
    kept = Client(client)
    client.connect("localhost", port)
    client.loop_start()
    try:
        wait_until(lambda: bool(kept.connected) or kept.disconnected > 0, 10)
        if not kept.connected:
            raise ConnectionRefusedError
        yield kept
    finally:
        client.disconnect()
        client.loop_stop()
