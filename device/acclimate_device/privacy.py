"""What a state holds of whom, for how long, under which key, and what would leave the device: for the owner to read."""

from contextlib import closing
from pathlib import Path
from typing import Any

from acclimate_device.durability import Durability
from acclimate_device.fleet_rows import FleetRows
from acclimate_device.join import MAX_DONE, MAX_WAITING
from acclimate_device.journal import PREFIX
from acclimate_device.procedures import standard_learner
from acclimate_device.rehearsal import ROWS_PER_CLASS
from acclimate_device.store import Store
from acclimate_device.store_tables import FILE
from acclimate_device.sync import identity
from acclimate_shared.errors import UsageError
from acclimate_shared.messages.told import sendable

# What tensors of a checkpoint hold rows of data, by the beginning of their names, and until when.
ROWS = (
    ("waiting/", "events whose labels have not come", f"until the label comes; at most {MAX_WAITING:,}"),
    ("queued", "labelled events that are about to be learned", "until they are learned"),
    ("pace/", "labelled events that wait for a trigger, inputs not yet looked at", "until they are learned"),
    ("admission/quarantine/", "labelled events in quarantine", "until released, discarded or crowded out"),
    ("admission/witnesses/rows", "the latest labelled events of several sources", "until crowded out"),
    ("provenance/", "the latest labelled events of each source", "until crowded out; only where sources have names"),
    ("model/rehearsal/", "a sample of old events", f"for ever; at most {ROWS_PER_CLASS} of a class"),
    ("model/sanity/", "the first labelled events, by which candidates are checked", "until consulted often enough"),
    ("model/parked/latest/x", "the latest labelled events", "until the next commit"),
    ("model/parked/window/x", "labelled events for training from scratch", "until crowded out; only with --scratch"),
)


def describe(folder: Path) -> dict[str, Any]:
    """Return what is stored, for how long, under which key, and what would be sent.

    Raises:
        UsageError: there is no state.
        StateError: it is in use or damaged.
    """
    if not (folder / FILE).is_file():
        remedy = "name the folder that was given as --state"
        raise UsageError("no state here", field="state", value=str(folder), remedy=remedy)
    with closing(Store(folder)) as store:
        saved, facts, key = store.load(), store.binding(), store.ring.key.protects
        enrolled = identity.load(FleetRows(store))
    tensors, documents = saved or ({}, {})
    kept = Durability(**documents["durability"]) if "durability" in documents else None
    return {
        "folder": str(folder),
        "encrypted": "AES-256-GCM; the data key lies wrapped in the same file",
        "key_protects_against": key,
        "retention": kept.retention if kept else "the file that is replayed is the record",
        "rows": [_told(name, what, until, tensors) for name, what, until in ROWS],
        "learners_that_hold_rows": _holding(facts),
        "waiting_on_disk": "events whose labels have not come, if they are too many for the memory; until the second "
        "checkpoint after their label",
        "journal_bytes": sum(path.stat().st_size for path in folder.glob(f"{PREFIX}*")),
        "journal": "every event and label since the last checkpoint" if kept and kept.journals else "none",
        "decisions": "the lineage: versions, who decided what and why in their own words; sealed, for ever",
        "names": {
            "columns": [column["name"] for column in documents.get("columns", [])],
            "classes": len(documents.get("inputs", {}).get("classes", [])),
            "categories": sum(len(seen) for seen in documents.get("inputs", {}).get("seen", [])),
            "event_ids": f"the last {MAX_DONE:,} that had their label",
        },
        "sent_to": identity_of(enrolled),
        "would_be_sent": sendable() if enrolled else {},
        "never_sent": "a feature, a label, a category, a key, an id of an event: no message has a field for one",
    }


def identity_of(enrolled: identity.Identity | None) -> str:
    """Return to whom messages go."""
    return "nobody: this state is not enrolled" if enrolled is None else f"the hub at {enrolled.host}:{enrolled.port}"


def _told(name: str, what: str, until: str, tensors: dict[str, Any]) -> dict[str, Any]:
    own = [array for path, array in tensors.items() if path.startswith(name)]
    return {"what": what, "until": until, "bytes": sum(array.nbytes for array in own)}


def _holding(facts: dict[str, Any]) -> list[str]:
    """Return the members whose manifests declare that their state holds rows."""
    names = {variant["name"]: variant["learner"] for variant in facts.get("variants", [])}
    task, found = facts.get("task", "classification"), []
    for member in facts.get("members", []):
        learner = names.get(member, member)
        try:
            holds = standard_learner(learner, task).manifest.holds_rows
        except UsageError:  # a procedure of the default committee, named after its learner
            holds = standard_learner(learner.split("-")[0], task).manifest.holds_rows
        if holds:
            found.append(member)
    return found
