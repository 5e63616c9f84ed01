"""From an author's signature to a rollout, by the commands that people type."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from acclimate_hub.cli import main
from acclimate_hub.hub import Hub
from acclimate_hub.store import audit
from acclimate_shared.bundle import digest_of
from tests.bundles import bundle_bytes
from tests.hub.author_folder import signed

DATA = bundle_bytes()


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--data", str(folder / "data"), *words])


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A hub, and an author who has signed one release for it."""
    assert run(tmp_path, "init").exit_code == 0
    snapshot, timestamp = run(tmp_path, "release", "keys").stdout.split()
    signed(tmp_path, snapshot, timestamp, DATA)
    return tmp_path


def test_from_a_signature_to_a_rollout_and_its_end(fleet: Path) -> None:
    digest = digest_of(DATA)
    early = run(fleet, "rollout", "draft", "r1", "--digest", digest)
    assert (early.exit_code, "publish" in early.output) == (1, True)
    for _ in range(2):  # publishing again is publishing once
        assert digest in run(fleet, "release", "publish", str(fleet / "fleet")).output
    listed = json.loads(run(fleet, "release", "list", "--json").stdout)
    assert [(one["version"], one["digest"]) for one in listed] == [("1.0", digest)]
    drafted = run(fleet, "--who", "ann", "rollout", "draft", "r1", "--digest", digest)
    assert drafted.exit_code == 0, drafted.output
    alone = run(fleet, "--who", "ann", "rollout", "approve", "r1", "--why", "mine")
    assert (alone.exit_code, "author may not" in alone.output) == (1, True)
    for action in ("approve", "start", "pause", "resume", "abort"):
        done = run(fleet, "--who", "bob", "rollout", action, "r1", "--why", "it is time")
        assert done.exit_code == 0, done.output
    shown = run(fleet, "rollout", "show", "r1")
    assert "Aborted: it is time" in shown.output
    assert json.loads(run(fleet, "rollout", "show", "r1", "--json").stdout)["rollout"]["phase"] == "aborted"
    assert json.loads(run(fleet, "rollout", "list", "--json").stdout)[0]["phase"] == "aborted"
    again = run(fleet, "rollout", "start", "r1", "--why", "once more")
    assert (again.exit_code, "cannot start" in again.output) == (1, True)
    hub = Hub.open(f"sqlite:///{fleet}/data/hub.db", fleet / "data" / "secret", lambda: 1.7e9)
    with hub.database.read() as connection:
        acts = [(entry.actor, entry.action) for entry in audit.entries(connection, "main", 0, 100)]
    hub.close()
    assert len([act for _, act in acts if act == "release.publish"]) == 1
    wanted = [("ann", "draft"), *(("bob", word) for word in ("approve", "start", "pause", "resume", "abort"))]
    rollouts = [(actor, act) for actor, act in acts if act.startswith("rollout")]
    assert rollouts == [(f"cli:{who}", f"rollout.{word}") for who, word in wanted]


def test_what_was_changed_after_it_was_signed_is_not_published(fleet: Path) -> None:
    (bundle,) = (fleet / "fleet" / "bundles").iterdir()
    bundle.write_bytes(DATA[:-1] + b"x")
    done = run(fleet, "release", "publish", str(fleet / "fleet"))
    assert done.exit_code == 1
    assert run(fleet, "release", "list").output == ""
    targets = fleet / "fleet" / "metadata" / "2.targets.json"
    bundle.write_bytes(DATA)
    targets.write_bytes(targets.read_bytes().replace(b'"length":', b'"length": '))
    assert run(fleet, "release", "publish", str(fleet / "fleet")).exit_code in {0, 1}  # the same to JSON, or refused
    targets.write_bytes(targets.read_bytes().replace(digest_of(DATA).encode(), b"0" * 64))
    assert run(fleet, "release", "publish", str(fleet / "fleet")).exit_code == 1


def test_a_folder_that_is_none_of_an_author_is_refused(fleet: Path) -> None:
    done = run(fleet, "release", "publish", str(fleet))
    assert (done.exit_code, "acclimate-author" in done.output) == (2, True)
