from pathlib import Path

import pytest
from packaging.requirements import Requirement

from acclimate_shared.errors import PackageError, UsageError
from acclimate_tools.packaging.lock import lock_of, requirements
from acclimate_tools.packaging.recipe import Recipe, Target, epoch, read_recipe, version_of
from acclimate_tools.packaging.wheels import check_machine, normalised, read_lock, run, trim

RECIPE = read_recipe()
ELF = b"\x7fELF" + bytes(14)


def test_the_lock_holds_all_that_the_agent_needs() -> None:
    python, locked = read_lock()
    versions = {library.name: library.version for library in locked}
    wanted = [Requirement(text) for text in requirements()]
    assert len(wanted) > 10
    for one in wanted:
        assert one.specifier.contains(versions[normalised(one.name)]), one
    assert python == "3.11"
    assert not versions.keys() & {normalised(name) for name in RECIPE.unused}
    assert all(1 <= len(library.hashes) <= 2 for library in locked)  # one wheel for both processors, or one each


@pytest.mark.parametrize("text", ["numpy>=2\n", "numpy==2.0\n", "numpy==2.0 --hash=sha256:12\n", "numpy @ file.whl\n"])
def test_a_line_without_version_and_hash_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text("# python 3.11\n" + text)
    with pytest.raises(UsageError, match="not a line"):
        read_lock(tmp_path / "lock")


def wheel(folder: Path, name: str, data: bytes = b"") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


def test_a_lock_is_of_both_processors_and_of_the_same_versions(tmp_path: Path) -> None:
    folders = {arch: tmp_path / arch for arch in ("amd64", "arm64")}
    for arch, folder in folders.items():
        wheel(folder, f"Some_Thing-1.2-cp311-cp311-{arch}.whl", arch.encode())
        wheel(folder, "pip-26.0-py3-none-any.whl")
        wheel(folder, "pure-0.1-py3-none-any.whl")
    (tmp_path / "lock").write_text(lock_of(folders, RECIPE, "3.11"))
    python, locked = read_lock(tmp_path / "lock")
    assert python == "3.11"
    assert [(one.name, one.version, len(one.hashes)) for one in locked] == [
        ("pure", "0.1", 1),
        ("some-thing", "1.2", 2),
    ]
    wheel(folders["arm64"], "only_here-1.0-py3-none-any.whl")
    with pytest.raises(PackageError, match="missing for a processor"):
        lock_of(folders, RECIPE, "3.11")
    wheel(folders["amd64"], "only_here-1.1-py3-none-any.whl")
    with pytest.raises(PackageError, match="different versions"):
        lock_of(folders, RECIPE, "3.11")


def test_a_library_for_another_processor_is_refused(tmp_path: Path) -> None:
    (tmp_path / "good.so").write_bytes(ELF + (183).to_bytes(2, "little"))
    (tmp_path / "text.so").write_text("no program")
    check_machine(tmp_path, Target("arm64"))
    with pytest.raises(PackageError, match=r"another processor.*good\.so"):
        check_machine(tmp_path, Target("amd64"))


def test_what_no_device_needs_goes_and_licences_stay(tmp_path: Path) -> None:
    gone = ["bin/f2py", "numpy/tests/test_x.py", "numpy/a.pyi", "numpy/f2py/x.py", "x-1.dist-info/RECORD"]
    gone += ["onnxruntime/capi/libonnxruntime.so.1.2", "onnxruntime/transformers/y.py", "x-1.dist-info/direct_url.json"]
    kept = ["numpy/a.py", "x-1.dist-info/METADATA", "x-1.dist-info/licenses/LICENSE", "numpy/testing/__init__.py"]
    kept += ["onnxruntime/capi/libonnxruntime_providers_shared.so"]
    for name in gone + kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    trim(tmp_path, RECIPE)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)


def test_targets() -> None:
    assert "manylinux_2_28_aarch64" in Target("arm64").pip()
    with pytest.raises(UsageError, match="use amd64 or arm64"):
        Target("armhf")


def test_the_time_of_the_files(tmp_path: Path) -> None:
    assert epoch({"SOURCE_DATE_EPOCH": "12"}, tmp_path) == 12
    with pytest.raises(UsageError, match="no time"):
        epoch({}, tmp_path)


def test_without_git_it_must_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no time"):
        epoch({}, tmp_path)


def test_a_recipe_that_is_not_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        read_recipe(tmp_path)
    assert isinstance(RECIPE, Recipe)
    assert version_of(2).endswith("-2")


def test_a_program_that_fails_says_so() -> None:
    with pytest.raises(UsageError, match="no such thing"):
        run(["sh", "-c", "echo no such thing >&2; exit 3"])
    with pytest.raises(UsageError, match="missing"):
        run(["/no/such/program"])
