"""A broker for a try-out on one machine: amqtt in a process of its own, on loopback, with the hub's certificates.

It asks for no rules: whoever has a certificate of this hub, or none, may read and write everything. That is for a
demonstration; `acclimate-hub broker-config mosquitto` configures a broker that keeps devices apart.
"""

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acclimate_shared.errors import LinkError

START_S = 20.0
CONNECTIONS = 100  # that it takes if nobody says otherwise


def configuration(certificates: Path, port: int, connections: int = CONNECTIONS) -> dict[str, Any]:
    """Return what amqtt is told.

    Args:
        certificates: folder that ``Hub.write_broker`` has written.
        port: on loopback.
        connections: that it takes at a time.
    """
    listener = {
        "type": "tcp",
        "bind": f"127.0.0.1:{port}",
        "ssl": True,
        "cafile": str(certificates / "ca.crt"),
        "certfile": str(certificates / "broker.crt"),
        "keyfile": str(certificates / "broker.key"),
        "max_connections": connections,
    }
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    return {"listeners": {"default": listener}, "plugins": plugins}


async def _serve(certificates: Path, port: int, connections: int) -> None:
    from amqtt.broker import Broker

    broker = Broker(configuration(certificates, port, connections))
    await broker.start()
    try:
        await asyncio.Event().wait()
    finally:
        await broker.shutdown()


@contextmanager
def embedded(certificates: Path, port: int, connections: int = CONNECTIONS) -> Iterator[None]:
    """Run a broker in another process for a while.

    Raises:
        LinkError: it does not start.
    """
    words = [sys.executable, "-m", "acclimate_hub.embedded", str(certificates), str(port), str(connections)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - our own
        try:
            _wait(process, port)
            yield
        finally:
            process.terminate()


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.1)
    process.kill()
    raise LinkError("the embedded broker does not start", field="port", value=port, remedy="choose another port")


def main(arguments: list[str]) -> None:
    """Serve until the process is told to end."""
    logging.disable(logging.CRITICAL)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Path(arguments[0]), int(arguments[1]), int(arguments[2])))


if __name__ == "__main__":
    main(sys.argv[1:])
