"""Which broker may be used, and how it is entered."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from acclimate_device.cli import main
from acclimate_device.local.broker import _login, broker_at, is_loopback
from acclimate_device.sync.wire import Login
from acclimate_shared.errors import UsageError

PLAIN: dict[str, Any] = {"prefix": "acclimate", "login": None, "ca": None, "remote": False}


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 (it is what is refused)
        ("10.0.0.7", False),
        ("localhost.example", False),
        ("broker", False),
    ],
)
def test_what_is_on_this_device(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours


@pytest.mark.parametrize("place", ["", "127.0.0.1", ":1883", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000", "h:x"])
def test_no_place(place: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        broker_at(place, **PLAIN)


def test_another_machine_needs_a_word_and_encryption(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"another machine.*--broker-remote"):
        broker_at("10.0.0.7:1883", **PLAIN)
    with pytest.raises(UsageError, match=r"in the clear.*--broker-ca"):
        broker_at("10.0.0.7:1883", **{**PLAIN, "remote": True})
    (tmp_path / "ca").write_text("nonsense")
    with pytest.raises(UsageError, match="no certificates"):
        broker_at("[::1]:1883", **{**PLAIN, "ca": tmp_path / "ca"})
    assert broker_at("[::1]:1883", **PLAIN).host == "::1"


@pytest.mark.parametrize(
    ("text", "mode", "wrong"),
    [("user:secret", 0o640, "others may read"), ("user", 0o600, "no login"), (":secret", 0o600, "no login")],
)
def test_no_login(tmp_path: Path, text: str, mode: int, wrong: str) -> None:
    (path := tmp_path.parent / f"login-{mode:o}").write_text(text)  # the name of the folder has the word
    path.chmod(mode)
    with pytest.raises(UsageError, match=wrong) as caught:
        broker_at("127.0.0.1:1883", **{**PLAIN, "login": path})
    assert "secret" not in str(caught.value)


def test_a_login_is_read_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "login"
    path.write_text("user:p:w\n")
    path.chmod(0o600)
    made = broker_at("127.0.0.1:1883", **{**PLAIN, "login": path})
    assert _login(made) == Login("user", "p:w")
    assert "p:w" not in repr(_login(made))
    path.chmod(0o440)  # as a service manager hands it over
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert _login(made) == Login("user", "p:w")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--source", "mqtt", "--label", "y"], "which broker"),
        (["run", "--source", "mqtt", "--label", "y", "--broker", "127.0.0.1:1"], "which topics"),
        (["run", "--source", "mqtt", "--label", "y", "--broker", "8.8.8.8:1", "--topics", "a"], "another machine"),
        (["run", "--source", "mqtt", "--broker", "127.0.0.1:1", "--topics", "a"], "where do the labels come from"),
        (["run", "--source", "-", "--label", "y", "--topics", "a"], "no such option"),
        (["run", "--source", "host", "--broker", "127.0.0.1:1"], "no such option"),
        (["run", "--source", "host", "--broker-remote"], "which broker"),
        (
            ["serve", "--socket", "s", "--task", "regression", "--broker", "127.0.0.1:1", "--broker-prefix", "#"],
            "no prefix",
        ),
    ],
)
def test_options_that_make_no_sense(words: list[str], said: str) -> None:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert said in done.output
