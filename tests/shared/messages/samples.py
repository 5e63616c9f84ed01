"""One message of every type, and a walk over what a type may hold."""

import math
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.inspect import type_info

from acclimate_shared.messages import down, up
from acclimate_shared.messages.envelope import Envelope
from acclimate_shared.messages.topics import Kind
from acclimate_shared.rollout_reports import DeviceState
from acclimate_shared.waves import Action, Stage

D, E, ID, BOOT = "d" * 64, "e" * 64, "1" * 32, "b" * 16
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
TOKEN = "acc_claim_" + "0" * 16 + "_" + "x" * 43

METRICS = up.Metrics(
    start_s=0.0,
    end_s=60.0,
    schema=D,
    scores=(up.CandidateScore(candidate="rls", role="champion", measure="accuracy", labels=100, mean=0.9),),
    tests=(
        up.TestState(
            challenger="mlp", outcome="running", plan=D, labels=9, log_e=1.0, threshold=3.0, low=-0.1, high=0.2
        ),
    ),
    drift=(up.Drift(detector="adwin", signal="loss", looks=5, alarms=1),),
    features=(up.FeatureCounts(feature=3, counts=(30, 2, 0)),),
    bins=E,
    resources=up.Resources(predictions=100, latency_p99_s=0.001),
)
LINEAGE = up.LineageRecord(
    digest=D, kind="commit", version="1.1", model=E, graph=E, schema=E, parents=(E,), labels=512, time_s=5.0
)
BLOCK = up.RolloutBlock(rollout="r1", stage=Stage.SHADOW, block=4, labels=10, gain=-2.5, asked=12, latency=1.1)
STATUS = up.RolloutReport(
    rollout="r1", attempt=1, stage=Stage.SHADOW, state=DeviceState.FAILED, digest=D, reason="signature-refused"
)
DESIRED = down.Desired(
    rollout="r-1", number=3, revision=7, action=Action.GO, digest=D, previous=E, salt="s", attempt=1,
    shadow=10.0, serve=5.0, warmup_labels=100, probation_s=60.0, block_s=30.0, cohort="default",
)  # fmt: skip

SAMPLES: list[tuple[Kind, Any]] = [
    (Kind.STATE, up.State(online=True, agent="0.1.0", cohort="default", running=D, version="1.4", head=E)),
    (Kind.UP, METRICS),
    (Kind.UP, LINEAGE),
    (Kind.UP, BLOCK),
    (Kind.UP, STATUS),
    (Kind.UP, up.Thinned(thinned=BOOT, first=3, last=9, metrics=7)),
    (Kind.UP, up.Renew(request=PEM)),
    (Kind.WANT, up.Want(chunks=(0, 7, 8))),
    (Kind.ENROL_REQUEST, up.EnrolRequest(claim=TOKEN, request=PEM)),
    (Kind.ENROL_RESPONSE, down.EnrolResponse(device="gw-1", certificate=PEM, chain=PEM, renew_s=9.0)),
    (Kind.ENROL_RESPONSE, down.EnrolResponse(device="gw-1", refused="claim-spent")),
    (Kind.ACK, down.Ack(acked=BOOT, ranges=(down.Range(1, 7), down.Range(9, 9)))),
    (
        Kind.COMMAND,
        down.SwitchSlot(rollout="r1", number=3, revision=8, digest=E, reason="rollout-aborted", expires_s=99.0),
    ),
    (Kind.COMMAND, down.Rebirth(expires_s=9.0)),
    (Kind.COMMAND, down.Certificate(certificate=PEM, chain=PEM, renew_s=9.0)),
    (Kind.DESIRED, DESIRED),
]


def wrapped(body: Any, *, sequence: int = 1, sender: str = "gw-1", boot: str = BOOT) -> Envelope[Any]:
    return Envelope(id=ID, time_s=1000.0, sender=sender, boot=boot, sequence=sequence, body=body)


def leaves(kind: Any, path: str = "") -> Iterator[tuple[str, msgspec.inspect.Type, dict[str, Any]]]:
    """Yield path, type and declared extras of every leaf of a type; fail on what is not a closed struct of leaves."""
    info, extra = (kind, {}) if isinstance(kind, msgspec.inspect.Type) else (type_info(kind), {})
    if isinstance(info, msgspec.inspect.Metadata):
        extra, info = info.extra or {}, info.type
    match info:
        case msgspec.inspect.StructType():
            assert info.forbid_unknown_fields, path
            for field in info.fields:
                yield from leaves(field.type, f"{path}.{field.name}")
        case msgspec.inspect.UnionType():
            for one in info.types:
                yield from leaves(one, path)
        case msgspec.inspect.VarTupleType():
            assert info.max_length is not None, f"{path} is not bounded"
            yield from leaves(info.item_type, f"{path}[]")
        case _:
            yield path, info, extra


def largest(info: msgspec.inspect.Type) -> float:
    """Return the bound of a number."""
    assert isinstance(info, msgspec.inspect.IntType | msgspec.inspect.FloatType)
    low = info.ge if info.ge is not None else info.gt
    high = info.le if info.le is not None else info.lt
    return math.inf if low is None or high is None else max(abs(low), abs(high))
