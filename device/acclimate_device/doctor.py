"""What ``acclimate doctor`` thinks of a machine: each check looks at facts that were gathered, see ``doctor_facts``.

A check returns one finding, or none where there is nothing to judge. Bad means that the agent does not work, or not
safely; a warning, that it may stop doing so.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from acclimate_device.limits_of_host import LEAST_BYTES, Limits

Verdict = Literal["ok", "warn", "bad"]
WORDS = "ORT_DISABLE_TELEMETRY"
EARLIEST_S = 1_735_689_600.0  # 2025-01-01: a clock before it has never been set
SKEW_S = 120.0  # by which a state may be younger than the clock
LITTLE_BYTES, LEAST_FREE_BYTES = 512 << 20, 64 << 20  # of the disk: a warning, and too little for a commit and its copy
LITTLE_CPUS = 0.5  # processors' worth of time, below which the default committee may not keep up
OTHERS = 0o002  # of a file's mode: anyone may write
DAY_S = 86_400.0
EXPIRY_S = 3 * DAY_S  # before the end of a certificate that should have been renewed long before
# What the agent needs; a test compares it with the project's own list.
LEAST_VERSIONS = {
    "numpy": "1.26", "msgspec": "0.19", "safetensors": "0.5", "onnxruntime": "1.23", "click": "8.1", "rich": "13.7",
    "psutil": "6.0", "sqlite-utils": "3.38", "cryptography": "43", "paho-mqtt": "2.1", "tuf": "6.0",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error that was met while a fact was gathered, and what to do about it."""

    message: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """The link of an enrolled device; ``expires_s`` in seconds since 1970, ``trouble`` of the broker."""

    broker: str
    expires_s: float
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found; a field that was not asked for, or does not apply, is None.

    Attributes:
        now_s: of the clock, seconds since 1970; ``newest_s`` of the youngest file of the state.
        free_bytes: of the disk that holds, or would hold, the state.
        writing: trouble with a small file there.
        folder: that was looked at.
        protects: what encryption under the state's key protects against; ``key_source`` where it came from.
        state: trouble with opening the state.
        hub: of an enrolled device.
        versions: of the libraries, None for a missing one.
        telemetry: value of the switch that keeps the runtime silent.
        limits: of this process; ``free_memory_bytes`` of the machine.
        socket: that was asked; ``socket_mode`` of its file, ``socket_trouble`` with the answer.
    """

    now_s: float
    newest_s: float | None = None
    folder: str = "."
    free_bytes: int = 0
    writing: Trouble | None = None
    key_source: str | None = None
    protects: str = ""
    state: Trouble | None = None
    hub: Hub | None = None
    versions: Mapping[str, str | None] = field(default_factory=dict)
    telemetry: str | None = None
    limits: Limits = field(default_factory=Limits)
    free_memory_bytes: int = 0
    socket: str | None = None
    socket_mode: int = 0
    socket_trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says, and what to do where it is not well."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""

    def document(self) -> dict[str, str]:
        """Return it as JSON."""
        return asdict(self)


def clock(facts: Facts) -> Finding:
    """Judge whether the clock may be right; evidence does not need it, certificates and late labels do."""
    remedy = "set the clock, and keep it right (systemd-timesyncd or chrony)"
    if facts.now_s < EARLIEST_S:
        return Finding("clock", "bad", "it has never been set", remedy)
    if facts.newest_s is not None and facts.newest_s > facts.now_s + SKEW_S:
        return Finding("clock", "bad", f"the state is {facts.newest_s - facts.now_s:.0f} s younger than now", remedy)
    return Finding("clock", "ok", "it may be right")


def disk(facts: Facts) -> Finding:
    """Judge whether a state can be kept."""
    free = f"{facts.free_bytes >> 20:,} MiB free at {facts.folder}"
    if facts.writing is not None:
        return Finding("disk", "bad", facts.writing.message, facts.writing.remedy)
    if facts.free_bytes < LEAST_FREE_BYTES:
        return Finding("disk", "bad", free, f"make room: {LEAST_FREE_BYTES >> 20} MiB at least")
    if facts.free_bytes < LITTLE_BYTES:
        return Finding("disk", "warn", free, f"make room: {LITTLE_BYTES >> 20} MiB are comfortable")
    return Finding("disk", "ok", free)


def state(facts: Facts) -> Finding | None:
    """Judge whether the state opens, and how well its key protects it."""
    if facts.state is not None:
        return Finding("state", "bad", facts.state.message, facts.state.remedy)
    if facts.key_source is None:
        return None
    found = f"it opens; its key protects against {facts.protects}"
    if facts.key_source == "folder":
        remedy = "use a systemd credential or ACCLIMATE_KEY_FILE, then acclimate rotate"
        return Finding("state", "warn", found, remedy)
    return Finding("state", "ok", found)


def broker(facts: Facts) -> Finding | None:
    """Judge whether the broker of an enrolled device answers and knows it."""
    if facts.hub is None:
        return None
    if facts.hub.trouble is not None:
        return Finding("broker", "bad", f"{facts.hub.broker}: {facts.hub.trouble.message}", facts.hub.trouble.remedy)
    return Finding("broker", "ok", f"{facts.hub.broker} answers")


def certificate(facts: Facts) -> Finding | None:
    """Judge how long the certificate of an enrolled device lasts; it is renewed over the link, long before its end."""
    if facts.hub is None:
        return None
    left_s = facts.hub.expires_s - facts.now_s
    if left_s <= 0:
        return Finding("certificate", "bad", f"it ended {-left_s / DAY_S:.1f} days ago", "run acclimate enrol again")
    found = f"it lasts {left_s / DAY_S:.1f} days"
    if left_s < EXPIRY_S:
        return Finding("certificate", "warn", found, "let the agent reach its broker, which renews it")
    return Finding("certificate", "ok", found)


def libraries(facts: Facts) -> Finding:
    """Judge the versions of libraries."""
    wrong = []
    for name, least in LEAST_VERSIONS.items():
        there = facts.versions.get(name)
        if there is None or _numbers(there) < _numbers(least):
            wrong.append(f"{name} {there or 'is missing'} (needs {least})")
    if wrong:
        return Finding("libraries", "bad", ", ".join(wrong), "install acclimate[device] again")
    return Finding("libraries", "ok", ", ".join(f"{name} {facts.versions[name]}" for name in ("numpy", "onnxruntime")))


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: (1, 23) for 1.23rc1."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def telemetry(facts: Facts) -> Finding:
    """Judge whether the runtime may speak to its makers."""
    if facts.telemetry == "1":
        return Finding("telemetry", "ok", f"{WORDS}=1: the runtime sends nothing")
    return Finding("telemetry", "bad", f"{WORDS} is {facts.telemetry or 'not set'}", f"set {WORDS}=1")


def resources(facts: Facts) -> Finding:
    """Judge memory and processor time."""
    limits, free = facts.limits, facts.limits.spare_bytes(facts.free_memory_bytes)
    share = "all processors" if limits.cpus is None else f"{limits.cpus:g} processors"
    if limits.memory_bytes is not None and limits.memory_bytes < LEAST_BYTES:
        remedy = f"allow {LEAST_BYTES >> 20} MiB at least (MemoryMax=), or use fewer learners"
        return Finding("resources", "bad", f"{limits.memory_bytes >> 20} MiB may be used", remedy)
    found = f"{free >> 20:,} MiB to spare, {share}"
    if free < LEAST_BYTES:
        return Finding("resources", "warn", found, f"free memory: {LEAST_BYTES >> 20} MiB, or use fewer learners")
    if limits.cpus is not None and limits.cpus < LITTLE_CPUS:
        return Finding("resources", "warn", found, f"allow {LITTLE_CPUS:g} (CPUQuota=), or use fewer learners")
    return Finding("resources", "ok", found)


def socket(facts: Facts) -> Finding | None:
    """Judge whether the agent answers other programs, and who may ask it."""
    if facts.socket is None:
        return None
    if facts.socket_trouble is not None:
        return Finding("socket", "bad", facts.socket_trouble.message, facts.socket_trouble.remedy)
    if facts.socket_mode & OTHERS:
        return Finding("socket", "warn", "it answers, and anyone on this machine may ask", "serve with --mode 660")
    return Finding("socket", "ok", "it answers")


Check = Callable[[Facts], Finding | None]
CHECKS: tuple[Check, ...] = (
    clock, disk, state, broker, certificate, libraries, telemetry, resources, socket,
)  # fmt: skip


def examine(facts: Facts, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """Return what every check says, in order; a check that does not apply says nothing."""
    return [found for found in (check(facts) for check in checks) if found is not None]
