"""What a device must have to take a bundle: columns of its stream, free memory, a version of the agent.

Example:
    >>> needs = Constraints(features=(Feature(name="load", kind="number"),), memory_mib=64, agent="0.1.0")
    >>> facts = Facts(features={"load": "category"}, memory_mib=48, agent="0.2.0")
    >>> for reason in needs.unmet(facts): print(reason)
    column load is a category here, the bundle needs a number
    64 MiB of memory are needed, 48 MiB are free
"""

import math
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

import msgspec

from acclimate_shared.errors import RefusedError
from acclimate_shared.messages import limits

CONSTRAINTS = "constraints.json"  # name of their file
MAX_FEATURES = 4096
MAX_NAME_CHARS = 256
MAX_FEATURE_EDGES = limits.MAX_BINS - 1  # of one feature
MAX_EDGES = 1024  # of all features together: a message of the device holds a count for each bin
MAX_COUNTED = limits.MAX_FEATURES  # features with edges, for the same reason
MAX_MEMORY_MIB = 1 << 20
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})\Z")

Kind = Literal["number", "category"]


class ConstraintError(RefusedError):
    """A bundle is not made for this device, or its constraints make no sense."""


class Feature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A column that the stream of the device must have.

    Attributes:
        name: as in the stream.
        kind: what its values are.
        edges: rising, between bins over which a device counts the values of a number and tells its hub how many fell
            into each: ``bounds[i - 1] < x <= bounds[i]`` is bin i. None: nothing is counted. They are texts, see
            ``edges_of``, because documents that are signed know no fractions.
    """

    name: str
    kind: Kind
    edges: tuple[str, ...] = ()

    @property
    def bounds(self) -> tuple[float, ...]:
        """The edges as numbers.

        Raises:
            ValueError: One is no number; not after ``Constraints.check``.
        """
        return tuple(map(float, self.edges))

    @property
    def rises(self) -> bool:
        """Whether the edges are finite numbers that rise, each written in its one form."""
        try:
            bounds = self.bounds
        except ValueError:
            return False
        written = all(math.isfinite(bound) for bound in bounds) and edges_of(bounds) == self.edges
        return written and all(low < high for low, high in pairwise(bounds))


def edges_of(bounds: Iterable[float]) -> tuple[str, ...]:
    """Return numbers as the texts of edges: the shortest that is the same number when it is read.

    Example:
        >>> edges_of([0, 0.25, 1e22])
        ('0.0', '0.25', '1e+22')
    """
    return tuple(repr(float(bound)) for bound in bounds)


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a device has: the kind of each column by name, MiB of memory it can spare, the version of its agent.

    ``features`` is None where no stream is known yet; columns are then left to whoever knows.
    """

    features: dict[str, Kind] | None
    memory_mib: int
    agent: str


class Constraints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See the module; no features: the bundle takes vectors of any meaning, as in a trial."""

    features: tuple[Feature, ...] = ()
    memory_mib: int
    agent: str  # the oldest agent that may take it, as major.minor.patch

    def check(self) -> None:
        """Check the ranges.

        Raises:
            ConstraintError: Naming the first field that is wrong.
        """
        names = [feature.name for feature in self.features]
        rules = [
            ("features", len(names) <= MAX_FEATURES, len(names), f"name at most {MAX_FEATURES}"),
            ("features", len(set(names)) == len(names), names, "name each column once"),
            ("features", all(0 < len(n) <= MAX_NAME_CHARS for n in names), names, "give short names"),
            *self._rules_of_edges(),
            ("memory_mib", 0 < self.memory_mib <= MAX_MEMORY_MIB, self.memory_mib, "give MiB from 1"),
            ("agent", _VERSION.match(self.agent), self.agent, "write it as 1.2.3"),
        ]
        for field, good, value, remedy in rules:
            if not good:
                raise ConstraintError("the constraints make no sense", field=field, value=value, remedy=remedy)

    def _rules_of_edges(self) -> list[tuple[str, bool, object, str]]:
        counted = [feature for feature in self.features if feature.edges]
        total = sum(len(feature.edges) for feature in counted)
        texts = [feature.name for feature in counted if feature.kind != "number"]
        falling = [feature.name for feature in counted if not feature.rises]
        long = [feature.name for feature in counted if len(feature.edges) > MAX_FEATURE_EDGES]
        return [
            ("edges", not texts, texts, "give edges to numbers only"),
            ("edges", not falling, falling, "give finite numbers that rise"),
            ("edges", not long, long, f"give a feature at most {MAX_FEATURE_EDGES} edges"),
            ("edges", len(counted) <= MAX_COUNTED, len(counted), f"give them to at most {MAX_COUNTED} features"),
            ("edges", total <= MAX_EDGES, total, f"give all features together at most {MAX_EDGES} edges"),
        ]

    def unmet(self, facts: Facts) -> list[str]:
        """Return a reason for each constraint that the device does not meet; empty: the bundle fits.

        Raises:
            ConstraintError: If a version is not one.
        """
        reasons = []
        for feature in self.features if facts.features is not None else ():
            found = (facts.features or {}).get(feature.name)
            if found is None:
                reasons.append(f"column {feature.name} is missing, the bundle needs a {feature.kind}")
            elif found != feature.kind:
                reasons.append(f"column {feature.name} is a {found} here, the bundle needs a {feature.kind}")
        if facts.memory_mib < self.memory_mib:
            reasons.append(f"{self.memory_mib} MiB of memory are needed, {facts.memory_mib} MiB are free")
        if parse_version(facts.agent) < parse_version(self.agent):
            reasons.append(f"agent {self.agent} or newer is needed, this is {facts.agent}")
        return reasons


def parse_version(text: str) -> tuple[int, int, int]:
    """Return the three numbers of ``major.minor.patch``.

    Raises:
        ConstraintError: If it is not written so.
    """
    found = _VERSION.match(text)
    if found is None:
        raise ConstraintError("not a version", field="agent", value=text, remedy="write it as 1.2.3")
    return int(found[1]), int(found[2]), int(found[3])


def write_constraints(constraints: Constraints) -> bytes:
    """Return the document of constraints, as it is in a bundle."""
    return msgspec.json.encode(constraints, order="sorted")


def read_constraints(data: bytes) -> Constraints:
    """Return what ``write_constraints`` has written.

    Raises:
        ConstraintError: It has not, or they make no sense.
    """
    try:
        found = msgspec.json.decode(data, type=Constraints)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise ConstraintError(f"the constraints cannot be read: {exc}", field=CONSTRAINTS) from exc
    found.check()
    return found
