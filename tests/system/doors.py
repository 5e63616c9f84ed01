"""Every parser that reads what comes from outside, with good inputs to begin from.

A door takes bytes and returns, or raises an ``AcclimateError``; nothing else may leave it.
"""

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import acclimate_device
from acclimate_device import config, export, export_crypto, frames, natural, records, slot, variants
from acclimate_device.admission.policy import Policy as Admission
from acclimate_device.cli_local import serve
from acclimate_device.cli_run import run
from acclimate_device.local import messages as local
from acclimate_device.procedures import Task
from acclimate_device.records import Given, Predicted, Step, Taught
from acclimate_device.sources import open_source
from acclimate_device.sources.rejects import Rejects
from acclimate_device.store_tables import FORMAT
from acclimate_device.tensor_bytes import from_bytes, packed, to_bytes, unpacked
from acclimate_device.triggers import Policy as Triggers
from acclimate_shared import manifest, onnx_ops
from acclimate_shared.bundle import digest_of, read_bundle
from acclimate_shared.evidence import Plan
from acclimate_shared.learner import read_tensors
from acclimate_shared.lineage import Lineage
from acclimate_shared.messages import pieces
from acclimate_shared.messages.envelope import decode, encode
from acclimate_shared.messages.topics import Kind
from acclimate_shared.update_file import open_update, write_update
from tests.bundles import bundle_bytes
from tests.shared.evidence.test_plan import TOML
from tests.shared.messages.samples import SAMPLES, wrapped
from tests.shared.test_lineage_fold import fold, grown

LEARNER = Path(acclimate_device.__file__).parent / "learners" / "softmax-classification"
PHRASE = "words that nobody guesses"
TASK: Task = "classification"


@dataclass(frozen=True, slots=True)
class Door:
    """A parser and inputs that it takes."""

    enter: Callable[[bytes], Any]
    good: tuple[bytes, ...]


def _message(data: bytes) -> None:
    """Read a message: the first byte tells the kind of topic that it came on."""
    decode(data[1:], list(Kind)[data[0] % len(Kind)] if data else Kind.UP)


def _tensors(data: bytes) -> None:
    read_tensors(data, "state")


def _bundle(data: bytes) -> None:
    read_bundle(data, digest=digest_of(data))


def _update(data: bytes) -> None:
    container, _ = open_update(io.BytesIO(data))
    for name in container.sizes:
        container.read(name)


@cache
def _file(name: str) -> Path:
    folder = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())  # noqa: S108 (memory)
    return Path(tempfile.mkdtemp(dir=folder)) / name


def _rows(name: str) -> Callable[[bytes], None]:
    def enter(data: bytes) -> None:
        path = _file(name)
        path.write_bytes(data)
        rejects = Rejects()
        source = open_source(str(path), label="y", rejects=rejects)
        try:
            events = sum(1 for _ in source)
        finally:
            source.close()
        if events + rejects.count != source.rows_read:
            raise AssertionError(f"{source.rows_read} rows, {events} events, {rejects.count} rejected")

    return enter


def _imported(data: bytes) -> None:
    body = export._checked(data)
    for name, tensor in body.tensors.items():
        export._array(name, tensor)


def _sealed(data: bytes) -> None:
    export_crypto.opened(data, magic=export.MAGIC, passphrase=PHRASE, wanted=None)


@cache
def _export() -> bytes:
    signer = export_crypto.new_signer()
    return export_crypto.sealed(b"body", magic=export.MAGIC, passphrase=PHRASE, signer=signer)


def _body() -> bytes:
    tensors = {"w": export._packed(np.arange(6.0).reshape(2, 3)), "n": export._packed(np.array(3, np.int64))}
    return msgspec.msgpack.encode(export._Body(FORMAT, {"task": TASK}, {"arena": {"version": [1, 4]}}, tensors, [b"l"]))


def _lineage() -> bytes:
    return fold(grown(["commit", "commit", "commit", "promote", "commit", "rollback"]), 4).dumps()


def _toml(read: Callable[[str], Any]) -> Callable[[bytes], None]:
    def enter(data: bytes) -> None:
        read(data.decode(errors="replace"))

    return enter


def _config(data: bytes) -> None:
    path = _file("fuzz.toml")
    path.write_bytes(data)
    config.read(path, {"run": run, "serve": serve})


def _records(data: bytes) -> None:
    """Read a group of the journal, as somebody who has the key could write it."""
    for record in records.decode(data):
        match record:
            case Predicted():
                records.logged_of(record)
            case Taught():
                records.lesson_of(record)


