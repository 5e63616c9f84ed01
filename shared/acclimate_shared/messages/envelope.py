"""The envelope of every message, and how it becomes bytes and is read again.

On the wire it is MessagePack; JSON where both sides have the debug switch on. Order of reading: size, schema version,
then the one strict type that the kind of topic allows. Bytes that are not such a message raise ``MessageError``,
nothing else, and cost no more memory than a few times their size.

Example:
    >>> from acclimate_shared.messages.down import Rebirth
    >>> sent = Envelope(id="0" * 32, time_s=1.0, sender="gw-1", boot="a" * 16, sequence=7, body=Rebirth(expires_s=9.0))
    >>> decode(encode(sent, Kind.COMMAND), Kind.COMMAND) == sent
    True
"""

import functools
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from acclimate_shared.errors import MessageError, NewerMessageError
from acclimate_shared.messages import fields as f
from acclimate_shared.messages import limits
from acclimate_shared.messages.down import Ack, Command, Desired, EnrolResponse
from acclimate_shared.messages.topics import Kind
from acclimate_shared.messages.up import EnrolRequest, Event, State, Want

Body = TypeVar("Body")

#: What each kind of topic may carry, and its largest payload in bytes. Chunks and signed metadata are not messages.
CARRIES: Mapping[Kind, tuple[Any, int]] = MappingProxyType(
    {
        Kind.STATE: (State, limits.MAX_STATE_BYTES),
        Kind.UP: (Event, limits.MAX_UP_BYTES),
        Kind.ACK: (Ack, limits.MAX_DOWN_BYTES),
        Kind.COMMAND: (Command, limits.MAX_DOWN_BYTES),
        Kind.WANT: (Want, limits.MAX_DOWN_BYTES),
        Kind.DESIRED: (Desired, limits.MAX_DESIRED_BYTES),
        Kind.ENROL_REQUEST: (EnrolRequest, limits.MAX_DOWN_BYTES),
        Kind.ENROL_RESPONSE: (EnrolResponse, limits.MAX_DOWN_BYTES),
    }
)


class Envelope(Struct, Generic[Body], frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Who says what, when.

    Attributes:
        schema: version of the message types.
        id: random, of this message.
        time_s: the sender's clock, seconds since 1970.
        sender: a device; of a hub's message the device or cohort it is for.
        boot: random, of the sender's present life.
        sequence: counts the messages of a boot from 1; (device, boot, sequence) is never used twice.
    """

    schema: int = limits.SCHEMA
    id: f.MessageId
    time_s: f.Time
    sender: f.Name
    boot: f.BootId
    sequence: f.Sequence
    body: Body


class _Head(Struct):
    schema: int


def message_id() -> str:
    """Return a new random id of a message."""
    return secrets.token_hex(16)


@functools.cache
def _decoders(kind: Kind) -> tuple["msgspec.msgpack.Decoder[Any]", "msgspec.json.Decoder[Any]"]:
    types: Any = Envelope[CARRIES[kind][0]]  # type: ignore[misc]  # chosen by the table
    return msgspec.msgpack.Decoder(types), msgspec.json.Decoder(types)


_HEADS = msgspec.msgpack.Decoder(_Head), msgspec.json.Decoder(_Head)


def _carried(kind: Kind) -> int:
    if kind not in CARRIES:
        raise MessageError("this topic carries no messages", field="topic", value=kind.name)
    return CARRIES[kind][1]


def encode(envelope: Envelope[Any], kind: Kind, *, debug: bool = False) -> bytes:
    """Return the payload of a message, read back once, so that nothing leaves that the other side would refuse.

    Args:
        envelope: with the present schema.
        kind: of the topic that it goes to.
        debug: as JSON, for people.

    Raises:
        MessageError: the topic does not carry such a message, or it is too large or breaks a rule.
    """
    payload = msgspec.json.encode(envelope) if debug else msgspec.msgpack.encode(envelope)
    decode(payload, kind, debug=debug)
    return payload


def decode(payload: bytes, kind: Kind, *, debug: bool = False) -> Envelope[Any]:
    """Read the payload of a message.

    Args:
        payload: any bytes.
        kind: of the topic that it came on.
        debug: whether it is JSON.

    Raises:
        NewerMessageError: it has another schema version.
        MessageError: it is not a message that this topic may carry.
    """
    largest = _carried(kind)
    if len(payload) > largest:
        raise MessageError(f"a message has at most {largest} bytes here", field="bytes", value=len(payload))
    try:
        found = _HEADS[debug].decode(payload).schema
        if found != limits.SCHEMA:
            remedy = f"update the older side; this one speaks {limits.SCHEMA}"
            raise NewerMessageError(
                "the message has another schema version", field="schema", value=found, remedy=remedy
            )
        envelope: Envelope[Any] = _decoders(kind)[debug].decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise MessageError(f"the message is refused: {str(exc)[:200]}", field=kind.name.lower()) from exc
    return envelope
