"""Signing in: an API token is exchanged for a session, whose random secret is in a cookie and nowhere else.

The database has the secret's hash, when the session ends, and whose it is: its token's scope is looked up at every
request, so that a token that is revoked, or has expired, ends its sessions at once. The cookie is out of the reach of
scripts and is sent by these pages alone; over TLS it is bound to this very host (``__Host-``).
"""

import hashlib
import re
import secrets
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from acclimate_hub import limits
from acclimate_hub.identity import api_tokens
from acclimate_hub.identity.api_tokens import Caller
from acclimate_hub.identity.tokens import Scope
from acclimate_hub.pages.security import form_token
from acclimate_hub.store import audit, credentials
from acclimate_hub.store import sessions as rows
from acclimate_shared.errors import AccessError

SESSION, BEFORE = "acclimate", "acclimate-sign-in"  # names of cookies: of a session, of the form before it
_SHAPE = re.compile(r"[A-Za-z0-9_\-]{43}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who looks at a page: ``name`` is that of the token, ``form`` what forms must carry."""

    caller: Caller
    name: str
    session: str
    form: str

    def may(self, scope: str) -> bool:
        """Whether the scope is enough."""
        return self.caller.scope >= Scope[scope.upper()]


def begin(connection: Connection, text: str, now_s: float) -> tuple[str, float]:
    """Begin a session for who shows an API token; return its secret and how many seconds it lasts.

    Raises:
        AccessError: the token opens nothing.
    """
    caller = api_tokens.authenticate(connection, text, now_s)
    token = credentials.api_token(connection, caller.token)
    if token is None:  # deleted between two statements
        raise AccessError("the token opens nothing", field="token", remedy="ask for a new one")
    secret, expires_s = secrets.token_urlsafe(32), min(now_s + limits.SESSION_S, token.expires_s)
    rows.add(
        connection, session=_hash(secret), tenant=caller.tenant, token=caller.token, now_s=now_s, expires_s=expires_s
    )
    _record(connection, caller, "session.begin", {"expires_s": expires_s}, now_s)
    return secret, expires_s - now_s


def visitor(connection: Connection, secret: str, now_s: float) -> Visitor | None:
    """Return whose cookie this is, None if nobody's."""
    row = rows.live(connection, _hash(secret), now_s) if _SHAPE.match(secret) else None
    if row is None:
        return None
    caller = Caller(token=row.token, tenant=row.tenant, scope=Scope[row.scope.upper()])
    return Visitor(caller=caller, name=row.name, session=row.session, form=form_token(secret, SESSION))


def end(connection: Connection, who: Visitor, now_s: float) -> None:
    """End a session."""
    rows.end(connection, who.session)
    _record(connection, who.caller, "session.end", {}, now_s)


def _record(connection: Connection, caller: Caller, action: str, detail: audit.Detail, now_s: float) -> None:
    act = audit.Act(actor=caller.actor, action=action, object=caller.token, detail=detail)
    audit.record(connection, caller.tenant, act, now_s)


def _hash(secret: str) -> str:
    return hashlib.sha256(f"session:{secret}".encode()).hexdigest()


def _cookie(request: Request, name: str) -> tuple[str, bool]:
    """Return the name of a cookie and whether it is for TLS alone."""
    safe = request.url.scheme == "https"
    return f"__Host-{name}" if safe else name, safe


def kept(request: Request, name: str) -> str:
    """Return what a cookie holds, empty if it is not there."""
    return request.cookies.get(_cookie(request, name)[0], "")


def keep(request: Request, response: Response, name: str, value: str, life_s: float) -> None:
    """Let the browser keep a cookie, for itself and for these pages alone."""
    full, safe = _cookie(request, name)
    response.set_cookie(full, value, max_age=int(life_s), path="/", secure=safe, httponly=True, samesite="strict")


def drop(request: Request, response: Response, name: str) -> None:
    """Let the browser forget a cookie."""
    full, safe = _cookie(request, name)
    response.delete_cookie(full, path="/", secure=safe, httponly=True, samesite="strict")