def _unpacked(data: bytes) -> None:
    from_bytes(unpacked(data))


def _variants(text: str) -> None:
    variants.from_toml(text, TASK)


RULE = b'kind = "mean"\ncolumn = "cpu"\nspan_s = 5\nlevels = [[25.0, "idle"], [75.0, "busy"]]\nhighest = "full"\n'
SLOT = slot.Slot(digest="a" * 64, model="pump", version="1.3", state="trial", tries=2, running=True, reason="x")
SLOTS = msgspec.json.encode(slot.Slots(current=SLOT, other=SLOT))
SENT = tuple(bytes([list(Kind).index(kind)]) + encode(wrapped(body), kind) for kind, body in SAMPLES)
CSV = b'a,kind,y\n1,"x, y",p\n,b,q\n1e400,"c\n",p\n-3.5,\xc3\xa9,q\n'
JSONL = b'{"a": 1, "kind": "x", "y": "p"}\n{"a": null, "y": "q"}\n{"a": -1e5, "kind": "\\u00e9", "y": true}\n'
REQUESTS = (
    b'{"op":"predict","id":1,"features":{"a":1,"b":"x","c":null},"event":"e-1"}',
    b'{"op":"feedback","event":"e-1","label":"up","weight":0.5,"source":"s"}',
    b'{"op":"predict_many","rows":[{"a":1},{"a":2.5}]}',
    b'{"op":"status"}',
)
VARIANTS = b'[[variant]]\nname = "rls-quicker"\nlearner = "rls"\nhyper = { forgetting = 0.97 }\n'
ADMISSION = b'clip = "all"\n[default]\nweight = 1.0\nper_minute = 5\n[sources.robot]\nweight = 0.5\n'
CONFIG = (
    b'[run]\nsource = "host"\nperiod = 0.5\nmicro_batch = 64\nlearners = ["rls", "knn"]\n[serve]\nsocket = "a.sock"\n'
)
SHAPE = [2, 3]
RECORDS = records.encode([
    Predicted("e-1", 0, ["red", None], "k", records.thin(np.arange(4.0)), records.thin(np.ones(SHAPE)), SHAPE, [1]),
    Given(0, "e-1", "on", 1.0, 0, "robot", 3.5),
    Step([0]),
    Taught(records.thin(np.ones(4)), [["red"], [None]], ["", "k"], ["on", "off"]),
])  # fmt: skip
TENSOR = tuple(packed(to_bytes(np.arange(size, dtype=np.float32))) for size in (6, 5_000))
TRIGGERS = (
    b'cool_down_s = 5.0\nquiet_hours = [[22, 6]]\n[trigger]\nkind = "any"\nof = [{kind = "time", every_s = 60}]\n'
)

DOORS: dict[str, Door] = {
    "manifest": Door(manifest.decode, ((LEARNER / "manifest.json").read_bytes(),)),
    "graph": Door(onnx_ops.summarise, ((LEARNER / "predict.onnx").read_bytes(),)),
    "tensors": Door(_tensors, ((LEARNER / "state.safetensors").read_bytes(),)),
    "bundle": Door(_bundle, (bundle_bytes(),)),
    "update file": Door(_update, (write_update({"1.root.json": b"{}", "timestamp.json": b"{}"}, bundle_bytes()),)),
    "message": Door(_message, SENT),
    "slots": Door(slot.parsed, (SLOTS,)),
    "piece": Door(pieces.unpacked, (pieces.packed(3, b"chunk"),)),
    "lineage": Door(Lineage.loads, (_lineage(),)),
    "frame": Door(frames.unpacked, (frames.packed({"x": np.arange(6.0).reshape(2, 3)}),)),
    "export": Door(_sealed, (_export(),)),
    "import": Door(_imported, (_body(),)),
    "csv": Door(_rows("fuzz.csv"), (CSV,)),
    "jsonl": Door(_rows("fuzz.jsonl"), (JSONL,)),
    "request": Door(local.parse, REQUESTS),
    "config": Door(_config, (CONFIG,)),
    "records": Door(_records, (RECORDS,)),
    "tensor": Door(_unpacked, TENSOR),
    "labels rule": Door(_toml(natural.from_toml), (RULE,)),
    "variants": Door(_toml(_variants), (VARIANTS,)),
    "admission": Door(_toml(Admission.from_toml), (ADMISSION,)),
    "triggers": Door(_toml(Triggers.from_toml), (TRIGGERS,)),
    "plan": Door(_toml(Plan.from_toml), (TOML.encode(),)),
}
