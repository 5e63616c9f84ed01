"""What a device must have to take a bundle: columns of its stream, free memory, a version of the agent.

Example:
    >>> needs = Constraints(features=(Feature(name="load", kind="number"),), memory_mib=64, agent="0.1.0")
    >>> facts = Facts(features={"load": "category"}, memory_mib=48, agent="0.2.0")
    >>> for reason in needs.unmet(facts): print(reason)
    column load is a category here, the bundle needs a number
    64 MiB of memory are needed, 48 MiB are free
"""

import re
from typing import Literal

import msgspec

from acclimate_shared.errors import RefusedError

MAX_FEATURES = 4096
MAX_NAME_CHARS = 256
MAX_MEMORY_MIB = 1 << 20
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})\Z")

Kind = Literal["number", "category"]


class ConstraintError(RefusedError):
    """A bundle is not made for this device, or its constraints make no sense."""


class Feature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column that the stream of the device must have."""

    name: str
    kind: Kind


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
            ("memory_mib", 0 < self.memory_mib <= MAX_MEMORY_MIB, self.memory_mib, "give MiB from 1"),
            ("agent", _VERSION.match(self.agent), self.agent, "write it as 1.2.3"),
        ]
        for field, good, value, remedy in rules:
            if not good:
                raise ConstraintError("the constraints make no sense", field=field, value=value, remedy=remedy)

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
