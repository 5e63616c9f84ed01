"""Look into state folders and packages without changing them."""

from collections import Counter
from contextlib import closing
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from acclimate_device.cadence import told_of
from acclimate_device.durability import Durability
from acclimate_device.slots import Bases
from acclimate_device.store import Store
from acclimate_device.store_tables import FILE
from acclimate_shared.errors import UsageError
from acclimate_shared.evidence import Account
from acclimate_shared.learner import load_package
from acclimate_shared.onnx_ops import summarise


def describe(folder: Path) -> dict[str, Any]:
    """Return what a state folder holds.

    Raises:
        UsageError: it holds no state.
        StateError: the state is in use or damaged.
    """
    if not (folder / FILE).is_file():
        remedy = "name the folder that was given as --state"
        raise UsageError("no state here", field="state", value=str(folder), remedy=remedy)
    with closing(Store(folder)) as store:
        found = {"folder": str(folder), "bytes_on_disk": store.bytes(), **store.binding()}
        found["key_protects_against"] = store.ring.key.protects
        saved = store.load()
        found["trouble"] = store.trouble
    if saved is None:
        return {**found, "commits": 0}
    tensors, documents = saved
    counters = documents.get("counters") or documents.get("progress") or {}
    classes = documents["inputs"]["classes"]
    major, minor = documents["arena"]["version"]
    paced = documents["cadence"] if "cadence" in documents else documents.get("pace", {}).get("cadence")
    triggers = told_of(paced) if paced else None
    if triggers:
        triggers["last_firing"] = next(reversed(triggers.pop("firings")), None)
    if "wear" in documents:
        found |= Durability(**documents["durability"]).told(*documents["wear"])
    return {
        **found,
        **counters,
        "version": f"{major}.{minor}",
        "tests_started": Account.from_bytes(bytes.fromhex(documents["arena"]["contest"]["account"])).started,
        "triggers": triggers or "none: every label is learned at once",
        "drift": documents["arena"]["drifts"][3][-1:],
        "classes": classes,
        "waiting": len(documents["waiting"]),
        **labels_of(documents.get("admission")),
        "bases": Bases(folder).told(),
        "state_bytes": sum(array.nbytes for array in tensors.values()),
    }


def labels_of(admission: Any) -> dict[str, Any]:  # noqa: ANN401 (JSON)
    """Return what became of all labels given, from the document of an admission."""
    if admission is None:
        return {}
    given, admitted, refused = admission["counts"]
    quarantine = admission["quarantine"]
    counts = {"given": given, "admitted": admitted, "refused": sum(refused.values()), **quarantine["counts"]}
    return {"labels": {**counts, "in_quarantine": len(quarantine["held"])}}


def describe_package(package: Path) -> dict[str, Any]:
    """Return what a package is, after verifying it.

    Raises:
        PackageError: it is broken.
        UsageError: it does not exist.
    """
    if package.is_dir():
        return _package(package)
    shipped = files("acclimate_device") / "learners" / package.name
    if not shipped.is_dir():
        here = sorted(p.name for p in (files("acclimate_device") / "learners").iterdir() if p.is_dir())
        raise UsageError(
            "no such package", field="package", value=str(package), remedy=f"a folder, or {', '.join(here)}"
        )
    with as_file(shipped) as path:
        return _package(path)


def _package(folder: Path) -> dict[str, Any]:
    package = load_package(folder)
    manifest = package.manifest
    ops: Counter[str] = Counter()
    for graph in (package.predict, package.update):
        for (_, op), count in summarise(graph).ops.items():
            ops[op] += count
    return {
        "name": manifest.name,
        "task": manifest.task,
        "about": manifest.about,
        "digest": package.digest,
        "holds_rows": manifest.holds_rows,
        "max_rows": manifest.max_rows,
        "graph_bytes": len(package.predict) + len(package.update),
        "nodes": sum(ops.values()),
        "hyper": {h.name: {"default": h.default, "low": h.low, "high": h.high} for h in manifest.hyper},
        "state": {spec.name: f"{spec.dtype}{list(spec.shape)}" for spec in manifest.state},
    }
