"""From a package folder to a device that has the bundle, as people drive it: author, three keys, a stick."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from acclimate_device.cli import main as device_main
from acclimate_shared.bundle import digest_of, read_bundle
from acclimate_shared.constraints import Feature, edges_of
from acclimate_shared.learner import save_package
from acclimate_shared.sanity import Sanity
from acclimate_tools.author.cli import main
from tests.bundles import PLAN, bundle

PHRASE = "a long passphrase"


def run(*args: str | Path, text: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], input=text)


def good(*args: str | Path) -> str:
    done = run(*args)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    save_package(bundle().package, tmp_path / "counter")
    (tmp_path / "plan.json").write_bytes(PLAN.canonical())
    (tmp_path / "rows.csv").write_text("a,b,c\n1,2,3\n4,,6\n")
    (tmp_path / "labelled.csv").write_text("a,b,c,label\n1,2,3,0\n4,,6,0\n")
    (tmp_path / "phrase").write_text(PHRASE + "\n")
    return tmp_path


def bundled(desk: Path, *extra: str) -> Result:
    words: list[str | Path] = ["bundle", desk / "counter", "--plan", desk / "plan.json", "--rows", desk / "rows.csv"]
    if "--label" in extra:
        words[-1] = desk / "labelled.csv"
    words += ["--dim", "classes=2", "--memory", "1", "--out", desk / "counter.bundle"]
    return run(*words, *extra)


def test_bundle(desk: Path) -> None:
    words = ["--label", "label", "--min-right", "1", "--feature", "load:number", "--edges", "load=-1.5,0,2"]
    done = bundled(desk, *words, "--agent", "0.1.0")
    assert done.exit_code == 0, done.output
    data = (desk / "counter.bundle").read_bytes()
    assert digest_of(data) in done.output
    found = read_bundle(data, digest=digest_of(data))
    assert found.constraints.features == (Feature(name="load", kind="number", edges=edges_of((-1.5, 0.0, 2.0))),)
    assert found.sanity.rule.dims == {"features": 3, "classes": 2}
    assert found.sanity.expected[0].tolist() == pytest.approx([4 / 6, 2 / 6])
    bundled(desk, *words, "--agent", "0.1.0")
    assert (desk / "counter.bundle").read_bytes() == data


@pytest.mark.parametrize(
    ("extra", "code", "words"),
    [
        (["--label", "nothing"], 2, "name one of a, b, c, label"),
        (["--feature", "load"], 2, "NAME:VALUE"),
        (["--feature", "load:colour"], 2, "number or category"),
        (["--feature", "load:number", "--edges", "load"], 2, "NAME=VALUE"),
        (["--feature", "load:number", "--edges", "load=1,low"], 2, "numbers with commas"),
        (["--feature", "load:number", "--edges", "load=2,1"], 1, "numbers that rise"),
        (["--feature", "load:number", "--edges", "heat=1"], 2, "--feature too"),
        (["--dim", "wings=two"], 2, "whole number"),
        (["--dim", "wings=2"], 1, "no such dim"),
        (["--label", "label", "--max-error", "1"], 1, "not of this task"),
        (["--label", "c", "--min-right", "0.9"], 1, "fails its sanity set"),
        (["--agent", "latest"], 1, "1.2.3"),
        (["--plan", "none.toml"], 2, "cannot be read"),
    ],
)
def test_bundle_refuses(desk: Path, extra: list[str], code: int, words: str) -> None:
    done = bundled(desk, *extra)
    assert (done.exit_code, words in done.output) == (code, True), done.output
    assert not (desk / "counter.bundle").exists()


def test_rows_that_are_none(desk: Path) -> None:
    for text, words in (
        ("", "no rows"),
        ("a,b,c\n", "no rows"),
        ("a,b,c\n1,2,x\n", "row 1"),
        ("a,b,c\n1,2\n", "row 1"),
    ):
        (desk / "rows.csv").write_text(text)
        done = bundled(desk)
        assert done.exit_code == 2
        assert words in done.output


def test_rows_from_tensors(desk: Path) -> None:
    first: Sanity = bundle().sanity
    (desk / "rows.safetensors").write_bytes(first.tensors())
    assert bundled(desk, "--rows", str(desk / "rows.safetensors")).exit_code == 0


def released(desk: Path) -> str:
    """Make keys, a root and a release; return the digest."""
    keys, fleet, phrase = desk / "keys", desk / "fleet", desk / "phrase"
    for name in ("r1", "r2", "r3", "t", "s", "ts"):
        good("keys", "new", keys / name, "--passphrase-file", phrase)
    words: list[str | Path] = ["release", "init", fleet]
    for option, name in (
        ("root", "r1"),
        ("root", "r2"),
        ("root", "r3"),
        ("targets", "t"),
        ("snapshot", "s"),
        ("timestamp", "ts"),
    ):
        words += [f"--{option}", keys / f"{name}.pub.json"]
    good(*words)
    for name in ("r1", "t", "r3"):
        good("release", "sign", fleet, "--key", keys / f"{name}.pem", "--passphrase-file", phrase)
    assert bundled(desk).exit_code == 0
    assert "counter 1.0" in good("release", "add", fleet, desk / "counter.bundle")
    good("release", "sign", fleet, "--key", keys / "t", "--passphrase-file", phrase)
    return digest_of((desk / "counter.bundle").read_bytes())


def exported(desk: Path, digest: str) -> Result:
    words: list[str | Path] = ["release", "export", desk / "fleet", digest, "--out", desk / "stick.update"]
    words += [
        "--snapshot",
        desk / "keys" / "s",
        "--timestamp",
        desk / "keys" / "ts",
        "--passphrase-file",
        desk / "phrase",
    ]
    return run(*words)


@pytest.mark.slow
def test_from_the_desk_to_a_device(desk: Path) -> None:
    digest = released(desk)
    assert digest in good("release", "list", desk / "fleet")
    assert "2 of" in good("release", "status", desk / "fleet")
    assert exported(desk, "f" * 64).exit_code == 2
    assert exported(desk, digest).exit_code == 0
    runner, words = CliRunner(), ["update", str(desk / "stick.update"), "--state", str(desk / "state")]
    refused = runner.invoke(device_main, words)
    assert (refused.exit_code, "no root of trust" in refused.output) == (2, True)
    root = desk / "fleet" / "metadata" / "1.root.json"
    done = runner.invoke(device_main, [*words, "--root", str(root), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["digest"] == digest
    again = runner.invoke(device_main, words)
    assert again.stdout.startswith("counter 1.0 is verified")
    other = runner.invoke(device_main, [*words, "--root", str(desk / "fleet" / "metadata" / "1.targets.json")])
    assert (other.exit_code, "another root" in other.output) == (2, True)
    good("release", "withdraw", desk / "fleet", digest)
    good("release", "sign", desk / "fleet", "--key", desk / "keys" / "t", "--passphrase-file", desk / "phrase")
    assert exported(desk, digest).exit_code == 2


def test_rotation(desk: Path) -> None:
    released(desk)
    fleet, phrase = desk / "fleet", desk / "phrase"
    old = good("keys", "show", desk / "keys" / "t").strip()
    good("keys", "new", desk / "keys" / "t2", "--passphrase-file", phrase)
    assert run("release", "rotate", fleet, "targets").exit_code == 2
    good("release", "rotate", fleet, "targets", "--add", desk / "keys" / "t2", "--remove", old)
    for name in ("r1", "r2", "t2"):
        good("release", "sign", fleet, "--key", desk / "keys" / name, "--passphrase-file", phrase)
    assert old[:16] not in good("release", "status", fleet)
    assert run("release", "sign", fleet, "--key", desk / "keys" / "t", "--passphrase-file", phrase).exit_code == 2
    good("release", "renew", fleet, "root")
    assert "root, staged" in good("release", "status", fleet)


def test_a_passphrase_is_asked_for_twice_and_never_shown(tmp_path: Path) -> None:
    done = run("keys", "new", tmp_path / "k", text=f"{PHRASE}\n{PHRASE}\n")
    assert done.exit_code == 0, done.output
    assert PHRASE not in done.output
    assert run("keys", "new", tmp_path / "l", text=f"{PHRASE}\nanother\n").exit_code != 0
    assert not (tmp_path / "l.pem").exists()
    assert run("keys", "new", tmp_path / "m", "--passphrase-file", tmp_path / "none").exit_code == 2
