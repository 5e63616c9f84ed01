"""More members of the committee, declared by a person: standard learners with other hyper-parameters.

A variant is a member like any other: it learns from every label, the pool may weigh it, and it may challenge on its
own. So which learning rate, forgetting or size is best on this stream is decided by evidence, not beforehand.

Example:
    >>> found = from_toml('''
    ... [[variant]]
    ... name = "rls-quicker"
    ... learner = "rls"
    ... hyper = { forgetting = 0.97 }
    ... ''', "classification")
    >>> found[0].name, dict(found[0].hyper)
    ('rls-quicker', {'forgetting': 0.97})
"""

import math
from pathlib import Path
from typing import Literal

import msgspec

from acclimate_device.procedures import DEFAULT_DIMS, POOLS, Procedure, Task, default_procedures, standard_learner
from acclimate_device.rules import GUESTS, NONE
from acclimate_shared import toml_text
from acclimate_shared.errors import UsageError

MOST_VARIANTS = 16  # each learns from every label
MOST_SIZE = 4096  # of a dim
_RESERVED = {pool.name for pool in POOLS} | set(GUESTS) | set(NONE) | {"last", "anchor", "champion"}


class _Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; see ``Procedure``."""

    name: str
    learner: str
    hyper: dict[str, float] = {}
    dims: dict[str, int] = {}
    inputs: Literal["history", "features"] = "history"
    change: bool = False


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    variant: list[_Variant]


def read_variants(path: Path, task: Task) -> tuple[Procedure, ...]:
    """Return the variants that a TOML file declares.

    Raises:
        UsageError: the file cannot be read, or declares something that is not possible.
    """
    return from_toml(toml_text.text_of(path, "variants"), task)


def from_toml(text: str, task: Task) -> tuple[Procedure, ...]:
    """Return the variants that a TOML text declares; as ``read_variants``."""
    try:
        found = msgspec.convert(toml_text.parse(text, "variants"), _File).variant
    except msgspec.ValidationError as exc:
        remedy = "write [[variant]] tables with name, learner and hyper"
        raise UsageError(f"these are no variants: {exc}", field="variants", remedy=remedy) from exc
    return checked([Procedure(**msgspec.structs.asdict(variant)) for variant in found], task)


def checked(variants: list[Procedure], task: Task) -> tuple[Procedure, ...]:
    """Return variants that can take part.

    Raises:
        UsageError: too many, a name that is taken, or a learner, hyper-parameter or size that does not exist.
    """
    if len(variants) > MOST_VARIANTS:
        remedy = f"declare at most {MOST_VARIANTS}: each of them learns from every label"
        raise UsageError("too many variants", field="variants", value=len(variants), remedy=remedy)
    taken = _RESERVED | {procedure.name for procedure in default_procedures(task)}
    for variant in variants:
        if not variant.name or variant.name in taken or "/" in variant.name or "," in variant.name:
            remedy = "give each a name of its own, without / and ,"
            raise UsageError("not a name for a variant", field="variants.name", value=variant.name, remedy=remedy)
        taken.add(variant.name)
        _check(variant, task)
    return tuple(variants)


def _check(variant: Procedure, task: Task) -> None:
    learner = standard_learner(variant.learner, task)
    if not all(math.isfinite(value) for value in variant.hyper.values()):
        raise UsageError("not a number", field=f"variants.{variant.name}.hyper", value=dict(variant.hyper))
    learner.hyper(**variant.hyper)
    for name, size in variant.dims.items():
        if name not in DEFAULT_DIMS or not 1 <= size <= MOST_SIZE:
            remedy = f"use {', '.join(sorted(DEFAULT_DIMS))}, 1 to {MOST_SIZE}"
            raise UsageError("not a size", field=f"variants.{variant.name}.dims.{name}", value=size, remedy=remedy)
    if variant.change and task != "regression":
        raise UsageError("change is for a regression", field=f"variants.{variant.name}.change", value=True)
