import hashlib
import io
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from acclimate_shared.bundle import (
    KIND,
    Bundle,
    BundleError,
    digest_of,
    read_bundle,
    write_bundle,
)
from acclimate_shared.constraints import (
    MAX_COUNTED,
    MAX_EDGES,
    MAX_FEATURE_EDGES,
    ConstraintError,
    Constraints,
    Facts,
    Feature,
    Kind,
    edges_of,
    parse_version,
    read_constraints,
    write_constraints,
)
from acclimate_shared.container import Container, ContainerError, OversizeError, pack
from acclimate_shared.errors import (
    AcclimateError,
    DigestError,
    ManifestError,
    MissingFileError,
    PackageError,
    ShapeError,
)
from acclimate_shared.learner import read_tensors, tensors_digest, write_tensors
from acclimate_shared.messages.envelope import encode
from acclimate_shared.messages.topics import Kind as MessageKind
from acclimate_shared.messages.up import FeatureCounts, Metrics
from acclimate_shared.sanity import Sanity, SanityRule
from tests.bundles import NEEDS, PLAN, bundle, bundle_bytes, sanity
from tests.shared.messages.samples import wrapped

GOLDEN = Path(__file__).parent / "golden" / "format-1.bundle"


def parts_of(data: bytes) -> dict[str, bytes]:
    container = Container(io.BytesIO(data), KIND)
    return {name: container.read(name) for name in container.sizes}


def remade(**changes: bytes | None) -> bytes:
    """Return the bundle with other parts, index and digests right."""
    parts: dict[str, bytes | None] = {**parts_of(bundle_bytes()), **changes}
    return pack(KIND, {}, {name: part for name, part in sorted(parts.items()) if part is not None})


def read(data: bytes) -> Bundle:
    return read_bundle(data, digest=digest_of(data))


def edited(part: str, **changes: Any) -> dict[str, bytes]:
    raw = json.loads(parts_of(bundle_bytes())[part]) | changes
    return {part: json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()}


def test_reads_what_was_written() -> None:
    data = bundle_bytes()
    found, meant = read(data), bundle()
    assert found.package.digest == meant.package.digest
    assert (found.plan, found.constraints, found.sanity.rule) == (PLAN, NEEDS, meant.sanity.rule)
    np.testing.assert_array_equal(found.sanity.x, meant.sanity.x)
    assert write_bundle(found) == data
    assert write_bundle(bundle()) == data
    assert write_bundle(bundle(seed=1)) != data


def test_a_bundle_of_format_1_is_read_for_ever() -> None:
    data = GOLDEN.read_bytes()
    assert digest_of(data) == "27a5451c70a6b53e6018c3724ca510099d5c78214a43d199bbcd62548837476f"
    found = read(data)
    assert found.package.manifest.name == "counter"
    assert found.plan.digest == "ae144595a074fa0d2bd1977e7db7f0ce91332f124519bda451e44ea4baf5f768"
    assert write_bundle(found) == data


def test_nothing_is_parsed_before_the_digest_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("acclimate_shared.bundle.Container", never)
    for data in (b"", b"garbage", bundle_bytes() + b"x"):
        with pytest.raises(DigestError):
            read_bundle(data, digest=digest_of(bundle_bytes()))


def test_a_huge_file_is_not_even_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acclimate_shared.bundle.MAX_BUNDLE_BYTES", 100)
    with pytest.raises(OversizeError):
        read(bundle_bytes())


def test_the_architecture_is_all_but_the_data() -> None:
    one, other = bundle(seed=0), bundle(seed=1)
    assert one.architecture == other.architecture
    assert one.package.digest != other.package.digest
    narrow = Bundle(
        package=one.package, plan=PLAN, sanity=sanity(), constraints=Constraints(memory_mib=1, agent="1.0.0")
    )
    assert narrow.architecture != one.architecture


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"plan.json": None}, MissingFileError, "plan.json"),
        ({"package/manifest.json": None}, MissingFileError, "manifest.json"),
        ({"package/predict.onnx": None}, MissingFileError, "predict.onnx"),
        ({"package/predict.onnx": b"x"}, DigestError, "predict.onnx"),
        ({"package/sanity.safetensors": b"x"}, BundleError, "package"),
        ({"sanity.safetensors": b"x"}, ManifestError, "sanity.safetensors"),
        ({"plan.json": b"{}"}, BundleError, "plan.json"),
        ({"plan.json": PLAN.canonical() + b" "}, BundleError, "plan.json"),
        ({"plan.json": b"[" * 60_000}, BundleError, "plan.json"),
        ({"rule.json": b"{"}, BundleError, "rule.json"),
        ({"rule.json": b" " * (2 << 20)}, OversizeError, "rule.json"),
        (edited("rule.json", colour=1), BundleError, "rule.json"),
        (edited("rule.json", dims={"features": 3, "classes": 2, "wings": 2}), BundleError, "rule.json"),
        (edited("rule.json", dims={"features": 4, "classes": 2}), BundleError, "x"),
        (edited("rule.json", dims={"features": 1 << 40, "classes": 2}), ShapeError, "features"),
        (edited("rule.json", dims={"classes": 2}), ShapeError, "features"),
        (edited("rule.json", max_error=1.0), BundleError, "rule.json"),
        (edited("rule.json", min_right=1.5), ShapeError, "rule.min_right"),
        (edited("rule.json", atol=-1.0), ShapeError, "rule.atol"),
        (edited("constraints.json", memory_mib=0), ConstraintError, "memory_mib"),
        (edited("constraints.json", agent="new"), ConstraintError, "agent"),
        (edited("constraints.json", features=[{"kind": "number", "name": "a"}] * 2), ConstraintError, "features"),
        (edited("constraints.json", features=[{"kind": "colour", "name": "a"}]), BundleError, "constraints.json"),
    ],
)  # fmt: skip
def test_whatever_is_wrong_has_its_error(
    changes: dict[str, bytes | None], error: type[AcclimateError], field: str
) -> None:
    with pytest.raises(AcclimateError) as caught:
        read(remade(**changes))
    assert type(caught.value) is error
    assert caught.value.field == field


