"""The package without its third-party libraries: shape, bytes, scripts; the whole is in test_clean_root."""

import io
import subprocess
import tarfile
from pathlib import Path

import msgspec
import pytest

from acclimate_shared.errors import PackageError
from acclimate_tools.packaging import deb
from acclimate_tools.packaging.deb import SCRIPTS, Built, Order, build, control, differing
from acclimate_tools.packaging.recipe import DEBIAN, ROOT, Target, read_recipe
from tests.tools.packaging.programs import needs

TARGET = Target("arm64")  # with the Python of this machine, whose bytecode it is
ORDER = Order(target=TARGET, compression="none", bare=True)


def built(folder: Path, order: Order = ORDER) -> Built:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")  # there may be no git to ask
        return build(order, scratch=folder / "scratch", wheels=folder / "no wheels", out=folder / "out")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Built:
    needs("dpkg-deb")
    return built(tmp_path_factory.mktemp("one"))


def members(path: Path, part: str) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """Return what a part of a package holds, by name."""
    words = ["dpkg-deb", "--fsys-tarfile" if part == "data" else "--ctrl-tarfile", str(path)]
    data = subprocess.run(words, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: (m, tar.extractfile(m).read() if m.isfile() else b"") for m in tar}  # type: ignore[union-attr]


@pytest.mark.slow
def test_two_builds_have_the_same_bytes(package: Built, tmp_path: Path) -> None:
    again = built(tmp_path / "elsewhere")
    assert not differing(package.path, again.path)
    other = built(tmp_path, Order(target=ORDER.target, compression="none", bare=True, revision=2))
    assert differing(package.path, other.path)


@pytest.mark.slow
def test_everything_is_roots_and_nobody_else_may_write(package: Built) -> None:
    found = members(package.path, "data") | members(package.path, "control")
    assert len({member.mtime for member, _ in found.values()}) == 1
    for member, _ in found.values():
        assert (member.uid, member.gid) == (0, 0)
        assert member.issym() or member.mode in {0o644, 0o755}


@pytest.mark.slow
def test_nothing_says_where_it_was_built(package: Built) -> None:
    here = [str(ROOT).encode(), str(package.path.parent.parent).encode()]
    for name, (_, data) in members(package.path, "data").items():
        assert not any(place in data for place in here), name


@pytest.mark.slow
def test_what_is_in_it(package: Built) -> None:
    found = members(package.path, "data")
    site, tag = f"./{TARGET.site}", f"cpython-{TARGET.python.replace('.', '')}"
    assert found["./usr/bin/acclimate"][1].startswith(b"#!/usr/lib/acclimate/bin/python3 -I\n")
    assert found["./usr/bin/acclimate"][0].mode == 0o755
    assert found["./usr/lib/acclimate/bin/python3"][0].linkname == f"/usr/bin/python{TARGET.python}"
    assert found[f"{site}/acclimate_device/learners/mlp-regression/update.onnx"][1]
    pyc = found[f"{site}/acclimate_device/__pycache__/agent.{tag}.pyc"][1]
    assert pyc[4:8] == b"\x01\0\0\0"  # PEP 552: by hash, not checked
    assert f"/{TARGET.site}/acclimate_device/agent.py".encode() in pyc
    sources = [name for name in found if name.endswith(".py")]
    assert len(sources) == len([name for name in found if name.endswith(".pyc")])
    assert not any("acclimate_hub" in name or "acclimate_tools" in name for name in found)
    assert b"Apache License" in found["./usr/share/doc/acclimate/copyright"][1]


@pytest.mark.slow
def test_what_dpkg_is_told(package: Built) -> None:
    found = members(package.path, "control")
    text = found["./control"][1].decode()
    assert "Architecture: arm64\n" in text
    assert f"Depends: python3 (>= {TARGET.python}), python3 (<< 3." in text
    assert found["./conffiles"][1] == b"/etc/acclimate/acclimate.toml\n"
    assert len(found["./md5sums"][1].splitlines()) == sum(m.isfile() for m, _ in members(package.path, "data").values())
    assert {f"./{script}" for script in SCRIPTS} <= found.keys()


def test_descriptions_are_folded_as_policy_wants() -> None:
    text = control(read_recipe(), ORDER, 2049)
    assert "Installed-Size: 3\n" in text
    body = text[text.index("Description:") :].splitlines()[1:]
    assert all(line.startswith(" ") and line.strip() for line in body)


@pytest.mark.slow
def test_a_package_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("dpkg-deb")
    small = msgspec.structs.replace(read_recipe(), most_bytes=1000)
    monkeypatch.setattr(deb, "read_recipe", lambda: small)
    with pytest.raises(PackageError, match="too large"):
        built(tmp_path, Order(target=ORDER.target, compression="zstd", bare=True))


@pytest.mark.parametrize("script", [*SCRIPTS, "back-off"])
def test_scripts_are_plain_shell(script: str) -> None:
    assert subprocess.run(["/bin/sh", "-n", str(DEBIAN / script)], check=False).returncode == 0
