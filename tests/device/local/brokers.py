"""A broker of this device for tests: in memory, or a real one, with users and rights where these matter."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from acclimate_device.sync.wire import Arrived
from tests.device.sync.wires import MemoryLink
from tests.hub.mqtt import Client
from tests.hub.servers import mosquitto, program, wait_until

OPEN = "listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n"
RIGHTS = """\
listener {port} 127.0.0.1
password_file {folder}/users
acl_file {folder}/rights
log_dest none
"""
DOCUMENT = Path(__file__).parents[3] / "docs" / "local-protocol.md"


def rights_of_the_document() -> str:
    """Return the rights that the documentation gives to an agent, a teacher and everybody else."""
    found = re.search(r"```text\n(user agent\n.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


@dataclass
class CountedMemoryLink(MemoryLink):
    """A link in memory that may be full."""

    pending: int = 0
    dropped: int = 0

    def arrive(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        self.inbox.append(Arrived(topic, payload, retained))


@dataclass
class Place:
    """Where a broker of a test is; it may be stopped and started again."""

    folder: Path
    port: int
    text: str = OPEN
    users: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator[None]:
        config = self.folder / "mosquitto.conf"
        config.write_text(self.text.format(port=self.port, folder=self.folder))
        for at, (user, password) in enumerate(self.users.items()):
            words = [program("mosquitto_passwd"), "-b", *(["-c"] if at == 0 else [])]
            subprocess.run([*words, str(self.folder / "users"), user, password], check=True, capture_output=True)
        with mosquitto(config, self.port):
            yield

    def login(self, user: str) -> Path:
        path = self.folder / f"{user}.login"
        path.write_text(f"{user}:{self.users[user]}\n")
        path.chmod(0o600)
        return path


@contextmanager
def joined(port: int, name: str, *, password: str | None = None, listens: str = "") -> Iterator[Client]:
    """Connect another program of the device, by the plain protocol."""
    client: Any = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, reconnect_on_failure=False)
    if password is not None:
        client.username_pw_set(name, password)
    kept = Client(client)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        wait_until(lambda: bool(kept.connected), 10)
        if listens:
            kept.subscribe(listens)
        yield kept
    finally:
        client.disconnect()
        client.loop_stop()
