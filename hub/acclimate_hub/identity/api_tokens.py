"""API tokens: who may call the hub, and what for."""

from dataclasses import dataclass

from sqlalchemy import Connection

from acclimate_hub.identity import tokens
from acclimate_hub.identity.tokens import Scope
from acclimate_hub.store import audit, credentials, tenants
from acclimate_shared.errors import AccessError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a new token is called, may do (a scope in lower case), and until when."""

    name: str
    scope: str
    expires_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, for which tenant, and what it may do.

    Attributes:
        token: its id; the name of a person where there is none, on the hub's own machine.
        origin: ``api`` for a token, ``cli`` for that person.
    """

    token: str
    tenant: str
    scope: Scope
    origin: str = "api"

    @property
    def actor(self) -> str:
        """As the audit log names it."""
        return f"{self.origin}:{self.token}"

    def need(self, scope: Scope) -> None:
        """Refuse a caller that may not.

        Raises:
            AccessError: that is so.
        """
        if self.scope < scope:
            remedy = f"use a token of scope {scope.name.lower()}"
            raise AccessError("the token may not do this", field="scope", value=self.scope.name.lower(), remedy=remedy)


def create(connection: Connection, tenant: str, wish: Wish, actor: str, now_s: float) -> tokens.New:
    """Make a token.

    Raises:
        UsageError: it has expired already, or there is no such scope.
        MissingError: there is no such tenant.
    """
    if wish.expires_s <= now_s:
        raise UsageError("the token has expired already", field="expires", value=wish.expires_s)
    if wish.scope.upper() not in Scope.__members__:
        raise UsageError("there is no such scope", field="scope", value=wish.scope)
    tenants.get(connection, tenant)
    made = tokens.new("api")
    credentials.add_api_token(
        connection,
        token=made.id,
        tenant=tenant,
        name=wish.name,
        secret_hash=made.secret_hash,
        scope=wish.scope.lower(),
        created_s=now_s,
        expires_s=wish.expires_s,
    )
    detail: audit.Detail = {"name": wish.name, "scope": wish.scope.lower(), "expires_s": wish.expires_s}
    audit.record(
        connection, tenant, audit.Act(actor=actor, action="token.create", object=made.id, detail=detail), now_s
    )
    return made


def revoke(connection: Connection, tenant: str, token: str, actor: str, now_s: float) -> None:
    """Let a token open nothing more.

    Raises:
        MissingError: there is none of this id.
    """
    credentials.revoke_api_token(connection, tenant, token, now_s)
    audit.record(connection, tenant, audit.Act(actor=actor, action="token.revoke", object=token, detail={}), now_s)


def authenticate(connection: Connection, text: str, now_s: float) -> Caller:
    """Return who shows a token.

    Raises:
        AccessError: it is unknown, expired or revoked; which of them is not said.
    """
    parsed = tokens.parse(text)
    row = credentials.api_token(connection, parsed.id) if parsed.kind == "api" else None
    if (
        row is None
        or not tokens.matches(parsed, row.secret_hash)
        or row.revoked_s is not None
        or row.expires_s <= now_s
    ):
        raise AccessError("the token opens nothing", field="token", remedy="ask for a new one")
    return Caller(token=row.token, tenant=row.tenant, scope=Scope[row.scope.upper()])
