"""Every verdict of every check, from facts alone; then the facts of this machine, a state and a socket."""

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from acclimate_device import doctor, doctor_facts
from acclimate_device.cli import main
from acclimate_device.doctor import CHECKS, DAY_S, Facts, Hub, Trouble, examine
from acclimate_device.limits_of_host import Limits
from acclimate_device.store import Store
from acclimate_device.sync.identity import Identity
from tests.device.local.rig import CountingAgent, served

NOW_S = 1.8e9
SICK = Trouble("it hurts", "rest")
HUB = Hub(broker="broker:8883", expires_s=NOW_S + 30 * DAY_S)
WELL = Facts(
    now_s=NOW_S,
    newest_s=NOW_S - 5,
    free_bytes=1 << 34,
    key_source="credential",
    hub=HUB,
    versions=doctor.LEAST_VERSIONS,
    telemetry="1",
    free_memory_bytes=1 << 33,
    socket="a.sock",
    socket_mode=0o660,
)
OLD = {**doctor.LEAST_VERSIONS, "numpy": "1.9.5"}
MISSING = {**doctor.LEAST_VERSIONS, "tuf": None}


def test_a_healthy_machine_is_well() -> None:
    found = examine(WELL)
    assert [(item.verdict, item.remedy) for item in found] == [("ok", "")] * len(CHECKS)


def test_what_was_not_asked_for_is_not_judged() -> None:
    alone = replace(WELL, key_source=None, hub=None, socket=None)
    assert {item.check for item in examine(alone)} == {"clock", "disk", "libraries", "telemetry", "resources"}


@pytest.mark.parametrize(
    ("facts", "check", "verdict"),
    [
        (replace(WELL, now_s=0.0, newest_s=None, hub=None), "clock", "bad"),
        (replace(WELL, newest_s=NOW_S + 3600), "clock", "bad"),
        (replace(WELL, free_bytes=1 << 20), "disk", "bad"),
        (replace(WELL, free_bytes=200 << 20), "disk", "warn"),
        (replace(WELL, writing=SICK), "disk", "bad"),
        (replace(WELL, state=SICK), "state", "bad"),
        (replace(WELL, key_source="folder"), "state", "warn"),
        (replace(WELL, hub=replace(HUB, trouble=SICK)), "broker", "bad"),
        (replace(WELL, hub=replace(HUB, expires_s=NOW_S - 1)), "certificate", "bad"),
        (replace(WELL, hub=replace(HUB, expires_s=NOW_S + DAY_S)), "certificate", "warn"),
        (replace(WELL, versions=OLD), "libraries", "bad"),
        (replace(WELL, versions=MISSING), "libraries", "bad"),
        (replace(WELL, telemetry=None), "telemetry", "bad"),
        (replace(WELL, telemetry="0"), "telemetry", "bad"),
        (replace(WELL, limits=Limits(memory_bytes=64 << 20)), "resources", "bad"),
        (replace(WELL, limits=Limits(memory_bytes=256 << 20, used_bytes=200 << 20)), "resources", "warn"),
        (replace(WELL, limits=Limits(cpus=0.2)), "resources", "warn"),
        (replace(WELL, free_memory_bytes=1 << 20), "resources", "warn"),
        (replace(WELL, socket_trouble=SICK), "socket", "bad"),
        (replace(WELL, socket_mode=0o666), "socket", "warn"),
    ],
)
def test_one_ill_gives_one_finding_with_a_remedy(facts: Facts, check: str, verdict: str) -> None:
    ill = [item for item in examine(facts) if item.verdict != "ok"]
    assert [(item.check, item.verdict) for item in ill] == [(check, verdict)]
    assert ill[0].found
    assert ill[0].remedy


def test_versions_are_compared_as_numbers() -> None:
    newer = dict.fromkeys(doctor.LEAST_VERSIONS, "100.0rc1")
    assert doctor.libraries(replace(WELL, versions=newer)).verdict == "ok"


def test_the_least_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["device"]]
    asked = [re.match(r"([\w-]+)>=([\d.]+)", one) for one in needed]
    assert {one[1]: one[2] for one in asked if one} == doctor.LEAST_VERSIONS


def test_a_state_is_opened_and_closed_again(tmp_path: Path) -> None:
    Store(tmp_path).close()
    facts = doctor_facts.gather(tmp_path, None)
    assert (facts.key_source, facts.state, facts.writing) == ("folder", None, None)
    Store(tmp_path).close()


def test_a_state_that_does_not_open_is_told(tmp_path: Path) -> None:
    Store(tmp_path).close()
    (tmp_path / "acclimate.key").chmod(0o644)
    result = CliRunner().invoke(main, ["doctor", str(tmp_path), "--json"])
    found = {item["check"]: item for item in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert found["state"]["verdict"] == "bad"
    assert found["state"]["remedy"].startswith("run chmod 600")


def test_no_state_is_a_wrong_use_and_none_is_made(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", str(tmp_path)])
    assert result.exit_code == 2
    assert "no state here" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    assert doctor_facts.try_to_write(tmp_path) is None
    assert not list(tmp_path.iterdir())
    found = doctor_facts.try_to_write(tmp_path / "missing")
    assert found is not None
    assert "cannot be written" in found.message


def test_a_certificate_that_cannot_be_used_is_told() -> None:
    who = Identity(host="localhost", port=1, tenant="t", device="d", cohort="", ca="", certificate="x", key="x")
    found = doctor_facts.greet(who)
    assert found is not None
    assert found.remedy


def test_a_socket_that_answers_and_one_that_does_not(tmp_path: Path) -> None:
    with served(tmp_path, CountingAgent()) as path:
        facts = doctor_facts.gather(None, path)
        assert (facts.socket_trouble, facts.socket_mode) == (None, 0o660)
    gone = doctor_facts.gather(None, path)
    assert gone.socket_trouble is not None
    assert "nobody answers" in gone.socket_trouble.message


def test_people_get_a_table(tmp_path: Path) -> None:
    Store(tmp_path).close()
    result = CliRunner().invoke(main, ["doctor", str(tmp_path)])
    assert "To do: use a systemd credential" in " ".join(result.stdout.replace("│", " ").split())
