"""What the API takes and gives, with an example of each."""

from typing import Annotated, Any, Generic, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from acclimate_hub import limits

Item = TypeVar("Item")

_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}$"
_DEVICE = r"^[a-z0-9][a-z0-9\-]{0,62}$"
_DIGEST = "^[0-9a-f]{64}$"
_ID = "^[0-9a-f]{16}$"
_SHOWN = "0123456789abcdef"  # an id in examples

DeviceId = Annotated[str, Path(pattern=_DEVICE, examples=["gw-1"])]
CohortId = Annotated[str, Path(pattern=_NAME, examples=["default"])]
DigestId = Annotated[str, Path(pattern=_DIGEST, examples=["d" * 64])]
TokenId = Annotated[str, Path(pattern=_ID, examples=["0123456789abcdef"])]
Cursor = Annotated[
    str | None, Query(max_length=128, pattern=r"^[A-Za-z0-9_.\-]+$", description="`next` of the page before")
]
Limit = Annotated[int, Query(ge=1, le=limits.MAX_PAGE_ROWS)]
Time = Annotated[float, Query(ge=0, lt=253402300800, description="Seconds since 1970")]
Name = Annotated[str, StringConstraints(pattern=_NAME)]
DeviceName = Annotated[str, StringConstraints(pattern=_DEVICE)]
Later = Annotated[float, Field(gt=0, lt=253402300800, description="Seconds since 1970")]


def example(**fields: Any) -> ConfigDict:  # noqa: ANN401 - whatever the model has
    """Return the configuration of a model, with an example for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": [fields]}, from_attributes=True, extra="ignore")


class Page(BaseModel, Generic[Item]):
    """One page; ``next`` is the cursor of the one behind it, null at the end."""

    items: list[Item]
    next: str | None = None


class Device(BaseModel):
    """A device and what it last reported."""

    model_config = example(
        device="gw-1", cohort="default", shard=38, enrolled_s=1.7e9, online=True, running="d" * 64, head="e" * 64
    )

    device: str
    cohort: str
    shard: int
    enrolled_s: float
    revoked_s: float | None = None
    seen_s: float | None = None
    online: bool
    running: str
    head: str
    reported: dict[str, Any] | None = None


class Cohort(BaseModel):
    """A cohort; less critical ones come first in a rollout."""

    model_config = example(cohort="shop-3", criticality=1)

    cohort: Name
    criticality: Annotated[int, Field(ge=0, le=100)] = 0


class Move(BaseModel):
    """Where a device goes."""

    model_config = example(cohort="shop-3")

    cohort: Name


class ClaimWish(BaseModel):
    """Who may enrol with a new claim token."""

    model_config = example(cohort="default", max_uses=10, expires_s=4e9, allowed=["gw-1"])

    cohort: Name = "default"
    max_uses: Annotated[int, Field(ge=1, le=limits.MAX_CLAIM_USES)] = 1
    expires_s: Later
    allowed: Annotated[list[DeviceName], Field(max_length=1000)] = []


class Claim(BaseModel):
    """A claim token without its secret."""

    model_config = example(
        claim="0123456789abcdef", cohort="default", uses=0, max_uses=1, created_s=1.7e9, expires_s=4e9
    )

    claim: str
    cohort: str
    uses: int
    max_uses: int
    created_s: float
    expires_s: float
    revoked_s: float | None = None


class TokenWish(BaseModel):
    """What a new API token may do, and until when."""

    model_config = example(name="dashboard", scope="viewer", expires_s=4e9)

    name: Name
    scope: Annotated[str, StringConstraints(pattern="^(viewer|operator|releaser|admin)$")] = "viewer"
    expires_s: Later


class Token(BaseModel):
    """An API token without its secret."""

    model_config = example(token=_SHOWN, name="dashboard", scope="viewer", created_s=1.7e9, expires_s=4e9)

    token: str
    name: str
    scope: str
    created_s: float
    expires_s: float
    revoked_s: float | None = None


class Secret(BaseModel):
    """A new token; it is shown once and kept nowhere."""

    model_config = example(id="0123456789abcdef", token=f"acc_claim_{_SHOWN}_...")

    id: str
    token: str


class Certificate(BaseModel):
    """A certificate that was issued."""

    model_config = example(serial="1f", name="gw-1", issued_s=1.7e9, expires_s=1.8e9, pem="-----BEGIN CERTIFICATE-----")

    serial: str
    name: str
    issued_s: float
    expires_s: float
    revoked_s: float | None = None
    pem: str


class Done(BaseModel):
    """It is done."""

    model_config = example(done="device.revoke", object="gw-1", count=1)

    done: str
    object: str
    count: int = 1


class Bucket(BaseModel):
    """One bucket of a series; of a cohort with ``devices``, of a device with weight, least and most."""

    model_config = example(start_s=1700000000, mean=0.91, weight=512.0, least=0.88, most=0.94)

    start_s: int
    mean: float
    weight: float | None = None
    least: float | None = None
    most: float | None = None
    devices: int | None = None


class Series(BaseModel):
    """A measure over time."""

    model_config = example(
        measure="accuracy", subject="rls", width_s=3600, buckets=[{"start_s": 1700000000, "mean": 0.9}]
    )

    measure: str
    subject: str
    width_s: int
    buckets: list[Bucket]


class Node(BaseModel):
    """A version of a device, or a release (no device)."""

    model_config = example(
        digest="d" * 64,
        device="gw-1",
        kind="commit",
        version="1.4",
        model="e" * 64,
        time_s=1.7e9,
        labels=512,
        cpu_s=0.5,
    )

    digest: str
    device: str
    kind: str
    version: str
    model: str
    time_s: float
    labels: int
    cpu_s: float
    gain: float | None = None


class Family(BaseModel):
    """A node and its kin, by digest."""

    model_config = example(digest="d" * 64, ancestors=["e" * 64], descendants=[])

    digest: str
    ancestors: list[str]
    descendants: list[str]


class Entry(BaseModel):
    """One entry of the audit log; ``detail`` is JSON."""

    model_config = example(
        place=1, time_s=1.7e9, actor="cli", action="tenant.create", object="main", detail="{}", digest="d" * 64
    )

    place: int
    time_s: float
    actor: str
    action: str
    object: str
    detail: str
    previous: str = ""
    digest: str


class Verified(BaseModel):
    """The whole audit log was checked."""

    model_config = example(entries=17, head="d" * 64)

    entries: int
    head: str
