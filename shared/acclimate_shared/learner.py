"""A learner package: manifest, two ONNX graphs, tensors; named by the digest of its content.

A folder with ``manifest.json``, ``predict.onnx``, ``update.onnx``, ``state.safetensors`` and perhaps
``sanity.safetensors``. The manifest names the SHA-256 of every other file, so the digest of a package is the SHA-256 of
its canonical manifest. Tensors are hashed by name, dtype, shape and bytes: how a file lays them out does not matter.

Order of steps when loading: bounded reads, manifest, list of files, digests, tensors, operators. Everything that can be
wrong is a ``PackageError``. Nothing is executed here and no pickle exists; whether the graphs take and give what the
manifest declares is checked by the runtime (``acclimate_device.executor``).
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from acclimate_shared import manifest as manifests
from acclimate_shared.errors import (
    DigestError,
    ManifestError,
    MissingFileError,
    PackageError,
    ShapeError,
)
from acclimate_shared.manifest import HyperSpec, Init, Manifest, TensorSpec
from acclimate_shared.onnx_ops import summarise
from acclimate_shared.onnx_standard import check_ops

__all__ = [
    "HyperSpec",
    "Init",
    "LearnerPackage",
    "Limits",
    "Manifest",
    "TensorSpec",
    "Tensors",
    "load_package",
    "make_package",
    "package_files",
    "package_of",
    "read_tensors",
    "save_package",
    "tensors_digest",
    "verify",
    "write_tensors",
]

Tensors = Mapping[str, NDArray[Any]]

MANIFEST, PREDICT, UPDATE = "manifest.json", "predict.onnx", "update.onnx"
STATE, SANITY = "state.safetensors", "sanity.safetensors"
_REMEDY = "fetch or author the package again"


@dataclass(frozen=True, slots=True)
class Limits:
    """How large the parts of a package may be."""

    graph_bytes: int = 32 << 20
    tensors_bytes: int = 256 << 20  # of one file


LIMITS = Limits()
_CODES = {"float32": "F32", "float64": "F64", "int64": "I64"}  # what safetensors calls a dtype
_MAX_BYTES = {
    PREDICT: LIMITS.graph_bytes,
    UPDATE: LIMITS.graph_bytes,
    STATE: LIMITS.tensors_bytes,
    SANITY: LIMITS.tensors_bytes,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerPackage:
    """A learner as it is shipped; build one with ``make_package`` or ``load_package``.

    Attributes:
        manifest: What it is.
        predict: Serialised ONNX model.
        update: Serialised ONNX model.
        state: Tensors to start from, all, some or none; the others are drawn as the manifest says.
        sanity: A frozen check set, or None.
        raw: What the manifest's JSON said, fields unknown to this version included.
    """

    manifest: Manifest
    predict: bytes
    update: bytes
    state: Tensors = field(default_factory=dict)
    sanity: Tensors | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical manifest, 64 hex digits."""
        return hashlib.sha256(manifests.canonical(self.manifest, self.raw)).hexdigest()


def make_package(
    manifest: Manifest,
    *,
    predict: bytes,
    update: bytes,
    state: Tensors | None = None,
    sanity: Tensors | None = None,
) -> LearnerPackage:
    """Put a package together: fill in ``manifest.files`` and verify everything.

    Returns:
        The verified package.

    Raises:
        PackageError: If the parts do not make a valid package.
    """
    package = LearnerPackage(manifest=manifest, predict=predict, update=update, state=state or {}, sanity=sanity)
    filled = msgspec.structs.replace(manifest, files=_file_digests(package))
    package = LearnerPackage(manifest=filled, predict=predict, update=update, state=state or {}, sanity=sanity)
    verify(package)
    return package


