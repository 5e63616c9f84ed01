"""The manifest of a learner package: typed structs, their rules, and the canonical form that digests are taken over.

A manifest is JSON. Fields that this version does not know are kept and written again, so that a newer minor addition
survives a visit here; a larger ``format`` number is refused. The canonical form has sorted keys, no spaces and the
defaults filled in.

Example:
    >>> spec = TensorSpec(name="weight", dtype="float32", shape=("features", 3))
    >>> spec.init.kind, spec.resolve({"features": 8})
    ('constant', (8, 3))
"""

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from acclimate_shared.errors import ManifestError, NewerFormatError, ShapeError

FORMAT = 1
MAX_MANIFEST_BYTES = 1 << 20
MAX_TENSORS = 1024
MAX_RANK = 6
MAX_DIM = 1 << 31
RESERVED_NAMES = frozenset(["x", "y", "w", "hyper", "out", "before", "loss"])
NEXT = "__next"  # the update graph returns the state tensor `a` as `a__next`
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}\Z")
_REMEDY = "author the package again"


class Init(msgspec.Struct, frozen=True, kw_only=True):
    """How a tensor starts: constant, ``value`` on the diagonal, N(0, value² / fan) or U(0, value)."""

    kind: Literal["constant", "eye", "normal", "uniform"] = "constant"
    value: float = 0.0
    fan: str | None = None  # the named dim that divides the variance of kind normal


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Name, dtype and shape of a tensor; a dim is a size or the name of one."""

    name: str
    dtype: Literal["float32", "float64", "int64"]
    shape: tuple[int | str, ...]
    init: Init = Init()
    holds_rows: bool = False  # the tensor contains raw rows of data

    def resolve(self, dims: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape with the named dims filled in.

        Raises:
            ShapeError: If a named dim is missing or not in 1 .. 2^31.
        """
        for dim in self.shape:
            if isinstance(dim, str) and not 0 < dims.get(dim, 0) <= MAX_DIM:
                remedy = f"give the size of {dim!r}"
                raise ShapeError(f"{self.name} needs a size", field=dim, value=dims.get(dim), remedy=remedy)
        return tuple(dims[dim] if isinstance(dim, str) else dim for dim in self.shape)


class HyperSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A hyper-parameter, its default and its range, both ends included."""

    name: str
    default: float
    low: float
    high: float


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a learner is; ``files`` names the SHA-256 of every other file of the package."""

    format: int = FORMAT
    name: str
    task: Literal["classification", "regression"]
    opset: int
    x: TensorSpec
    state: tuple[TensorSpec, ...]
    hyper: tuple[HyperSpec, ...] = ()
    inner: int = 32  # default rows of one update call
    max_rows: int | None = None  # hard limit of rows of one call of a graph
    holds_rows: bool = False  # any tensor of the state contains raw rows
    lanes: bool | msgspec.UnsetType = msgspec.UNSET  # update has a leading axis of lanes on all but w
    weights: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET  # tensors whose change may be added to another state
    about: str = ""
    files: dict[str, str] = {}

    def raw(self, spec: TensorSpec) -> bool:
        """Return whether a tensor of the state holds rows as they came: NaN in it is a gap, not a fault."""
        return spec.holds_rows and spec.dtype == self.x.dtype and self.x.shape[-1] in spec.shape


