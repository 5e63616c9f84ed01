"""The first state of a base model: what it has learned before it meets its device, and rows that check it.

Rows are test-then-trained in order by the same graphs that a device runs. The rows that check are those that follow,
which were never learned from.
"""

import csv
import gzip
from dataclasses import dataclass
from importlib.resources import as_file, files
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from acclimate_device.executor import Learner
from acclimate_shared.errors import UsageError
from acclimate_shared.learner import LearnerPackage, make_package
from acclimate_tools.packaging import motion
from acclimate_tools.packaging.base_model import BaseModel

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """(rows, columns) float64, NaN where a value is missing, and (rows,) int64 places in the list of classes."""

    x: Array
    y: NDArray[np.int64]

    def part(self, begin: int, end: int) -> "Rows":
        """Return some of them."""
        return Rows(self.x[begin:end], self.y[begin:end])


def rows_of(base: BaseModel, count: int) -> Rows:
    """Return the first rows of a model's source.

    Raises:
        UsageError: the source has other columns or classes than the schema.
    """
    training, schema = base.model.training, base.schema
    if training.source == "motion":
        _same("columns", [column.name for column in schema.column], list(motion.COLUMNS))
        _same("classes", list(schema.label.classes), list(motion.ACTIVITIES))
        return Rows(*motion.windows(count, training.seed))
    if training.source == "recording":
        return _recording(base, count)
    width = len(schema.column) or (base.model.standard.dims.get("features", 1) if base.model.standard else 1)
    x = np.random.default_rng(training.seed).standard_normal((count, width))
    x[:: max(2, count // 4), 0] = np.nan  # a gap is an input like others
    return Rows(x, np.zeros(0, np.int64))


def trained(package: LearnerPackage, base: BaseModel, rows: Rows) -> tuple[LearnerPackage, float]:
    """Return the package with the state after learning rows, and the share of right answers before each was learned.

    Args:
        package: whose graphs learn; its state is where they begin.
        base: name, description, and how often.
        rows: to learn from, in order; none leaves the state as it is.
    """
    classes = ", ".join(base.schema.label.classes)
    about = base.model.about + (f" Classes, in order: {classes}." if classes else "")
    manifest = msgspec.structs.replace(package.manifest, name=base.model.name, about=about)
    state, right = dict(package.state), 0
    if len(rows.x):
        learner = Learner(package)
        dims = base.model.standard.dims if base.model.standard else {}
        now, hyper, step = learner.init_state(dims, base.model.training.seed), learner.hyper(), manifest.inner
        for turn in range(base.model.training.passes):
            for at in range(0, len(rows.x), step):
                part = rows.part(at, at + step)
                now, before, _ = learner.update(now, part.x, part.y, np.ones(len(part.x), np.float32), hyper)
                right += int((before.argmax(1) == part.y).sum()) if turn == 0 else 0
        state = dict(now)
    made = make_package(manifest, predict=package.predict, update=package.update, state=state)
    return made, round(right / max(1, len(rows.x)), 4)


def _recording(base: BaseModel, count: int) -> Rows:
    """Return rows of the telemetry that ships with the agent."""
    names, label = [column.name for column in base.schema.column], base.schema.label
    recording = files("acclimate_device") / "recordings" / "host_telemetry.csv.gz"
    with as_file(recording) as path, gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        _same("columns", names, [n for n in reader.fieldnames or [] if n not in {"timestamp", label.name}])
        table = list(islice(reader, count))
    places = {name: at for at, name in enumerate(label.classes)}
    _same("classes", sorted(places), sorted(set(places) | {row[label.name] for row in table}))
    x = np.array([[float(row[name] or "nan") for name in names] for row in table])
    return Rows(x, np.array([places[row[label.name]] for row in table], np.int64))


def _same(field: str, said: list[str], found: list[str]) -> None:
    if said != found:
        wrong = sorted(set(said) ^ set(found)) or found
        raise UsageError("the schema is not that of the source", field=field, value=wrong, remedy="correct schema.toml")