def test_parts_in_another_order_are_another_file() -> None:
    parts = dict(reversed(parts_of(bundle_bytes()).items()))
    for data in (pack(KIND, {}, parts), pack(KIND, {"a": 1}, parts_of(bundle_bytes()))):
        with pytest.raises(BundleError, match="one form"):
            read(data)
    with pytest.raises(ContainerError):
        pack(KIND, {}, {"package/../../evil": b""})


def test_tensors_are_written_as_the_library_does() -> None:
    tensors: dict[str, Any] = {
        "b": np.array([1, 2, 3], np.float32),
        "a": np.array([[4]], np.int64),
        "c": np.zeros((0, 2)),
        "s": np.array(2.0),
    }
    data = write_tensors(tensors)
    assert data == safetensors.numpy.save(tensors)
    assert tensors_digest(read_tensors(data, "t")) == tensors_digest(tensors)
    with pytest.raises(ShapeError):
        write_tensors({"a": np.zeros(1, np.int8)})


def test_a_tensor_file_has_one_form() -> None:
    data = parts_of(bundle_bytes())["sanity.safetensors"]
    length = int.from_bytes(data[:8], "little")
    wider = (length + 8).to_bytes(8, "little") + data[8 : 8 + length] + b" " * 8 + data[8 + length :]
    with pytest.raises(BundleError, match="one form"):
        read(remade(**{"sanity.safetensors": wider}))


def test_a_sanity_set_passes_or_fails() -> None:
    checks = sanity(min_right=1.0)
    good = checks.expected
    assert checks.judge(good.astype(np.float32)).passed
    assert checks.judge(good * 1.0005).passed
    for bad in (good + 0.01, good * np.nan, good[:1], good[:, ::-1]):
        assert not checks.judge(bad).passed
    wrong = Sanity(x=checks.x, expected=good, label=np.array([0, 1]), rule=checks.rule)
    assert wrong.judge(good).reason == "50.0% right, 100.0% needed"
    rule = SanityRule(dims={}, max_error=0.5)
    errors = Sanity(x=np.zeros((2, 1)), expected=np.ones((2, 1)), label=np.array([1.4, 1.4]), rule=rule)
    assert errors.judge(np.ones((2, 1))).passed
    far = Sanity(x=np.zeros((2, 1)), expected=np.ones((2, 1)), label=np.array([1.4, 1.8]), rule=rule)
    assert not far.judge(np.ones((2, 1))).passed


@pytest.mark.parametrize(
    "change",
    [
        {"x": np.zeros((2, 3), np.float32)},
        {"x": np.zeros((0, 3))},
        {"x": np.zeros((5000, 3))},
        {"expected": np.zeros((3, 2))},
        {"expected": np.full((2, 2), np.inf)},
        {"label": np.zeros(3, np.int64)},
        {"label": np.zeros(2, np.int32)},
        {"label": None, "rule": SanityRule(dims={}, min_right=0.5)},
    ],
)
def test_a_sanity_set_must_make_sense(change: dict[str, Any]) -> None:
    whole: dict[str, Any] = {"x": np.zeros((2, 3)), "expected": np.zeros((2, 2)), "rule": SanityRule(dims={})}
    with pytest.raises(ShapeError):
        Sanity(**(whole | change))


def test_constraints_say_why_not() -> None:
    facts = Facts(features={"load": "number", "shift": "category", "more": "number"}, memory_mib=64, agent="0.1.0")
    assert NEEDS.unmet(facts) == []
    poor = Facts(features={"shift": "number"}, memory_mib=63, agent="0.0.9")
    assert [reason.split()[0] for reason in NEEDS.unmet(poor)] == ["column", "column", "64", "agent"]
    assert parse_version("0.10.0") > parse_version("0.9.9")
    with pytest.raises(ConstraintError):
        Constraints(features=(Feature(name="", kind="number"),), memory_mib=1, agent="1.0.0").check()


