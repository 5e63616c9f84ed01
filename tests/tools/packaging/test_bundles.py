"""Base models become bundles that a device verifies and answers."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from acclimate_device.cli import main as device
from acclimate_device.feeds import columns_of_host
from acclimate_shared.bundle import digest_of, read_bundle
from acclimate_shared.errors import UsageError
from acclimate_tools.packaging.base_model import all_folders, read_base_model
from acclimate_tools.packaging.bundles import build_all, main
from acclimate_tools.packaging.pretrain import rows_of
from acclimate_tools.packaging.signing import Keys, author
from tests.results import Record

NAMES = ["host_telemetry", "human_activity", "tabular"]


def folder(name: str) -> Path:
    return next(path for path in all_folders() if path.name == name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with short builds, signed with test keys."""
    out = tmp_path_factory.mktemp("bundles")
    build_all([folder("host_telemetry"), folder("tabular")], out, None, short=True)
    return out


def updated(out: Path, name: str, state: Path, root: Path | None = None) -> tuple[int, str]:
    words = ["update", str(out / f"{name}.update"), "--state", str(state), "--root", str(root or out / "1.root.json")]
    found = CliRunner().invoke(device, [*words, "--json"])
    return found.exit_code, found.output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["host_telemetry", "tabular"])
def test_a_device_takes_them(made: Path, tmp_path: Path, name: str) -> None:
    code, output = updated(made, name, tmp_path / "state")
    assert code == 0, output
    said = json.loads(output)
    assert (said["model"], said["version"]) == (name, "1.0")
    facts = json.loads((made / "bundles.json").read_text())
    assert facts["keys"] == "test"
    assert said["digest"] == facts["bundles"][name]["digest"]


@pytest.mark.slow
def test_what_other_keys_signed_is_refused(made: Path, tmp_path: Path) -> None:
    other = Keys.for_tests(tmp_path / "keys")
    words = [word for n in ("root-1", "root-2", "root-3") for word in ("--root", str(other.public(n)))]
    words += [word for n in ("targets", "snapshot", "timestamp") for word in (f"--{n}", str(other.public(n)))]
    author(["release", "init", str(tmp_path / "fleet"), *words])
    for name in ("root-1", "root-2"):
        phrase = ["--passphrase-file", str(other.passphrase_file)]
        author(["release", "sign", str(tmp_path / "fleet"), "--key", str(other.secret(name)), *phrase])
    code, output = updated(made, "tabular", tmp_path / "state", tmp_path / "fleet" / "metadata" / "1.root.json")
    assert code == 1
    assert "acclimate:" in output
    assert not list((tmp_path / "state").glob("bundles/*.bundle"))


@pytest.mark.slow
def test_the_bundle_says_what_the_folder_says(made: Path) -> None:
    data = (made / "host_telemetry.bundle").read_bytes()
    bundle, base = read_bundle(data, digest=digest_of(data)), read_base_model(folder("host_telemetry"))
    assert bundle.plan == base.plan
    declared = [(feature.name, feature.bounds) for feature in bundle.constraints.features]
    assert declared == [(column.name, column.edges) for column in base.schema.column]
    assert declared[0] == ("cpu_user", (5.0, 10.0, 25.0, 50.0, 75.0, 90.0))
    assert "idle, light, busy, full" in bundle.package.manifest.about
    assert bundle.package.state["norm_count"][0] > 0  # it was taught


@pytest.mark.slow
def test_given_keys_sign_and_a_fleet_goes_on(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "fleet", tmp_path / "fleet")
    keys = Keys(made / "test-keys", made / "test-keys" / "passphrase")
    document = build_all([folder("tabular")], tmp_path, keys, short=True)
    assert document["keys"] == "given"
    listed = author(["release", "list", str(tmp_path / "fleet")])
    assert listed.count("tabular") == 1  # the same bytes, so the same release
    assert "host_telemetry" in listed
    code, output = updated(tmp_path, "tabular", tmp_path / "state")
    assert code == 0, output


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a key is missing.*root-1"):
        Keys(tmp_path, tmp_path / "phrase")


def test_refused_commands_say_why(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="acclimate-author release"):
        author(["release", "add", str(tmp_path), str(folder("tabular") / "plan.toml")])


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["--only", "nothing"]).exit_code == 1
    found = CliRunner().invoke(main, ["--only", "tabular", "--keys", str(tmp_path), "--out", str(tmp_path)])
    assert "--passphrase-file" in found.output


def test_every_folder_is_whole() -> None:
    assert [path.name for path in all_folders()] == NAMES
    for path in all_folders():
        base = read_base_model(path)
        rows = rows_of(base, 8)
        assert rows.x.shape[0] == 8
        assert len(base.schema.column) in {0, rows.x.shape[1]}


def test_the_schema_of_host_telemetry_is_that_of_the_source() -> None:
    columns = [column.name for column in columns_of_host() if column.name != "temperature_c"]
    assert [column.name for column in read_base_model(folder("host_telemetry")).schema.column] == columns


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("model.toml", 'name = "tabular"', 'name = "other"'),
        ("model.toml", "memory_mib", "memory"),
        ("schema.toml", "classification", "guessing"),
        ("plan.toml", "mde = 0.02", "mde = 2"),
        ("README.md", None, None),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path, file: str, old: str | None, new: str | None) -> None:
    copy = tmp_path / "tabular"
    shutil.copytree(folder("tabular"), copy)
    if old is None or new is None:
        (copy / file).unlink()
    else:
        text = (copy / file).read_text()
        assert old in text
        (copy / file).write_text(text.replace(old, new))
    with pytest.raises(UsageError):
        read_base_model(copy)


def test_a_schema_that_is_not_the_sources_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "host_telemetry"
    shutil.copytree(folder("host_telemetry"), copy)
    text = (copy / "schema.toml").read_text()
    (copy / "schema.toml").write_text(text.replace('"load1"', '"load15"'))
    with pytest.raises(UsageError, match="not that of the source"):
        rows_of(read_base_model(copy), 10)


@pytest.mark.long
def test_all_bundles(tmp_path: Path, record: Record) -> None:
    document = build_all(all_folders(), tmp_path, None)
    for name, facts in document["bundles"].items():
        code, output = updated(tmp_path, name, tmp_path / f"state-{name}")
        assert code == 0, output
        record("bundles", name, {key: value for key, value in facts.items() if key != "digest"})
    for name in ("host_telemetry", "human_activity"):
        facts = document["bundles"][name]
        assert facts["right_of_check"] > facts["most_frequent_of_check"] + 0.1
