import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate_shared.errors import (
    DigestError,
    GraphError,
    ManifestError,
    MissingFileError,
    NewerFormatError,
    PackageError,
    ShapeError,
    UnsupportedOpError,
)
from acclimate_shared.learner import LearnerPackage, load_package, make_package, save_package, tensors_digest, verify
from acclimate_shared.manifest import MAX_MANIFEST_BYTES, Init, TensorSpec, canonical, check, decode
from tests.graphs import MANIFEST, PREDICT, UPDATE, counter, model

STATE = {"count": np.array([3.0, 1.0], np.float32), "total": np.array([0.5, 0.25, -1.0])}


def with_state() -> LearnerPackage:
    sanity = {"x": np.ones((2, 3)), "scalar": np.array(1.5)}
    return make_package(MANIFEST, predict=model(PREDICT), update=model(UPDATE), state=STATE, sanity=sanity)


def edit(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_package(with_state(), tmp_path / "p")
    return tmp_path / "p"


def test_loads_what_was_saved(folder: Path) -> None:
    saved, loaded = with_state(), load_package(folder)
    assert loaded.manifest == saved.manifest
    assert loaded.digest == saved.digest
    assert len(loaded.digest) == 64
    np.testing.assert_array_equal(loaded.state["total"], STATE["total"])
    assert not loaded.state["count"].flags.writeable
    assert loaded.sanity is not None
    assert loaded.sanity["scalar"].shape == ()
    assert sorted(p.name for p in folder.parent.iterdir()) == ["p"]


def test_the_digest_of_format_1_never_changes() -> None:
    parts = b"predict", b"update"
    package = LearnerPackage(manifest=MANIFEST, predict=parts[0], update=parts[1])
    assert package.digest == "8934158b88ad81d8a905803e9f32c003f057a774ac4569b9cd3ec060ffea7126"
    assert tensors_digest(STATE) == "25a6ac0c2af3adf4d83eaf1cd1ef7ae5bb8bac59c21cd9c0e89c167b84d4afc2"


def test_a_package_written_by_the_first_version_still_loads() -> None:
    package = load_package(Path(__file__).parent / "golden" / "format-1")
    assert package.digest == "15301160c150daee9f656ccfc9ada57ae04336421d2c8562bf8ddc857158de8c"
    np.testing.assert_array_equal(package.state["count"], STATE["count"])


def test_layout_of_files_does_not_matter(folder: Path) -> None:
    before = load_package(folder).digest
    loaded = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(dict(reversed(loaded.items())), indent=3))
    data = safetensors.numpy.save(dict(reversed(STATE.items())), metadata={"note": "other layout"})
    (folder / "state.safetensors").write_bytes(data)
    (folder / "unnamed.txt").write_text("not looked at")
    assert load_package(folder).digest == before


def test_unknown_fields_survive_and_count_in_the_digest(folder: Path, tmp_path: Path) -> None:
    before = load_package(folder).digest
    raw = json.loads((folder / "manifest.json").read_text())
    raw["colour"] = {"deep": [1, 2.5, None]}
    raw["state"][1]["unit"] = "metre"
    raw["state"][0]["init"]["later"] = True
    (folder / "manifest.json").write_text(json.dumps(raw))
    package = load_package(folder)
    assert package.digest != before
    save_package(package, tmp_path / "again")
    again = json.loads((tmp_path / "again" / "manifest.json").read_text())
    assert again == raw
    assert load_package(tmp_path / "again").digest == package.digest


def test_saving_over_a_package_replaces_it_and_over_anything_else_refuses(folder: Path, tmp_path: Path) -> None:
    save_package(counter(about="new"), folder)
    assert load_package(folder).manifest.about == "new"
    assert not (folder / "sanity.safetensors").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").touch()
    with pytest.raises(PackageError, match="something else"):
        save_package(with_state(), tmp_path / "mine")
    (tmp_path / "file").touch()
    with pytest.raises(PackageError, match="something else"):
        save_package(with_state(), tmp_path / "file")