@pytest.mark.parametrize(
    ("kind", "edges", "remedy"),
    [
        ("category", (1.0,), "numbers only"),
        ("number", (1.0, 1.0), "rise"),
        ("number", (2.0, 1.0), "rise"),
        ("number", (0.0, float("inf")), "finite"),
        ("number", (float("nan"),), "finite"),
        ("number", tuple(map(float, range(MAX_FEATURE_EDGES + 1))), "at most"),
    ],
)
def test_edges_must_make_sense(kind: Kind, edges: tuple[float, ...], remedy: str) -> None:
    feature = Feature(name="load", kind=kind, edges=edges_of(edges))
    with pytest.raises(ConstraintError, match=remedy):
        Constraints(features=(feature,), memory_mib=1, agent="1.0.0").check()


@pytest.mark.parametrize("each", [MAX_EDGES // 16 + 1, 1])
def test_counts_over_all_edges_must_fit_a_message(each: int) -> None:
    def needs(count: int) -> Constraints:
        edges = edges_of(range(each))
        features = tuple(Feature(name=f"f{at}", kind="number", edges=edges) for at in range(count))
        return Constraints(features=features, memory_mib=1, agent="1.0.0")

    most = min(MAX_EDGES // each, MAX_COUNTED)
    needs(most).check()
    with pytest.raises(ConstraintError, match="at most"):
        needs(most + 1).check()
    counts = tuple(FeatureCounts(feature=at, counts=(9_999_999_999,) * (each + 1)) for at in range(most))
    encode(wrapped(Metrics(start_s=0, end_s=1, schema="a" * 64, features=counts, bins="b" * 64)), MessageKind.UP)


@pytest.mark.parametrize("text", ["low", "", "0", "0.50", "1e3", "nan"])
def test_edges_have_one_form(text: str) -> None:
    with pytest.raises(ConstraintError, match="numbers that rise"):
        Constraints(features=(Feature(name="a", kind="number", edges=(text,)),), memory_mib=1, agent="1.0.0").check()


def test_a_column_without_edges_is_written_as_ever() -> None:
    assert write_constraints(NEEDS) == (
        b'{"agent":"0.1.0","features":[{"kind":"number","name":"load"},{"kind":"category","name":"shift"}],"memory_mib":64}'
    )
    counted = Constraints(
        features=(Feature(name="a", kind="number", edges=edges_of((0.5,))),), memory_mib=1, agent="1.0.0"
    )
    assert read_constraints(write_constraints(counted)) == counted
    for damaged in (b"", b"{}", b"\xff", write_constraints(counted).replace(b"0.5", b"inf"), b"[" * 100_000):
        with pytest.raises(ConstraintError):
            read_constraints(damaged)


def attempt(data: bytes) -> None:
    """Read a bundle that somebody made; only our own errors may come out."""
    try:
        found = read_bundle(data, digest=hashlib.sha256(data).hexdigest())
    except AcclimateError:
        return
    assert write_bundle(found) == data


def mutated(rng: random.Random) -> bytes:
    """Return a bundle with a few bytes, a part or its index changed, digests made right half of the time."""
    if rng.random() < 0.5:
        data = bytearray(bundle_bytes())
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(min(len(data), 3000) if rng.random() < 0.7 else len(data))] = rng.randrange(256)
        return bytes(data[: rng.randrange(len(data))] if rng.random() < 0.2 else data)
    parts = parts_of(bundle_bytes())
    name = rng.choice(sorted(parts))
    part = bytearray(parts[name])
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(part))
        part[at : at + rng.randint(0, 3)] = rng.choice([b"", b"0", b"9" * 30, b'"', b"-", b"null", rng.randbytes(2)])
    parts[name] = bytes(part)
    if name.startswith("package/") and name != "package/manifest.json":
        manifest = msgspec.json.decode(parts["package/manifest.json"])
        manifest["files"][name.removeprefix("package/")] = hashlib.sha256(part).hexdigest()
        parts["package/manifest.json"] = msgspec.json.encode(manifest, order="sorted")
    return pack(KIND, {}, parts)


def fuzz(runs: int, seed: int) -> float:
    """Return the MiB that were used at most, beyond what was there."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    bundle_bytes()
    tracemalloc.start()
    for _ in range(runs):
        attempt(mutated(rng))
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return peak


@pytest.mark.slow
def test_fuzzed_bundles() -> None:
    assert fuzz(1_000, 0) <= 16


@pytest.mark.long
def test_100_000_fuzzed_bundles() -> None:
    assert fuzz(100_000, 1) <= 16


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for text in (data, KIND.magic + data):
        with pytest.raises(PackageError):
            read(text)
