"""Routes of claim tokens, certificates and API tokens."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from acclimate_hub import limits
from acclimate_hub.api import models as m
from acclimate_hub.api.calls import Admin, Operator, Viewer
from acclimate_hub.identity import api_tokens, enrolment
from acclimate_hub.store import audit, credentials, tables
from acclimate_hub.store.paging import page

router = APIRouter(tags=["identity"])


@router.get("/claims")
def list_claims(call: Operator, after: m.Cursor = None, limit: m.Limit = limits.PAGE_ROWS) -> m.Page[m.Claim]:
    """List claim tokens, without their secrets."""
    with call.hub.database.read() as connection:
        rows, cursor = page(connection, credentials.claims(call.tenant), tables.claims.c.claim, after, limit)
    return m.Page(items=[m.Claim.model_validate(row) for row in rows], next=cursor)


@router.post("/claims", status_code=201, response_model=m.Secret)
def create_claim(call: Operator, wish: m.ClaimWish) -> Response:
    """Make a claim token, with which devices enrol; it is shown once."""
    rules = enrolment.ClaimRules(**wish.model_dump())

    def act(connection: Any, now_s: float) -> m.Secret:  # noqa: ANN401
        made = enrolment.create_claim(connection, call.tenant, rules, call.caller.actor, now_s)
        return m.Secret(id=made.id, token=made.text)

    return call.do(act, 201, secret=True)


@router.post("/claims/{claim}/revoke", response_model=m.Done)
def revoke_claim(call: Operator, claim: m.TokenId) -> Response:
    """Let a claim token enrol no more; devices that it has enrolled stay."""

    def act(connection: Any, now_s: float) -> m.Done:  # noqa: ANN401
        credentials.revoke_claim(connection, call.tenant, claim, now_s)
        done = audit.Act(actor=call.caller.actor, action="claim.revoke", object=claim, detail={})
        audit.record(connection, call.tenant, done, now_s)
        return m.Done(done="claim.revoke", object=claim)

    return call.do(act)


@router.get("/certificates")
def list_certificates(call: Viewer, after: m.Cursor = None, limit: m.Limit = limits.PAGE_ROWS) -> m.Page[m.Certificate]:
    """List certificates of devices."""
    query = credentials.certificates(call.tenant)
    with call.hub.database.read() as connection:
        rows, cursor = page(connection, query, tables.certificates.c.serial, after, limit)
    return m.Page(items=[m.Certificate.model_validate(row) for row in rows], next=cursor)


@router.post("/revocation-list", response_class=PlainTextResponse)
def revocation_list(call: Operator) -> PlainTextResponse:
    """Sign a new list of revoked certificates, as PEM, for a broker."""
    return PlainTextResponse(call.hub.revocation_list(call.tenant))


@router.get("/tokens")
def list_tokens(call: Admin, after: m.Cursor = None, limit: m.Limit = limits.PAGE_ROWS) -> m.Page[m.Token]:
    """List API tokens, without their secrets."""
    with call.hub.database.read() as connection:
        rows, cursor = page(connection, credentials.api_tokens(call.tenant), tables.api_tokens.c.token, after, limit)
    return m.Page(items=[m.Token.model_validate(row) for row in rows], next=cursor)


@router.post("/tokens", status_code=201, response_model=m.Secret)
def create_token(call: Admin, wish: m.TokenWish) -> Response:
    """Make an API token; it is shown once."""

    def act(connection: Any, now_s: float) -> m.Secret:  # noqa: ANN401
        made = api_tokens.create(
            connection, call.tenant, api_tokens.Wish(**wish.model_dump()), call.caller.actor, now_s
        )
        return m.Secret(id=made.id, token=made.text)

    return call.do(act, 201, secret=True)


@router.post("/tokens/{token}/revoke", response_model=m.Done)
def revoke_token(call: Admin, token: m.TokenId) -> Response:
    """Let an API token open nothing more."""

    def act(connection: Any, now_s: float) -> m.Done:  # noqa: ANN401
        api_tokens.revoke(connection, call.tenant, token, call.caller.actor, now_s)
        return m.Done(done="token.revoke", object=token)

    return call.do(act)
