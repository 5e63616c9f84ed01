"""Who calls, how often, and whether the same was asked before."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from sqlalchemy import Connection

from acclimate_hub.api.problems import UnauthenticatedError
from acclimate_hub.hub import Hub
from acclimate_hub.identity import api_tokens
from acclimate_hub.identity.api_tokens import Caller
from acclimate_hub.identity.rates import Rates
from acclimate_hub.identity.tokens import Scope
from acclimate_hub.releases.shelf import Shelf
from acclimate_hub.store import idempotency
from acclimate_shared.errors import AccessError, ConflictError

_BEARER = HTTPBearer(auto_error=False, description="An API token")

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", pattern=r"^[A-Za-z0-9_\-]{1,128}$", description="The same key again: the same answer"
    ),
]

Shelves = Callable[[str], Shelf]  # of a tenant


@dataclass(frozen=True, slots=True)
class Gate:
    """What all calls share.

    Attributes:
        hub: the hub.
        rates: how often a token may call; ``refused``: how often a place may show one that opens nothing.
        least_devices: that a view of a cohort needs.
        operator: who calls without a token: a person at a shell of the hub's own machine. An application that is
            served has none.
        shelves: the releases of a tenant; None where none are kept.
    """

    hub: Hub
    rates: Rates
    refused: Rates
    least_devices: int
    operator: Caller | None = None
    shelves: Shelves | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request."""

    gate: Gate
    caller: Caller
    asked: idempotency.Asked | None

    @property
    def hub(self) -> Hub:
        """The hub."""
        return self.gate.hub

    @property
    def tenant(self) -> str:
        """Tenant of the caller's token; no call reaches another one."""
        return self.caller.tenant

    def do(
        self, action: Callable[[Connection, float], BaseModel], status: int = 200, *, secret: bool = False
    ) -> Response:
        """Run an action in one transaction, once for an idempotency key.

        Args:
            action: takes the connection and the time, returns the answer.
            status: of the answer.
            secret: the answer is shown once and not kept.

        Raises:
            ConflictError: the key was used for another request, or the answer was a secret.
        """
        now_s = self.hub.now()
        with self.hub.database.write() as connection:
            before = idempotency.find(connection, self.asked) if self.asked else None
            if before is not None:
                if before.body is None:
                    raise ConflictError("this was done already; its secret was shown once", field="Idempotency-Key")
                return Response(before.body, before.status, media_type="application/json")
            body = action(connection, now_s).model_dump_json()
            if self.asked:
                kept = idempotency.Answer(status=status, body=None if secret else body)
                idempotency.keep(connection, self.asked, kept, now_s)
        return Response(body, status, media_type="application/json")

    def decide(self, action: Callable[[], BaseModel], status: int = 200) -> Response:
        """Run an action that has transactions of its own, and keep its answer for an idempotency key.

        A death between both leaves the deed without its answer: asked again, the deed says that it was done already.

        Args:
            action: returns the answer.
            status: of the answer.

        Raises:
            ConflictError: the key was used for another request.
        """
        if self.asked:
            with self.hub.database.read() as connection:
                before = idempotency.find(connection, self.asked)
            if before is not None:
                return Response(before.body, before.status, media_type="application/json")
        body = action().model_dump_json()
        if self.asked:
            with self.hub.database.write() as connection:
                if idempotency.find(connection, self.asked) is None:
                    kept = idempotency.Answer(status=status, body=body)
                    idempotency.keep(connection, self.asked, kept, self.hub.now())
        return Response(body, status, media_type="application/json")


def _authenticated(gate: Gate, text: str, place: str) -> Caller:
    now_s = gate.hub.now()
    try:
        with gate.hub.database.read() as connection:
            caller = api_tokens.authenticate(connection, text, now_s)
    except AccessError as exc:
        gate.refused.check(place, now_s)
        raise UnauthenticatedError from exc
    gate.rates.check(caller.token, now_s)
    return caller


async def call(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
    key: Key = None,
) -> Call:
    """Return who calls.

    Raises:
        UnauthenticatedError: nobody known.
        RateError: too often.
    """
    gate: Gate = request.app.state.gate
    place = request.client.host if request.client else ""
    if gate.operator is not None:
        caller = gate.operator
    elif credentials is None:
        gate.refused.check(place, gate.hub.now())
        raise UnauthenticatedError
    else:
        caller = await run_in_threadpool(_authenticated, gate, credentials.credentials, place)
    asked = None
    if key is not None:
        words = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + await request.body()
        asked = idempotency.Asked(owner=caller.actor, key=key, request=hashlib.sha256(words).hexdigest())
    return Call(gate, caller, asked)


def _scoped(scope: Scope) -> Callable[[Call], Call]:
    def check(one: Annotated[Call, Depends(call)]) -> Call:
        one.caller.need(scope)
        return one

    return check


Viewer = Annotated[Call, Depends(_scoped(Scope.VIEWER))]
Operator = Annotated[Call, Depends(_scoped(Scope.OPERATOR))]
Releaser = Annotated[Call, Depends(_scoped(Scope.RELEASER))]
Admin = Annotated[Call, Depends(_scoped(Scope.ADMIN))]
