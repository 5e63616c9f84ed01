"""What ``acclimate-author build`` is given: ``module:factory``, or a small TOML file for a plain perceptron.

A factory takes no argument and returns a ``Network`` (see ``acclimate_tools.author.networks``) or a ``Source``.

A TOML file::

    [learner]
    name = "pump-state"
    task = "classification"        # or "regression"
    features = 12
    classes = 4                    # classification only
    hidden = [64, 64]              # sizes of the hidden layers
    layer_norm = false             # LayerNorm and a residual connection around each hidden layer of equal size
    optimiser = "adam"             # sgd, momentum, adam, adamw
    rate = 0.001
    weight_decay = 0.0
    clip_norm = 1.0
    replay_size = 0                # rows of a replay buffer; the learner then holds rows
    replay_rows = 0
    class_balanced = false
    flag_missing = false
    inner = 32                     # rows of a step
"""

import importlib
import sys
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor, nn

from acclimate_shared.errors import UsageError
from acclimate_tools.author.networks import Network
from acclimate_tools.author.optimisers import Optimiser
from acclimate_tools.author.source import Source


class LearnerTable(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The ``[learner]`` table."""

    name: str
    task: Literal["classification", "regression"]
    features: int
    classes: int = 0
    hidden: tuple[int, ...] = (64, 64)
    layer_norm: bool = False
    optimiser: Literal["sgd", "momentum", "adam", "adamw"] = "adam"
    rate: float = 0.001
    weight_decay: float = 0.0
    clip_norm: float | None = None
    replay_size: int = 0
    replay_rows: int = 0
    class_balanced: bool = False
    flag_missing: bool = False
    inner: int = 32
    seed: int = 0


class Residual(nn.Module):
    """``x + relu(linear(norm(x)))``."""

    def __init__(self, size: int) -> None:
        """Make the layers for vectors of ``size``."""
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(size), nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        """Map (rows, size) to (rows, size)."""
        return x + torch.relu(self.linear(self.norm(x)))


def perceptron(table: LearnerTable) -> nn.Module:
    """Return the module that a table describes."""
    torch.manual_seed(table.seed)
    width = table.features * (2 if table.flag_missing else 1)
    layers: list[nn.Module] = []
    for size in table.hidden:
        layers += [Residual(size)] if table.layer_norm and size == width else [nn.Linear(width, size), nn.ReLU()]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, table.classes if table.task == "classification" else 1))


def from_toml(path: Path) -> Source:
    """Return the source of a TOML file.

    Raises:
        UsageError: the file cannot be read or says something that is not understood.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = msgspec.convert(tomllib.loads(text).get("learner", {}), LearnerTable)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as exc:
        remedy = "see `acclimate-author build --help` for every key"
        raise UsageError(f"cannot use the file: {exc}", field="spec", value=str(path), remedy=remedy) from exc
    return Network(
        module=perceptron(table),
        name=table.name,
        task=table.task,
        features=table.features,
        classes=table.classes,
        optimiser=Optimiser(kind=table.optimiser, rate=table.rate, weight_decay=table.weight_decay),
        clip_norm=table.clip_norm,
        replay_size=table.replay_size,
        replay_rows=table.replay_rows,
        class_balanced=table.class_balanced,
        flag_missing=table.flag_missing,
        inner=table.inner,
    ).source()


def from_factory(spec: str) -> Source:
    """Return the source that ``module:factory`` makes; the current folder is importable.

    Raises:
        UsageError: it cannot be imported, or returns something else.
    """
    module_name, _, factory_name = spec.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        made: Any = getattr(importlib.import_module(module_name), factory_name)()
    except (ImportError, AttributeError, TypeError) as exc:
        remedy = "name a function without arguments as module:function"
        raise UsageError(f"cannot call the factory: {exc}", field="spec", value=spec, remedy=remedy) from exc
    finally:
        sys.path.pop(0)
    if isinstance(made, Network):
        return made.source()
    if isinstance(made, Source):
        return made
    raise UsageError("the factory must return a Network or a Source", field="spec", value=type(made).__name__)


def load(spec: str) -> Source:
    """Return the source of a TOML file or of ``module:factory``.

    Raises:
        UsageError: it is neither, or is wrong.
    """
    if spec.endswith(".toml"):
        return from_toml(Path(spec))
    if ":" in spec:
        return from_factory(spec)
    raise UsageError("neither a .toml file nor module:factory", field="spec", value=spec, remedy="see --help")
