"""A hub with a real broker, three enrolled devices, one of another tenant and an expired certificate."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from acclimate_hub.hub import Hub
from acclimate_hub.identity import enrolment
from acclimate_hub.identity.authority import read_request
from acclimate_hub.identity.broker_config import CONFIG, Broker
from tests.hub.identity.keys import key_pem, new_key, request
from tests.hub.mqtt import Client, connection
from tests.hub.servers import free_port, mosquitto

DEVICES = ("gw-1", "gw-2")


@dataclass(frozen=True)
class Site:
    hub: Hub
    folder: Path
    port: int
    hub_port: int
    broker: Broker
    process: subprocess.Popen[bytes]

    def files(self, name: str) -> tuple[Path, Path, Path]:
        return self.folder / "ca.crt", self.folder / f"{name}.crt", self.folder / f"{name}.key"


def issue(hub: Hub, folder: Path, device: str, tenant: str = "main") -> None:
    key = new_key()
    rules = enrolment.ClaimRules(cohort="default", max_uses=1, expires_s=hub.now() + 99)
    with hub.database.write() as rows:
        claim = enrolment.create_claim(rows, tenant, rules, "cli", hub.now())
        shown = (claim.text, request(key, device))
        issued = enrolment.enrol(rows, hub.authority(tenant), device, shown, hub.now())
    (folder / f"{device}.crt").write_text(issued.pem)
    (folder / f"{device}.key").write_text(key_pem(key))


@contextmanager
def started(folder: Path, change: Callable[[str], str] = lambda text: text) -> Iterator[Site]:
    """Run everything until the end, perhaps with another configuration of the broker."""
    hub = Hub.create(f"sqlite:///{folder}/hub.db", folder / "secret", time.time)
    hub.create_tenant("main", "cli")
    hub.create_tenant("other", "cli")
    for device in (*DEVICES, "gw-3"):
        issue(hub, folder, device)
    issue(hub, folder, "alien", "other")
    key = new_key()
    short = hub.authority("main").sign_device(read_request(request(key, "gw-1")), time.time() - 900, 60.0)
    (folder / "expired.crt").write_text(short.pem)
    (folder / "expired.key").write_text(key_pem(key))
    broker = Broker(
        tenant="main", folder=PurePosixPath(folder), host="127.0.0.1", port=free_port(), hub_port=free_port()
    )
    hub.write_broker(broker, folder, ["localhost"], "cli")
    (folder / CONFIG).write_text(change((folder / CONFIG).read_text()))
    with mosquitto(folder / CONFIG, broker.port, broker.hub_port) as process:
        yield Site(hub, folder, broker.port, broker.hub_port, broker, process)
    hub.close()


def join(site: Site, name: str, *, v5: bool = False, client_id: str = "") -> AbstractContextManager[Client]:
    port = site.hub_port if name == "hub" else site.port
    return connection(port, *site.files(name), client_id=client_id or name, v5=v5)