def garbage(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def change(**fields: object) -> Callable[[Path], object]:
    return lambda folder: edit(folder, **fields)


def list_file(name: str, digest: str = "0" * 64) -> Callable[[Path], object]:
    def edit_files(folder: Path) -> None:
        edit(folder, files=json.loads((folder / "manifest.json").read_text())["files"] | {name: digest})

    return edit_files


def grow_file(name: str, size: int) -> Callable[[Path], object]:
    return lambda folder: os.truncate(folder / name, size)


def fifo(folder: Path) -> None:
    (folder / "update.onnx").unlink()
    os.mkfifo(folder / "update.onnx")


BROKEN: dict[str, tuple[Callable[[Path], object], type[PackageError]]] = {
    "no folder": (shutil.rmtree, MissingFileError),
    "no manifest": (remove("manifest.json"), MissingFileError),
    "no predict graph": (remove("predict.onnx"), MissingFileError),
    "no update graph": (remove("update.onnx"), MissingFileError),
    "no state": (remove("state.safetensors"), MissingFileError),
    "no sanity set": (remove("sanity.safetensors"), MissingFileError),
    "files not named": (change(files={}), MissingFileError),
    "file that climbs": (list_file("../../etc/passwd"), ManifestError),
    "absolute file": (list_file("/etc/passwd"), ManifestError),
    "file with NUL": (list_file("a\0b"), ManifestError),
    "other digest": (list_file("predict.onnx"), DigestError),
    "digest of another type": (list_file("predict.onnx", 7), ManifestError),  # type: ignore[arg-type]
    "not JSON": (garbage("manifest.json", b"\x93NUMPY"), ManifestError),
    "empty manifest": (garbage("manifest.json", b""), ManifestError),
    "manifest is a list": (garbage("manifest.json", b"[]"), ManifestError),
    "manifest nests": (garbage("manifest.json", b'{"a":' * 100_000), ManifestError),
    "manifest not UTF-8": (garbage("manifest.json", b'{"name": "\xff"}'), ManifestError),
    "manifest is huge": (grow_file("manifest.json", MAX_MANIFEST_BYTES + 1), ManifestError),
    "huge number": (garbage("manifest.json", b'{"extra": 1' + b"0" * 400 + b"}"), ManifestError),
    "newer format": (change(format=2, state="of another kind"), NewerFormatError),
    "format 0": (change(format=0), ManifestError),
    "other graph": (garbage("update.onnx", model(PREDICT)), DigestError),
    "truncated graph": (grow_file("update.onnx", 100), DigestError),
    "graph is huge": (grow_file("update.onnx", (32 << 20) + 1), ManifestError),
    "graph is a pipe": (fifo, ManifestError),
    "truncated tensors": (grow_file("state.safetensors", 20), ManifestError),
    "garbage tensors": (garbage("state.safetensors", b"\xff" * 100), ManifestError),
    "other tensors": (garbage("state.safetensors", safetensors.numpy.save({"a": np.zeros(1)})), DigestError),
    "unknown task": (change(task="poetry"), ManifestError),
    "inner 0": (change(inner=0), ManifestError),
    "no state tensors": (change(state=[]), ManifestError),
}


@pytest.mark.parametrize("name", BROKEN)
def test_every_way_to_break_a_package_has_its_error(folder: Path, name: str) -> None:
    damage, error = BROKEN[name]
    damage(folder)
    with pytest.raises(PackageError) as caught:
        load_package(folder)
    assert type(caught.value) is error, caught.value


@pytest.mark.parametrize(
    ("state", "field"),
    [
        ({"count": np.zeros(2)}, "count"),
        ({"count": np.zeros((2, 2), np.float32)}, "count"),
        ({"count": np.zeros(0, np.float32)}, "classes"),
        ({"other": np.zeros(2, np.float32)}, "other"),
    ],
)
def test_tensors_must_be_what_the_manifest_declares(state: dict[str, np.ndarray], field: str) -> None:
    with pytest.raises(ShapeError) as caught:
        make_package(MANIFEST, predict=model(PREDICT), update=model(UPDATE), state=state)
    assert caught.value.field == field
    with pytest.raises(ShapeError):
        make_package(MANIFEST, predict=model(PREDICT), update=model(UPDATE), sanity={"x": np.zeros(2, np.float16)})


def spec(name: str, **fields: object) -> TensorSpec:
    base = TensorSpec(name=name, dtype="float32", shape=("classes",))
    return msgspec.structs.replace(base, **fields)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": (spec("a"), spec("a"))},
        {"state": (spec("x"),)},
        {"state": (spec("../a"),)},
        {"state": (spec("a__next"),)},
        {"state": (spec("a", shape=("rows",)),)},
        {"state": (spec("a", shape=(0,)),)},
        {"state": (spec("a", shape=(2**40,)),)},
        {"state": (spec("a", shape=(1,) * 9),)},
        {"state": (spec("a", init=Init(kind="eye")),)},
        {"state": (spec("a", init=Init(value=float("inf"))),)},
        {"state": (spec("a", dtype="int64", init=Init(kind="normal")),)},
        {"state": (spec("a", holds_rows=True),)},
        {"x": spec("x", dtype="float64", shape=("features",))},
        {"max_rows": 0},
        {"name": ""},
        {"hyper": (msgspec.structs.replace(MANIFEST.hyper[0], default=11.0),)},
        {"hyper": (msgspec.structs.replace(MANIFEST.hyper[0], high=float("nan")),)},
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ManifestError):
        check(msgspec.structs.replace(MANIFEST, **changes))


def test_graphs_must_be_of_the_standard() -> None:
    with pytest.raises(UnsupportedOpError, match=r"predict.onnx has an operator of another domain"):
        counter(predict=PREDICT.replace("Expand(", "com.microsoft.Expand("))
    with pytest.raises(UnsupportedOpError, match="opset"):
        counter(opset=21)
    with pytest.raises(GraphError):
        make_package(MANIFEST, predict=b"\xff", update=model(UPDATE))
    with pytest.raises(DigestError):
        verify(LearnerPackage(manifest=MANIFEST, predict=model(PREDICT), update=model(UPDATE)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([*sorted(msgspec.to_builtins(MANIFEST)), "unknown"]), JSON)
@settings(max_examples=200)
def test_any_value_in_any_field_is_read_or_refused(name: str, value: object) -> None:
    raw = msgspec.to_builtins(MANIFEST) | {name: value}
    try:
        manifest, kept = decode(json.dumps(raw).encode())
    except PackageError:
        return
    once = canonical(manifest, kept)
    assert canonical(*decode(once)) == once


@given(data=st.data())
@settings(max_examples=60)
def test_a_flipped_byte_anywhere_is_refused_or_changes_nothing(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.getbasetemp() / "flip"
    if not root.exists():
        save_package(with_state(), root)
    digest = with_state().digest
    path = root / data.draw(st.sampled_from(sorted(p.name for p in root.iterdir())))
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bad)
    try:
        loaded = load_package(root)
    except PackageError:
        pass
    else:
        assert loaded.digest == digest or path.name == "manifest.json"
    finally:
        path.write_bytes(good)