def decode(data: bytes) -> tuple[Manifest, dict[str, Any]]:
    """Parse and check a manifest.

    Args:
        data: JSON in UTF-8.

    Returns:
        The manifest, and everything that the JSON said, unknown fields included.

    Raises:
        ManifestError: If it is not a manifest or breaks a rule.
        NewerFormatError: If a newer version wrote it.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError("the manifest is too large", field="bytes", value=len(data), remedy=_REMEDY)
    try:
        raw = msgspec.json.decode(data, type=dict[str, Any])
        if isinstance(raw.get("format"), int) and raw["format"] > FORMAT:
            remedy = f"update acclimate; this version reads up to {FORMAT}"
            raise NewerFormatError("the package has a newer format", field="format", value=raw["format"], remedy=remedy)
        manifest = msgspec.convert(raw, Manifest)
        canonical(manifest, raw)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, TypeError) as exc:
        raise ManifestError(f"the manifest cannot be read: {exc}", remedy=_REMEDY) from exc
    check(manifest)
    return manifest, raw


def canonical(manifest: Manifest, raw: Mapping[str, Any] | None = None) -> bytes:
    """Return the canonical bytes of a manifest, with the unknown fields of ``raw`` kept.

    Raises:
        TypeError: If ``raw`` contains what JSON cannot hold.
    """
    merged = _overlay(dict(raw or {}), msgspec.to_builtins(manifest))
    merged["files"] = manifest.files
    return msgspec.json.encode(merged, order="sorted")


def check(manifest: Manifest) -> None:
    """Check the rules that types cannot say.

    Raises:
        ManifestError: Naming the first field that breaks one.
        NewerFormatError: If the format number is larger than ours.
    """
    if manifest.format > FORMAT:
        raise NewerFormatError("the package has a newer format", field="format", value=manifest.format)
    _require(manifest.format >= 1, "format", manifest.format)
    _require(_NAME.match(manifest.name), "name", manifest.name)
    _require(manifest.inner >= 1, "inner", manifest.inner)
    _require(manifest.max_rows is None or manifest.max_rows >= 1, "max_rows", manifest.max_rows)
    _require(1 <= len(manifest.state) <= MAX_TENSORS, "state", len(manifest.state))
    _require(manifest.x.shape[:1] == ("rows",) and manifest.x.dtype == "float64", "x.shape", manifest.x.shape)
    for names in ([spec.name for spec in manifest.state], [spec.name for spec in manifest.hyper]):
        _require(len(set(names)) == len(names), "names (each once)", names)
    for spec in (manifest.x, *manifest.state):
        _check_tensor(spec, is_state=spec is not manifest.x)
    for hyper in manifest.hyper:
        _require(_NAME.match(hyper.name), "hyper.name", hyper.name)
        _require(-math.inf < hyper.low <= hyper.default <= hyper.high < math.inf, f"hyper.{hyper.name}", hyper)
    floats = {spec.name for spec in manifest.state if spec.dtype != "int64" and not spec.holds_rows}
    _require(set(manifest.weights or ()) <= floats, "weights (floats of the state)", manifest.weights)
    if any(spec.holds_rows for spec in manifest.state) and not manifest.holds_rows:
        raise ManifestError("a tensor holds rows, the manifest says none does", field="holds_rows", remedy=_REMEDY)


def _check_tensor(spec: TensorSpec, *, is_state: bool) -> None:
    if is_state:
        _require(_NAME.match(spec.name) and spec.name not in RESERVED_NAMES, "state.name", spec.name)
        _require(not spec.name.endswith(NEXT) and "rows" not in spec.shape, f"state.{spec.name}", spec.shape)
    _require(len(spec.shape) <= MAX_RANK, f"{spec.name}.shape", spec.shape)
    for dim in spec.shape:
        _require(_NAME.match(dim) if isinstance(dim, str) else 0 < dim <= MAX_DIM, f"{spec.name}.shape", dim)
    _require(math.isfinite(spec.init.value), f"{spec.name}.init.value", spec.init.value)
    _require(spec.init.kind != "eye" or len(spec.shape) > 1, f"{spec.name}.init.kind", spec.init.kind)
    _require(spec.init.fan is None or _NAME.match(spec.init.fan), f"{spec.name}.init.fan", spec.init.fan)
    random = spec.init.kind in {"normal", "uniform"}
    _require(not (random and spec.dtype == "int64"), f"{spec.name}.init.kind", spec.init.kind)
    _require(spec.init.value >= 0 or not random, f"{spec.name}.init.value", spec.init.value)


def _require(rule: object, field: str, value: object) -> None:
    if not rule:
        raise ManifestError("the manifest is wrong", field=field, value=value, remedy=_REMEDY)


def _overlay(old: Any, new: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return ``new`` with the keys that only ``old`` has; items of lists belong together if their names are equal."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _overlay(old.get(key), value) for key, value in new.items()}
    if isinstance(old, list) and isinstance(new, list | tuple):
        named = {item["name"]: item for item in old if isinstance(item, dict) and isinstance(item.get("name"), str)}
        return [_overlay(named.get(item.get("name")) if isinstance(item, dict) else None, item) for item in new]
    return new
