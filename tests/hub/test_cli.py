from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from acclimate_hub.cli import main
from acclimate_hub.hub import Hub
from acclimate_hub.identity import api_tokens
from acclimate_hub.identity.tokens import Scope


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--data", str(folder / "data"), *words])


@pytest.fixture
def made(tmp_path: Path) -> Path:
    result = run(tmp_path, "init")
    assert result.exit_code == 0, result.output
    return tmp_path


def test_from_nothing_to_a_token_that_opens_everything(made: Path) -> None:
    text = run(made, "token", "create", "--name", "ops", "--scope", "operator").stdout.strip()
    hub = Hub.open(f"sqlite:///{made}/data/hub.db", made / "data" / "secret", lambda: 1.7e9)
    with hub.database.read() as connection:
        caller = api_tokens.authenticate(connection, text, 1.7e9)
    hub.close()
    assert (caller.tenant, caller.scope) == ("main", Scope.OPERATOR)
    assert run(made, "claim", "create", "--uses", "3", "--device", "gw-1").stdout.startswith("acc_claim_")
    verified = run(made, "audit", "verify")
    assert verified.stdout.startswith("4 entries, head ")
    head = verified.stdout.split()[-1]
    assert run(made, "audit", "verify", "--head", head).exit_code == 0


def test_a_copy_and_back(made: Path, tmp_path: Path) -> None:
    assert run(made, "backup", str(tmp_path / "copy.gz")).exit_code == 0
    again = tmp_path / "again"
    assert run(again, "restore", str(tmp_path / "copy.gz")).exit_code == 0
    (again / "data" / "secret").write_bytes((made / "data" / "secret").read_bytes())
    assert run(again, "audit", "verify").output == run(made, "audit", "verify").output


def test_the_brokers_files_are_written_with_private_keys(made: Path) -> None:
    out = made / "broker"
    assert run(made, "broker-config", "mosquitto", "--out", str(out), "--host", "localhost").exit_code == 0
    keys = sorted(path.name for path in out.iterdir() if path.stat().st_mode & 0o077 == 0)
    assert keys == ["broker.key", "claim.key", "hub.key"]
    rules = (out / "mosquitto.acl").read_text()
    assert "pattern write acclimate/v1/main/d/%u/up/+" in rules
    assert "readwrite" not in rules.partition("user _claim")[2]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("init",), 1, "there already"),
        (("claim", "create", "--uses", "0"), 2, "greater than or equal to 1 [body.max_uses = 0]"),
        (("claim", "create", "--cohort", "nowhere"), 1, "no such cohort"),
        (("--tenant", "nobody", "audit", "verify"), 1, "no such tenant"),
        (("audit", "verify", "--head", "0" * 64), 1, "never had"),
        (("--database", "mysql://x", "audit", "verify"), 2, "no such kind"),
        (("--database", "postgresql://x@127.0.0.1:1/y", "backup", "f"), 3, "does not answer"),
        (("restore", "missing.gz"), 1, "cannot be read"),
        (("--who", "a b", "cohort", "list"), 2, "no name of a person [who = 'a b']"),
        (("serve", "--certificate", "missing.crt"), 2, "certificate of the API cannot be used"),
        (("serve", "--key", "missing.key"), 2, "a key has its certificate"),
        (("device", "show", "a/b"), 2, "this is no name"),
        (("device", "show", "gw-9"), 1, "[device = 'gw-9']"),
        (("device", "list", "--cohort", "?"), 2, "[query.cohort = '?']"),
        (("token", "create"), 2, "--name"),
    ],
)
def test_mistakes_get_one_line_and_an_exit_code(made: Path, words: tuple[str, ...], code: int, says: str) -> None:
    result = run(made, *words)
    assert (result.exit_code, says in result.output) == (code, True), result.output
    assert "Traceback" not in result.output


def test_a_hub_that_was_never_made_says_so(tmp_path: Path) -> None:
    result = run(tmp_path, "claim", "create")
    assert result.exit_code == 1
    assert "init" in result.output


def test_help_is_there_for_every_command() -> None:
    def walk(command: Any, words: list[str]) -> None:
        assert CliRunner().invoke(main, [*words, "--help"]).exit_code == 0
        assert command.help
        for name, one in getattr(command, "commands", {}).items():
            walk(one, [*words, name])

    walk(main, [])
