"""The kinds of value that a message may hold; there is no other.

Each is an annotated type whose ``kind`` says what it stands for. A text is a name, a digest, a version, a reason,
a token or a certificate, bounded and with an alphabet; a reason has no digits, so no value can slip into it. A number
is a count, a time, an amount of a resource or a loss. None of them is a feature of an event.
"""

from typing import Annotated

from msgspec import Meta

from acclimate_shared.messages import limits

_LARGEST = 2**53  # whole numbers up to here survive JSON


def _text(kind: str, pattern: str, longest: int) -> Meta:
    return Meta(pattern=rf"^(?:{pattern})\Z", max_length=longest, extra={"kind": kind})


_NAME = rf"[A-Za-z0-9_][A-Za-z0-9_.\-]{{0,{limits.MAX_NAME - 1}}}"
_DEVICE = r"[a-z0-9][a-z0-9\-]{0,62}"
_DIGEST = "[0-9a-f]{64}"

#: A candidate, a cohort, a rollout; never text that an event brought along.
Name = Annotated[str, _text("name", _NAME, limits.MAX_NAME)]
NoName = Annotated[str, _text("name", f"({_NAME})?", limits.MAX_NAME)]
#: Id of a device, its certificate's common name: safe in a topic and in a file of access rules.
Device = Annotated[str, _text("name", _DEVICE, 63)]
Tenant = Annotated[str, _text("name", _DEVICE, 63)]
Digest = Annotated[str, _text("digest", _DIGEST, 64)]
NoDigest = Annotated[str, _text("digest", f"({_DIGEST})?", 64)]
#: Random ids of a message, of a boot, of an enrolment.
MessageId = Annotated[str, _text("digest", "[0-9a-f]{32}", 32)]
BootId = Annotated[str, _text("digest", "[0-9a-f]{16}", 16)]
#: ``major.minor`` of a model; ``major.minor.patch`` and what follows of a program.
Version = Annotated[str, _text("version", r"(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})", 37)]
NoVersion = Annotated[str, _text("version", r"((0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17}))?", 37)]
Program = Annotated[str, _text("version", r"[0-9]{1,5}(\.[0-9]{1,5}){1,3}([a-z]{1,4}[0-9]{0,5})?", 40)]
#: Words joined by hyphens, such as ``signature-refused``.
Reason = Annotated[str, _text("reason", "[a-z]+(-[a-z]+)*", limits.MAX_REASON)]
NoReason = Annotated[str, _text("reason", "([a-z]+(-[a-z]+)*)?", limits.MAX_REASON)]
Token = Annotated[str, _text("token", r"acc_[a-z]+_[0-9a-f]{16}_[A-Za-z0-9_\-]{43}", 96)]
Pem = Annotated[str, _text("certificate", r"-----BEGIN [A-Z ]+-----[A-Za-z0-9+/=\s\- ]+", limits.MAX_PEM)]
NoPem = Annotated[str, _text("certificate", r"(-----BEGIN [A-Z ]+-----[A-Za-z0-9+/=\s\- ]+)?", limits.MAX_PEM)]

Count = Annotated[int, Meta(ge=0, le=_LARGEST, extra={"kind": "count"})]
Sequence = Annotated[int, Meta(ge=1, le=_LARGEST, extra={"kind": "count"})]
FeatureIndex = Annotated[int, Meta(ge=0, le=limits.MAX_FEATURE_INDEX, extra={"kind": "count"})]
Labels = Annotated[int, Meta(ge=limits.MIN_LABELS, le=_LARGEST, extra={"kind": "count"})]
Bytes = Annotated[int, Meta(ge=0, le=_LARGEST, extra={"kind": "resource"})]
Seconds = Annotated[float, Meta(ge=0, le=1e12, extra={"kind": "resource"})]
#: Seconds since 1970, before the year 10000.
Time = Annotated[float, Meta(ge=0, lt=253402300800, extra={"kind": "time"})]
#: Of an amount of a resource to another one; 0 where it was not measured.
Ratio = Annotated[float, Meta(ge=0, le=1e9, extra={"kind": "resource"})]
#: A mean of losses or scores, or a difference of two.
Score = Annotated[float, Meta(ge=-1e12, le=1e12, extra={"kind": "loss"})]
#: The logarithm of an e-value, or its threshold.
LogE = Annotated[float, Meta(ge=-1e6, le=1e6, extra={"kind": "loss"})]
Percent = Annotated[float, Meta(ge=0, le=100, extra={"kind": "share"})]
Share = Annotated[float, Meta(ge=0, le=1, extra={"kind": "share"})]

KINDS = frozenset(
    ["name", "digest", "version", "reason", "token", "certificate", "count", "resource", "time", "loss", "share"]
)