def verify(package: LearnerPackage) -> None:
    """Check manifest, digests, tensors and operators of a package.

    Raises:
        PackageError: The subclass says what is wrong: ``ManifestError``, ``NewerFormatError``, ``DigestError``,
            ``ShapeError``, ``UnsupportedOpError``, ``GraphError``, ``MissingFileError``.
    """
    manifests.check(package.manifest)
    found = _file_digests(package)
    for name in sorted(found.keys() | package.manifest.files.keys()):
        if name not in found:
            raise MissingFileError("a file of the package is missing", field=name, remedy=_REMEDY)
        if package.manifest.files.get(name) != found[name]:
            raise DigestError("content does not match the manifest", field=name, value=found[name], remedy=_REMEDY)
    _check_state(package.manifest, package.state)
    for name, array in (package.sanity or {}).items():
        if array.dtype.name not in {"float32", "float64", "int64"}:
            raise ShapeError(f"{SANITY} holds an unsupported dtype", field=name, value=array.dtype, remedy=_REMEDY)
    for name, graph in ((PREDICT, package.predict), (UPDATE, package.update)):
        if len(graph) > LIMITS.graph_bytes:
            raise ManifestError(f"{name} is too large", field="bytes", value=len(graph), remedy="make it smaller")
        check_ops(summarise(graph), package.manifest.opset, name)


def load_package(folder: Path) -> LearnerPackage:
    """Read and verify a package.

    Args:
        folder: Where ``manifest.json`` lies. Files that the manifest does not name are not looked at.

    Returns:
        The verified package.

    Raises:
        PackageError: If anything is wrong with it; the subclass says what.
    """
    data = _read(folder, MANIFEST, manifests.MAX_MANIFEST_BYTES)
    manifest, _ = manifests.decode(data)
    names = manifest.files.keys() & _MAX_BYTES.keys()
    return package_of({MANIFEST: data} | {name: _read(folder, name, _MAX_BYTES[name]) for name in sorted(names)})


def package_of(files: Mapping[str, bytes]) -> LearnerPackage:
    """Return the verified package of these files.

    Args:
        files: Content by name, ``manifest.json`` among them.

    Raises:
        PackageError: If anything is wrong with it; the subclass says what.
    """
    if MANIFEST not in files:
        raise MissingFileError("a file of the package is missing", field=MANIFEST, remedy=_REMEDY)
    for name in files.keys() & _MAX_BYTES.keys():
        if len(files[name]) > _MAX_BYTES[name]:
            raise ManifestError(f"{name} is too large", field="bytes", value=len(files[name]), remedy="make it smaller")
    manifest, raw = manifests.decode(files[MANIFEST])
    unknown = manifest.files.keys() - _MAX_BYTES.keys()
    if unknown:
        raise ManifestError("the manifest names a file that packages do not have", field="files", value=min(unknown))
    missing = {PREDICT, UPDATE, STATE} - manifest.files.keys()
    if missing:
        raise MissingFileError("the manifest does not name a file that it must", field=min(missing), remedy=_REMEDY)
    absent = manifest.files.keys() - files.keys()
    if absent:
        raise MissingFileError("a file of the package is missing", field=min(absent), remedy=_REMEDY)
    package = LearnerPackage(
        manifest=manifest,
        raw=raw,
        predict=files[PREDICT],
        update=files[UPDATE],
        state=read_tensors(files[STATE], STATE),
        sanity=read_tensors(files[SANITY], SANITY) if SANITY in manifest.files else None,
    )
    verify(package)
    return package


def package_files(package: LearnerPackage) -> dict[str, bytes]:
    """Return the files of a package by name; the same bytes for the same package."""
    contents = {
        MANIFEST: manifests.canonical(package.manifest, package.raw),
        PREDICT: package.predict,
        UPDATE: package.update,
        STATE: write_tensors(package.state),
    }
    if package.sanity is not None:
        contents[SANITY] = write_tensors(package.sanity)
    return contents


def save_package(package: LearnerPackage, folder: Path) -> None:
    """Write a package; readers see the whole of it or nothing.

    The files are written beside the folder, flushed, and moved there by one rename. A package that is already there is
    moved away first: a crash between the two renames leaves no package, never a mixed one.

    Raises:
        PackageError: If the package is not valid, or if the folder holds something that is not a package.
        OSError: If the disk refuses.
    """
    verify(package)
    if folder.exists() and not (folder / MANIFEST).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise PackageError("the folder holds something else", field="folder", value=str(folder), remedy="name another")
    contents = package_files(package)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        fresh = Path(scratch) / "new"
        fresh.mkdir()
        for name, data in contents.items():
            _write(fresh / name, data)
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        fresh.rename(folder)


