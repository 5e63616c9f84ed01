"""``acclimate doctor`` of an enrolled device, at a real broker: well, gone, and not the one we trust."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from acclimate_device import doctor_facts
from acclimate_device.cli import main
from acclimate_device.sync.identity import Identity
from tests.hub.servers import wait_until
from tests.hub.site import started
from tests.hub.test_broker import running
from tests.system.test_fleet_link import joined


def verdict(state: Path) -> dict[str, str]:
    """Return what is found about the broker."""
    done = CliRunner().invoke(main, ["doctor", str(state), "--json"])
    found: dict[str, str] = {item["check"]: item for item in json.loads(done.stdout)}["broker"]
    return found


def deaf(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.slow
def test_doctor_tells_a_broker_that_answers_from_one_that_does_not(tmp_path: Path) -> None:
    state, folder = tmp_path / "state", tmp_path / "hub"
    folder.mkdir()
    with started(folder) as site, running(site):
        joined(site, state)
        found = verdict(state)
        assert (found["verdict"], found["found"]) == ("ok", f"localhost:{site.port} answers")
        site.process.kill()
        site.process.wait()
        wait_until(lambda: deaf(site.port))
        found = verdict(state)
        assert found["verdict"] == "bad"
        assert "refused" in found["found"]
        assert found["remedy"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ca", "name", "well"), [("ca", "gw-1", True), ("gw-1", "gw-1", False), ("ca", "expired", False)]
)
def test_a_handshake_tells_whom_we_trust_and_who_trusts_us(tmp_path: Path, ca: str, name: str, well: bool) -> None:
    with started(tmp_path) as site:
        authority, certificate, key = [
            (site.folder / file).read_text() for file in (f"{ca}.crt", f"{name}.crt", f"{name}.key")
        ]
        who = Identity(
            host="localhost", port=site.port, tenant="main", device="gw-1", cohort="",
            ca=authority, certificate=certificate, key=key,
        )  # fmt: skip
        assert (doctor_facts.greet(who) is None) is well
