"""What travels over the local socket: one JSON object a line, strictly typed, unknown fields refused.

A request names its ``op`` and may carry an ``id``, which the answer repeats. An answer is ``ok``, or says what was
wrong, in which field, with which value, and what to do about it.
"""

import re
from typing import Annotated, Any

import msgspec

from acclimate_device.local.limits import MOST_BATCH, MOST_TEXT
from acclimate_shared.errors import AcclimateError, LinkError, MessageError, RateError

Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Text = Annotated[str, msgspec.Meta(max_length=MOST_TEXT)]
Id = Whole | Text | None
Value = bool | Whole | float | Text | None  # of a feature
Features = dict[str, Value]
Label = Whole | float | Text
REMEDY = "see docs/local-protocol.md"


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op"):
    """What every request has: the id that its answer repeats."""

    id: Id = None


class Predict(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="predict"):
    """Answer one event. ``event`` is the id by which its label will come, ``time_s`` its time; else they are made."""

    features: Features
    event: Text | None = None
    time_s: float | None = None


class Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A label for an event; ``weight`` its importance, ``source`` who gives it."""

    event: Text
    label: Label
    weight: float = 1.0
    source: Text = ""
    time_s: float | None = None


class Feedback(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="feedback"):
    """One label; the fields are those of ``Given``."""

    event: Text
    label: Label
    weight: float = 1.0
    source: Text = ""
    time_s: float | None = None

    def given(self) -> Given:
        """Return the label."""
        return Given(event=self.event, label=self.label, weight=self.weight, source=self.source, time_s=self.time_s)


class PredictMany(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="predict_many"):
    """Answer several events in order; each stands for itself."""

    rows: Annotated[list[Features], msgspec.Meta(min_length=1, max_length=MOST_BATCH)]


class FeedbackMany(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="feedback_many"):
    """Several labels, in no particular order; each stands for itself."""

    labels: Annotated[list[Given], msgspec.Meta(min_length=1, max_length=MOST_BATCH)]


class Status(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="status"):
    """Tell what the agent has done and holds."""


AnyRequest = Predict | Feedback | PredictMany | FeedbackMany | Status
OPS = ["predict", "predict_many", "feedback", "feedback_many", "status"]


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why something was refused.

    Attributes:
        kind: the class of the error, in lower case and without its ending.
        message: what is wrong.
        field: of the request, or of the event.
        value: what was found there, shortened.
        remedy: what to do.
        retry: whether the same request may be answered later.
    """

    kind: str
    message: str
    field: str = ""
    value: str = ""
    remedy: str = ""
    retry: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One prediction, or why there is none; a field that does not apply is left out.

    Attributes:
        event: by which the label will come.
        label: the most probable class, absent for regression and before the first label.
        value: the predicted value, absent for classification.
        probabilities: class to probability.
        version: of the model that answered.
        error: why there is no answer.
    """

    event: str = ""
    label: str | None = None
    value: float | None = None
    probabilities: dict[str, float] | None = None
    version: str = ""
    error: Refusal | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What comes back: ``id`` and ``ok`` always, the rest as the request asks."""

    id: Id
    ok: bool
    event: str = ""
    label: str | None = None
    value: float | None = None
    probabilities: dict[str, float] | None = None
    version: str = ""
    answers: list[Answer] | None = None
    status: dict[str, Any] | None = None
    error: Refusal | None = None
    errors: list[Refusal | None] | None = None


_REQUEST = msgspec.json.Decoder(AnyRequest)
_OF_OP: dict[str, msgspec.json.Decoder[Any]] = {
    op: msgspec.json.Decoder(of)
    for op, of in zip(OPS, (Predict, PredictMany, Feedback, FeedbackMany, Status), strict=True)
}
_ANY = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()
_UNKNOWN = re.compile(r"unknown field `(?P<name>.*?)`")
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?(?P<path>.*)`)?$", re.DOTALL)


def parse(line: bytes, op: str | None = None) -> AnyRequest:
    """Return the request of one line.

    Args:
        line: without its newline.
        op: the operation, where it is known already and the line need not name it; None takes it from the line.

    Raises:
        MessageError: it is no JSON, or not one of the requests; with field and value.
    """
    try:
        request: AnyRequest = (_OF_OP[op] if op else _REQUEST).decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _refused(line, exc, op) from exc
    return request


def _refused(line: bytes, exc: Exception, op: str | None) -> MessageError:
    """Return what is wrong with a line, as exactly as can be said."""
    try:
        found = _ANY.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        shown = line[:60].decode(errors="replace")
        remedy = "send one JSON object in UTF-8 and a newline"
        return MessageError("this is no JSON", field="line", value=shown, remedy=remedy)
    if not isinstance(found, dict):
        return MessageError("a request is a JSON object", field="line", value=found, remedy=REMEDY)
    if found.get("op", op) not in OPS:
        return MessageError("no such operation", field="op", value=found.get("op"), remedy=f"use {', '.join(OPS)}")
    if op is not None and found.get("op", op) != op:
        return MessageError(
            "not the operation of the topic", field="op", value=found["op"], remedy=f"use {op}, or none"
        )
    unknown = _UNKNOWN.search(str(exc))
    if unknown:
        return MessageError("no such field", field=unknown["name"], remedy=REMEDY)
    match = _PLACE.match(str(exc))
    what, path = (match["what"], match["path"] or "$") if match else (str(exc), "$")
    field, value = _walk(found, path.removeprefix("$").removeprefix("."))
    return MessageError(what, field=field, value=value, remedy=REMEDY)


def _walk(found: Any, path: str) -> tuple[str, object]:  # noqa: ANN401 (JSON)
    """Return the name and the value of the field that a path leads to; of a feature its own name."""
    names = []
    for part in re.findall(r"\w+|\[\.\.\.\]|\[\d+\]", path):
        key: Any = int(part.strip("[]")) if part.startswith("[") and part != "[...]" else part
        if key == "[...]" and isinstance(found, dict):
            key = next((name for name, value in found.items() if not _fits(value)), "")
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            break
        names.append(str(key))
    return ".".join(names) or "request", found if names else None


def _fits(value: object) -> bool:
    try:
        msgspec.convert(value, Value)
    except msgspec.ValidationError:
        return False
    return True


def id_of(line: bytes) -> Id:
    """Return the id of a request that was refused, None if it has none that can be used."""
    try:
        found = _ANY.decode(line)
        return msgspec.convert(found.get("id"), Id) if isinstance(found, dict) else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def write(reply: Reply) -> bytes:
    """Return the line of a reply, its newline included; what is not finite becomes null."""
    return _ENCODER.encode(reply) + b"\n"


def refusal(error: AcclimateError) -> Refusal:
    """Return an error as it is told to a client."""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__.removesuffix("Error")).lower()
    return Refusal(
        kind=kind,
        message=error.message,
        field=error.field,
        value=error.value,
        remedy=error.remedy,
        retry=isinstance(error, LinkError | RateError),
    )
