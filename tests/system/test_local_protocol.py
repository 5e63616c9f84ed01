"""The local protocol in plain shell, against an agent in a process of its own; the document names what the code has."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from acclimate_device.local import messages as msg
from acclimate_device.local.bridge import LOSSES
from acclimate_device.local.limits import BROKER_LINK, MOST_BATCH, BrokerLimits, Limits
from acclimate_shared.errors import MessageError
from tests.device.local.brokers import Place
from tests.device.local.rig import CountingAgent, served, start, stop
from tests.hub.servers import free_port, program

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "conformance.sh"
DOCUMENT = ROOT / "docs" / "local-protocol.md"


@pytest.fixture(autouse=True)
def _client() -> None:
    if not os.environ.get("CI") and not (shutil.which("nc") or shutil.which("socat")):
        pytest.skip("neither nc nor socat is here")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """Return the port of a broker on this device."""
    place = Place(tmp_path, free_port())
    with place.running():
        yield place.port


@pytest.fixture
def agent(tmp_path: Path, broker: int) -> Iterator[Path]:
    path = tmp_path / "agent.sock"
    process = start(path, "--state", tmp_path / "state", "--broker", f"127.0.0.1:{broker}")
    try:
        yield path
    finally:
        assert stop(process) == 0


def conform(*words: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/bin/sh", SCRIPT, *words], capture_output=True, text=True, timeout=60, check=False)


def test_a_shell_is_enough(agent: Path, broker: int) -> None:
    program("mosquitto_rr")
    found = conform(agent, "127.0.0.1", str(broker))
    assert found.returncode == 0, found.stdout + found.stderr
    assert "not ok" not in found.stdout
    for op in msg.OPS:
        assert re.search(rf"^ok \d+ - {op}$", found.stdout, re.MULTILINE), op
        assert re.search(rf"^ok \d+ - {op}, by its topic$", found.stdout, re.MULTILINE), op


def test_the_script_fails_where_the_protocol_is_broken(tmp_path: Path) -> None:
    with served(tmp_path, CountingAgent("regression")) as path:
        path.rename(tmp_path / "elsewhere")
        found = conform(path)
        (tmp_path / "elsewhere").rename(path)
    assert found.returncode == 1
    assert "not ok 1 - predict" in found.stdout


def test_the_document_names_every_operation_and_field() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    types: list[type[msgspec.Struct]]
    types = [msg.Predict, msg.PredictMany, msg.Feedback, msg.FeedbackMany, msg.Status]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE))
    for op, of in zip(msg.OPS, types, strict=True):
        fields = [(one.encode_name, one.required) for one in msgspec.structs.fields(of) if one.name != "id"]
        told = [(name, bool(star)) for name, star in re.findall(r"`(\w+)`(\*?)", rows[op])]
        assert told == fields, op
    assert f"Up to {MOST_BATCH} at once" in text
    assert f"At most {Limits().connections} connections" in text
    assert Limits().line_bytes == 1 << 20
    assert f"for {Limits().patience_s:.0f} seconds" in text
    waiting = f"{BrokerLimits().waiting} requests of a client"
    assert f"{waiting} (and of those who share its thread), {BrokerLimits().waiting_bytes >> 20} MiB in all" in text
    assert f"{BROKER_LINK.waiting:,} messages or {BROKER_LINK.waiting_bytes >> 20} MiB may wait" in text
    assert {f"`{name}`" for name in LOSSES} <= set(re.findall("`.*?`", text))


def test_the_requests_of_the_document_are_requests() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    asked = [line for line in text.splitlines() if line.startswith('{"op"')]
    assert len(asked) == 5
    for line in asked[:4]:
        msg.parse(line.encode())
    with pytest.raises(MessageError, match="no such operation"):
        msg.parse(asked[4].encode())
