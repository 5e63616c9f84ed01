"""A whole state as one file, encrypted and signed: to move a model to another device, or to keep a copy.

What is in it: all that the model has learned, its contest, evidence and lineage, the predictions that wait for their
labels, in memory or on the disk, and the base models that take part. What is not: the identity under which the device
is enrolled, which belongs to the device and not to the model, its messages to the hub, and the checkpoints that
``forget`` goes back to. The file is written whole or not at all, and a state is imported whole or not at all.
"""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device import export_crypto as crypto
from acclimate_device import wipe
from acclimate_device.control import reopen
from acclimate_device.fleet_rows import FleetRows
from acclimate_device.slot import Slots, parsed
from acclimate_device.slots import Bases
from acclimate_device.store import Store
from acclimate_device.store_tables import FILE, FORMAT, put_waiting, waiting
from acclimate_device.tensor_bytes import DTYPES
from acclimate_shared.constraints import CONSTRAINTS, read_constraints, write_constraints
from acclimate_shared.durable import write_file
from acclimate_shared.errors import CorruptStateError, StateError, StateMismatchError, UsageError
from acclimate_shared.learner import package_files, package_of

Array = npt.NDArray[Any]

MAGIC = b"acclimate state\x001\n"
MOST_BYTES = 1 << 30  # of a file
FORMATS = {3, FORMAT}  # of states whose exported files are the same
SIGNER = "export signer"  # name of the sealed fact


class _Tensor(msgspec.Struct, array_like=True, frozen=True):
    dtype: str
    shape: list[int]
    data: bytes


class _Body(msgspec.Struct, array_like=True, frozen=True):
    format: int
    binding: dict[str, Any]
    documents: dict[str, Any]
    tensors: dict[str, _Tensor]
    lineage: list[bytes]
    waiting: list[tuple[int, bytes]] = []
    slots: bytes = b""
    bases: dict[str, dict[str, bytes]] = {}


def export(folder: Path, to: Path, passphrase: str) -> dict[str, Any]:
    """Write the state of an agent to a file; return its size and the fingerprint of who signed it.

    Args:
        folder: of the state; no agent may run.
        to: the file.
        passphrase: without which nobody can read it.

    Raises:
        UsageError: there is no agent's state, or the passphrase is too short.
        StateError: the state is in use or damaged, or the disk refuses.
    """
    if to.exists():
        remedy = "choose another name, or remove it first"
        raise UsageError("there is a file already", field="file", value=str(to), remedy=remedy)
    agent = reopen(folder)  # what the journal holds becomes part of the checkpoint
    agent.commit()
    agent.close()
    with closing(Store(folder)) as store:
        saved, binding, lines = store.load(), store.binding(), store.lineage().splitlines(keepends=True)
        signer = _signer(store)
        with store.rows() as execute:
            rows = waiting(execute, store.vault)
    if saved is None:
        raise StateError("the state holds no checkpoint", field="state", value=str(folder))
    tensors = {name: _packed(array) for name, array in saved[0].items()}
    bases = Bases(folder)
    told, files = msgspec.json.encode(bases.read()), _files(bases)
    body = msgspec.msgpack.encode(_Body(FORMAT, binding, saved[1], tensors, lines, rows, told, files))
    data = crypto.sealed(body, magic=MAGIC, passphrase=passphrase, signer=signer)
    if len(data) > MOST_BYTES:
        raise UsageError("the state is too large for one file", field="bytes", value=len(data))
    try:
        write_file(to, data)
    except OSError as exc:
        message = f"the file cannot be written: {exc.strerror}"
        raise StateError(message, field="file", value=str(to), remedy="check disk and rights") from exc
    return {"file": str(to), "bytes": len(data), "signer": crypto.fingerprint(crypto.public_of(signer))}


def _files(bases: Bases) -> dict[str, dict[str, bytes]]:
    """Return the files of each base that may be loaded, with its constraints if they are known."""
    found = {digest: dict(package_files(package)) for digest, package in bases.packages().items()}
    for digest, files in found.items():
        if needs := bases.needs(digest):
            files[CONSTRAINTS] = write_constraints(needs)
    return found


def _packed(array: Array) -> _Tensor:
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return _Tensor(little.dtype.str, list(little.shape), little.tobytes())


def _signer(store: Store) -> bytes:
    """Return the signing key of a state, made when it is first needed."""
    rows = FleetRows(store)
    key = rows.fact(SIGNER)
    if key is None:
        key = crypto.new_signer()
        rows.keep(SIGNER, key)
    return key


def import_state(file: Path, folder: Path, passphrase: str, *, signer: str | None = None) -> dict[str, Any]:
    """Make a state folder from an exported file; return who signed it and what it holds.

    Args:
        file: from ``export``.
        folder: where there is no state yet.
        passphrase: that the file was sealed with.
        signer: fingerprint that its signer must have; None for any.

    Raises:
        UsageError: there is a state already, the file cannot be read, or somebody else signed it.
        StateError: the file is damaged or of another format, or the disk refuses; then the folder is as before.
        PackageError, ConstraintError: a base model in it is not valid.
    """
    if (folder / FILE).exists():
        remedy = "name another folder; `acclimate wipe` destroys a state"
        raise UsageError("there is a state here already", field="state", value=str(folder), remedy=remedy)
    data, who = crypto.opened(_read(file), magic=MAGIC, passphrase=passphrase, wanted=signer)
    body = _checked(data)
    tensors = {name: _array(name, tensor) for name, tensor in body.tensors.items()}
    documents = {name: value for name, value in body.documents.items() if name != "journal"}
    slots = parsed(body.slots) if body.slots else Slots()
    bases = {digest: package_of(files) for digest, files in body.bases.items()}
    needs = {d: read_constraints(files[CONSTRAINTS]) for d, files in body.bases.items() if CONSTRAINTS in files}
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with closing(Store(folder)) as store:
            store.bind(body.binding)
            with store.rows() as execute:
                put_waiting(execute, store.vault, body.waiting)
            store.commit(tensors, documents, body.lineage)
        if bases:
            Bases(folder).put(slots, bases, needs)
        agent = reopen(folder)
        found = {"signer": who, "version": agent.version, "learned": agent.status()["learned"]}
        agent.close()
    except BaseException:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            wipe.clear(folder)
        raise
    return found


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UsageError(
                "this file is too large", field="file", value=str(file), remedy=f"at most {MOST_BYTES:,} bytes"
            )
        return file.read_bytes()
    except OSError as exc:
        raise UsageError(f"the file cannot be read: {exc.strerror}", field="file", value=str(file)) from exc


def _checked(data: bytes) -> _Body:
    try:
        body = msgspec.msgpack.decode(data, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise CorruptStateError("the file makes no sense", field="file", remedy="export it anew") from exc
    if body.format not in FORMATS:
        remedy = "export and import with the same version of acclimate"
        raise StateMismatchError("the state has another format", field="format", value=body.format, remedy=remedy)
    return body


def _array(name: str, tensor: _Tensor) -> Array:
    if tensor.dtype not in DTYPES:
        raise CorruptStateError("a tensor of unknown numbers", field=name, value=tensor.dtype, remedy="export it anew")
    try:
        return np.frombuffer(tensor.data, np.dtype(tensor.dtype)).reshape(tensor.shape)
    except ValueError as exc:
        raise CorruptStateError("a tensor makes no sense", field=name, remedy="export it anew") from exc
