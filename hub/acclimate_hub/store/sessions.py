"""Sessions at the pages as rows: only the SHA-256 of a cookie's secret is kept."""

from typing import Any

from sqlalchemy import Connection, Row, delete, select

from acclimate_hub import limits
from acclimate_hub.store import tables

_T, _TOKENS = tables.sessions, tables.api_tokens


def add(connection: Connection, *, session: str, tenant: str, token: str, now_s: float, expires_s: float) -> None:
    """Begin a session; ended ones are deleted, and the oldest of a token that has too many.

    Args:
        connection: of a ``write``.
        session: hash of the secret.
        tenant: of the token.
        token: id of the API token that was shown.
        now_s: seconds since 1970; ``expires_s`` alike.
        expires_s: when it ends.
    """
    connection.execute(delete(_T).where(_T.c.expires_s <= now_s))
    newest = select(_T.c.session).where(_T.c.token == token).order_by(_T.c.created_s.desc(), _T.c.session)
    kept = list(connection.execute(newest.limit(limits.MAX_SESSIONS - 1)).scalars())
    connection.execute(delete(_T).where(_T.c.token == token, _T.c.session.not_in(kept)))
    values = {"session": session, "tenant": tenant, "token": token, "created_s": now_s, "expires_s": expires_s}
    connection.execute(_T.insert().values(**values))


def live(connection: Connection, session: str, now_s: float) -> Row[Any] | None:
    """Return a session with scope and name of its token, None if either has ended or the token was revoked."""
    query = select(_T, _TOKENS.c.scope, _TOKENS.c.name).join(_TOKENS, _TOKENS.c.token == _T.c.token)
    good = (_T.c.expires_s > now_s) & (_TOKENS.c.expires_s > now_s) & _TOKENS.c.revoked_s.is_(None)
    return connection.execute(query.where(_T.c.session == session, good)).one_or_none()


def end(connection: Connection, session: str) -> None:
    """End a session."""
    connection.execute(delete(_T).where(_T.c.session == session))
