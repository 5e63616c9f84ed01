"""The topic tree ``acclimate/v1/{tenant}/...``: one table from which topics are built, parsed and subscribed to.

Example:
    >>> topic = up("main", "gw-1")
    >>> topic
    'acclimate/v1/main/d/gw-1/up/38'
    >>> parse(topic).values["device"], subscription("main", Kind.UP, shard="17")
    ('gw-1', 'acclimate/v1/main/d/+/up/17')
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from acclimate_shared.errors import MessageError, UsageError
from acclimate_shared.messages import limits

ROOT = "acclimate/v1"


class Kind(StrEnum):
    """The classes of topic; each value is its shape below the tenant."""

    STATE = "d/{device}/state"
    UP = "d/{device}/up/{shard}"
    ACK = "d/{device}/ack"
    COMMAND = "d/{device}/cmd"
    REPAIR = "d/{device}/rx/{digest}"
    DESIRED = "c/{cohort}/desired"
    META = "b/{digest}/meta"
    CHUNKS = "b/{digest}/c"
    WANT = "b/{digest}/want/{shard}"
    TUF = "tuf/{name}"
    ENROL_REQUEST = "enrol/req/{nonce}"
    ENROL_RESPONSE = "enrol/rsp/{nonce}"


_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}"
_ALPHABETS: Mapping[str, str] = MappingProxyType(
    {
        "tenant": r"[a-z0-9][a-z0-9\-]{0,62}",
        "device": r"[a-z0-9][a-z0-9\-]{0,62}",
        "shard": "[0-9]{1,2}",
        "digest": "[0-9a-f]{64}",
        "cohort": _NAME,
        "name": _NAME,
        "nonce": "[0-9a-f]{32}",
    }
)
_VARIABLE = re.compile(r"\{(\w+)\}")


def _pattern(kind: Kind) -> re.Pattern[str]:
    shape = _VARIABLE.sub(lambda found: f"(?P<{found[1]}>{_ALPHABETS[found[1]]})", kind.value)
    return re.compile(rf"{ROOT}/(?P<tenant>{_ALPHABETS['tenant']})/{shape}\Z")


_PATTERNS = {kind: _pattern(kind) for kind in Kind}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic taken apart; ``values`` has one text for each variable of its kind."""

    tenant: str
    kind: Kind
    values: Mapping[str, str]


def shard_of(device: str) -> int:
    """Return the shard of a device, 0 to 63; the same for ever and everywhere."""
    return zlib.crc32(device.encode()) % limits.SHARDS


def build(tenant: str, kind: Kind, **values: str) -> str:
    """Return a topic.

    Raises:
        UsageError: a value is missing, one too many, or has characters that its place in a topic may not have.
    """
    wanted = set(_VARIABLE.findall(kind.value))
    if wanted != set(values):
        raise UsageError("a topic has exactly its variables", field="topic", value=sorted(wanted ^ set(values)))
    for name, value in (("tenant", tenant), *values.items()):
        if not re.fullmatch(_ALPHABETS[name], value):
            remedy = f"use {_ALPHABETS[name]}"
            raise UsageError("this cannot be a part of a topic", field=name, value=value, remedy=remedy)
    return f"{ROOT}/{tenant}/{kind.value.format(**values)}"


def up(tenant: str, device: str) -> str:
    """Return the topic of a device's events, which carries its shard.

    Raises:
        UsageError: one of both cannot be in a topic.
    """
    return build(tenant, Kind.UP, device=device, shard=str(shard_of(device)))


def parse(text: str) -> Topic:
    """Take a topic apart.

    Raises:
        MessageError: it is none of the tree, or the shard is not that of its device.
    """
    if len(text) <= limits.MAX_TOPIC_BYTES:
        for kind, pattern in _PATTERNS.items():
            if found := pattern.match(text):
                values = found.groupdict()
                tenant = values.pop("tenant")
                _check_shard(values)
                return Topic(tenant, kind, MappingProxyType(values))
    raise MessageError("the topic is none of the tree", field="topic", value=text)


def subscription(tenant: str, kind: Kind, **values: str) -> str:
    """Return the filter of a kind of topic, ``+`` for each variable that is not given.

    Raises:
        UsageError: a value has characters that its place in a topic may not have.
    """
    missing = set(_VARIABLE.findall(kind.value)) - set(values)
    samples = {"shard": "0", "digest": "0" * 64, "nonce": "0" * 32}
    build(tenant, kind, **values, **{name: samples.get(name, "x") for name in missing})
    return f"{ROOT}/{tenant}/{kind.value.format(**values, **dict.fromkeys(missing, '+'))}"


def _check_shard(values: Mapping[str, str]) -> None:
    shard = values.get("shard")
    if shard is None:
        return
    right = str(shard_of(values["device"])) if "device" in values else str(int(shard))
    if shard != right or int(shard) >= limits.SHARDS:
        raise MessageError("the shard is not the right one", field="shard", value=shard)
