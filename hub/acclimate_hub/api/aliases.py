"""Routes of aliases: which release a word such as ``stable`` means, and has meant."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import Connection

from acclimate_hub import limits
from acclimate_hub.api import models as m
from acclimate_hub.api.calls import Call, Releaser, Viewer
from acclimate_hub.releases import aliases
from acclimate_hub.store import releases, tables
from acclimate_hub.store.paging import page

router = APIRouter(tags=["releases"])

AliasName = Annotated[str, Path(pattern=aliases.NAME, examples=["stable"])]


class Alias(BaseModel):
    """What an alias means since a move; ``version`` counts its moves, see ``Pointing``."""

    model_config = m.example(name="stable", release="d" * 64, version=3, time_s=1.7e9, actor="api:1f2e")

    name: str
    release: str
    version: int = Field(validation_alias="row_version")
    time_s: float
    actor: str


class Moves(BaseModel):
    """All that an alias has meant, newest first, up to a page."""

    model_config = m.example(name="stable", moves=[])

    name: str
    moves: list[Alias]


class Returning(BaseModel):
    """Why an alias goes back; with ``version``, only if nobody has moved it since."""

    model_config = m.example(why="the new one is slow", version=3)

    why: Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"\S")]
    version: int | None = Field(default=None, ge=0, le=2**53)


class Pointing(Returning):
    """Where an alias is to point: a digest of 12 digits or more, MODEL:VERSION, or another alias."""

    model_config = m.example(release="pump:1.3", why="a calm month", version=3)

    release: Annotated[str, StringConstraints(min_length=1, max_length=256)]


@router.get("/aliases")
def list_aliases(call: Viewer, after: m.Cursor = None, limit: m.Limit = limits.PAGE_ROWS) -> m.Page[Alias]:
    """List what every alias means now."""
    with call.hub.database.read() as connection:
        rows, cursor = page(connection, releases.newest_aliases(call.tenant), tables.aliases.c.name, after, limit)
    return m.Page(items=[Alias.model_validate(row) for row in rows], next=cursor)


@router.get("/aliases/{alias}")
def alias_moves(call: Viewer, alias: AliasName) -> Moves:
    """Show what an alias means, and has meant."""
    with call.hub.database.read() as connection:
        rows = aliases.history(connection, call.tenant, alias)
    return Moves(name=alias, moves=[Alias.model_validate(row) for row in rows[: limits.MAX_PAGE_ROWS]])


@router.put("/aliases/{alias}", response_model=Alias)
def point_alias(call: Releaser, alias: AliasName, body: Pointing) -> Response:
    """Let an alias mean a release. Devices do not follow aliases; a rollout brings a release to them."""

    def act(connection: Connection, now_s: float) -> Alias:
        decision = _decision(call, body, now_s)
        return Alias.model_validate(aliases.point(connection, call.tenant, alias, body.release, decision))

    return call.do(act)


@router.post("/aliases/{alias}/roll-back", response_model=Alias)
def roll_alias_back(call: Releaser, alias: AliasName, body: Returning) -> Response:
    """Let an alias mean what it meant before its last advance; again, one further back."""

    def act(connection: Connection, now_s: float) -> Alias:
        return Alias.model_validate(aliases.roll_back(connection, call.tenant, alias, _decision(call, body, now_s)))

    return call.do(act)


def _decision(call: Call, body: Returning, now_s: float) -> aliases.Decision:
    return aliases.Decision(actor=call.caller.actor, why=body.why, seen=body.version, now_s=now_s)
