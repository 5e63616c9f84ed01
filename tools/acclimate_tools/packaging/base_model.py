"""A folder of ``firmware_images/base_models``: what a bundle is built from.

model.toml    [learner]: for acclimate-author, or [standard]: the choice of a standard learner;
              [training]: where the first rows come from; [bundle]: what devices must have, and answer
schema.toml   [[column]]: name, kind and perhaps edges of bins, in the order in which the learner sees them;
              [label]: name, classes in order
plan.toml     of the contest that the model enters
README.md     for people
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from acclimate_shared.constraints import Kind
from acclimate_shared.errors import UsageError
from acclimate_shared.evidence import Plan
from acclimate_tools.author.bundling import read_plan
from acclimate_tools.packaging.recipe import ROOT

FOLDERS = ROOT / "firmware_images" / "base_models"
STANDARD = ROOT / "device" / "acclimate_device" / "learners"


class Standard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A standard learner, and sizes of its dims that the sanity set is answered with."""

    learner: str
    dims: dict[str, int]


class Training(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the first state comes from.

    Attributes:
        source: ``recording`` of a machine that ships with the agent, ``motion`` of made-up people, or ``none``.
        rows: to learn from, at most.
        check_rows: that follow them and are kept for the sanity set.
        passes: over the rows.
        seed: of order and of made-up rows.
    """

    source: Literal["recording", "motion", "none"]
    rows: int = 0
    check_rows: int
    passes: int = 1
    seed: int = 0


class Needs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device must have, and the least share of right answers to the sanity set (None: no labels)."""

    memory_mib: int
    min_right: float | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """``model.toml``; its ``[learner]`` table is acclimate-author's business."""

    name: str
    about: str
    training: Training
    bundle: Needs
    standard: Standard | None = None


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column of the stream; ``edges`` as numbers, see ``constraints.Feature``."""

    name: str
    kind: Kind
    edges: tuple[float, ...] = ()


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is predicted; ``classes`` in the order of the learner's outputs."""

    name: str
    task: Literal["classification", "regression"]
    classes: tuple[str, ...] = ()


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``schema.toml``; no columns: vectors of any meaning."""

    label: Label
    column: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """A folder that was read."""

    folder: Path
    model: Model
    schema: Schema
    plan: Plan


_T = TypeVar("_T", Model, Schema)


def read_base_model(folder: Path) -> BaseModel:
    """Read a folder.

    Raises:
        UsageError: a file cannot be read, or says something that is not understood.
        PlanError: the plan makes no sense.
    """
    model, schema = _read(folder / "model.toml", Model), _read(folder / "schema.toml", Schema)
    if model.name != folder.name:
        raise UsageError("the model has another name than its folder", field="name", value=model.name)
    if not (folder / "README.md").is_file():
        raise UsageError("nobody would know what it is", field="README.md", value=str(folder), remedy="write one")
    return BaseModel(folder=folder, model=model, schema=schema, plan=read_plan(folder / "plan.toml"))


def all_folders() -> list[Path]:
    """Return the folders of all base models."""
    return sorted(path.parent for path in FOLDERS.glob("*/model.toml"))


def _read(path: Path, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), kind)
    except (OSError, ValueError, msgspec.ValidationError) as exc:
        raise UsageError(f"the base model cannot be used: {exc}", field=path.name, value=str(path)) from exc