def tensors_digest(tensors: Tensors) -> str:
    """Return the SHA-256 over name, dtype, shape and little-endian bytes of all tensors in order of name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name]
        head = [name, array.dtype.name, list(array.shape)]
        digest.update(msgspec.json.encode(head) + b"\n")
        digest.update(np.asarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _file_digests(package: LearnerPackage) -> dict[str, str]:
    files = {
        PREDICT: hashlib.sha256(package.predict).hexdigest(),
        UPDATE: hashlib.sha256(package.update).hexdigest(),
        STATE: tensors_digest(package.state),
    }
    if package.sanity is not None:
        files[SANITY] = tensors_digest(package.sanity)
    return files


def _check_state(manifest: Manifest, state: Tensors) -> None:
    """Check each tensor against its spec, and that a named dim has one size throughout."""
    specs = {spec.name: spec for spec in manifest.state}
    dims: dict[str, int] = {}
    for name, array in state.items():
        spec = specs.get(name)
        if spec is None:
            raise ShapeError(f"{STATE} holds a tensor that the manifest does not declare", field=name, remedy=_REMEDY)
        for dim, size in zip(spec.shape, array.shape, strict=False):
            if isinstance(dim, str):
                dims.setdefault(dim, size)
        if array.dtype.name != spec.dtype or len(array.shape) != len(spec.shape) or spec.resolve(dims) != array.shape:
            message = f"tensor {name} is not {spec.dtype} of shape {spec.shape}"
            raise ShapeError(message, field=name, value=f"{array.dtype} {array.shape}", remedy=_REMEDY)


def _read(folder: Path, name: str, max_bytes: int) -> bytes:
    path = folder / name
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise ManifestError("not a regular file", field=name, remedy=_REMEDY)
        with path.open("rb") as file:
            data = file.read(min(info.st_size, max_bytes) + 1)  # a buffer of that size is set aside at once
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise MissingFileError("a file of the package is missing", field=name, value=str(path), remedy=_REMEDY) from exc
    except (OSError, ValueError) as exc:
        raise PackageError(f"cannot be read: {exc}", field=name, remedy="check the permissions and the disk") from exc
    if len(data) > max_bytes:
        raise ManifestError(f"{name} is larger than {max_bytes} bytes", field=name, remedy="make the learner smaller")
    return data


def read_tensors(data: bytes, name: str) -> Tensors:
    """Return the tensors of a safetensors file, not writeable.

    Args:
        data: The file, at most ``LIMITS.tensors_bytes`` of it.
        name: What an error calls it.

    Raises:
        ManifestError: If it cannot be read.
    """
    try:
        tensors = safetensors.numpy.load(data)
    except Exception as exc:  # safetensors raises its own, KeyError for a dtype unknown to numpy, and numpy's
        raise ManifestError(f"{name} cannot be read: {exc}", field=name, remedy=_REMEDY) from exc
    for array in tensors.values():
        array.setflags(write=False)
    return tensors


def write_tensors(tensors: Tensors) -> bytes:
    """Return a safetensors file of these tensors, the same bytes for the same tensors.

    The format leaves the order of tensors open; here wider dtypes come first, then names in order, so that each lies at
    a multiple of its width. The library does the same today; written out, it cannot change under signed files.

    Raises:
        ShapeError: If a tensor is not float32, float64 or int64.
    """
    header, parts, at = {}, [], 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name)):
        array = tensors[name]
        part = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C").tobytes()
        code = _CODES.get(array.dtype.name)
        if code is None:
            raise ShapeError("a tensor of a dtype that packages do not have", field=name, value=array.dtype.name)
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    head = msgspec.json.encode(header)
    head += b" " * (-len(head) % 8)
    return b"".join([len(head).to_bytes(8, "little"), head, *parts])


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
