"""Tokens: an id to find them by and 256 random bits that are kept only as a hash.

The secret is random, not chosen by a person, so one SHA-256 is enough: there is nothing to guess from. Scopes of API
tokens contain each other: viewer, operator, releaser, admin.

Example:
    >>> made = new("api")
    >>> parse(made.text).kind, matches(parse(made.text), made.secret_hash)
    ('api', True)
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from acclimate_shared.errors import AccessError

_SHAPE = re.compile(r"acc_(?P<kind>api|claim)_(?P<id>[0-9a-f]{16})_(?P<secret>[A-Za-z0-9_\-]{43})\Z")

Kind = Literal["api", "claim"]


class Scope(IntEnum):
    """What an API token may do; a larger one may do everything that a smaller one may."""

    VIEWER = 1
    OPERATOR = 2
    RELEASER = 3
    ADMIN = 4


@dataclass(frozen=True, slots=True)
class New:
    """A new token: ``text`` is shown once and kept nowhere."""

    id: str
    text: str
    secret_hash: str


@dataclass(frozen=True, slots=True, repr=False)
class Parsed:
    """The parts of a token that somebody showed."""

    kind: str
    id: str
    secret: str


def new(kind: Kind) -> New:
    """Make a token."""
    token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return New(token_id, f"acc_{kind}_{token_id}_{secret}", _hash(kind, token_id, secret))


def parse(text: str) -> Parsed:
    """Take a token apart.

    Raises:
        AccessError: it is none.
    """
    found = _SHAPE.match(text)
    if found is None:
        raise AccessError(
            "this is not a token", field="token", remedy="acclimate-hub token create, or claim create, makes one"
        )
    return Parsed(found["kind"], found["id"], found["secret"])


def matches(parsed: Parsed, secret_hash: str) -> bool:
    """Whether the secret is the one of this hash; takes the same time whatever the answer."""
    return hmac.compare_digest(_hash(parsed.kind, parsed.id, parsed.secret), secret_hash)


def _hash(kind: str, token_id: str, secret: str) -> str:
    return hashlib.sha256(f"{kind}:{token_id}:{secret}".encode()).hexdigest()
