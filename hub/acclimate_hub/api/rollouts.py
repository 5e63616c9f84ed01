"""Routes of rollouts: what goes out, how far it is, and what people decide about it."""

import secrets
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field, StringConstraints

from acclimate_hub import limits
from acclimate_hub.api import models as m
from acclimate_hub.api.calls import Call, Releaser, Viewer
from acclimate_hub.identity.tokens import Scope
from acclimate_hub.pages.views import ACTIONS, ServiceDesk
from acclimate_hub.rollout import Rollout, RolloutPlan
from acclimate_hub.store import audit, releases, tables
from acclimate_hub.store.rollouts import SqlRollouts
from acclimate_shared.errors import ConflictError, MissingError, PlanError
from acclimate_shared.waves import NO_BASE

router = APIRouter(tags=["rollouts"])

_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}$"
_DIGEST = "^[0-9a-f]{64}$"
RolloutId = Annotated[str, Path(pattern=_NAME, examples=["pump-1.3"])]
Digest = Annotated[str, StringConstraints(pattern=_DIGEST)]
ActionName = Literal["approve", "start", "pause", "resume", "abort", "roll-back", "retry"]


class RolloutSummary(BaseModel):
    """A rollout; ``version`` grows with every change, see ``Decision``."""

    model_config = m.example(
        id="pump-1.3", phase="wave", wave=0, waves=4, digest="d" * 64, previous=NO_BASE, cohorts=["default"], version=5
    )

    id: str
    phase: str
    wave: int
    waves: int
    digest: str
    previous: str
    cohorts: list[str]
    version: int


class Standing(BaseModel):
    """Where a rollout stands: what it waits for and what would stop it, each with its sentence and numbers."""

    model_config = m.example(rollout={}, explanation={"headline": "Wave 1 of 4 is in progress: waiting for time."})

    rollout: RolloutSummary
    explanation: dict[str, Any]


class Draft(BaseModel):
    """A rollout to be drafted; what is left out of the plan has its default."""

    model_config = m.example(id="pump-1.3", digest="d" * 64, cohorts=["default"], plan={})

    id: Annotated[str, StringConstraints(pattern=_NAME)]
    digest: Digest
    previous: Digest = NO_BASE
    cohorts: list[m.Name] = Field(min_length=1, max_length=100)
    plan: dict[str, Any] = Field(default_factory=dict)
    salt: Annotated[str, StringConstraints(pattern=_NAME)] | None = None


class Decision(BaseModel):
    """Why somebody does something; with ``version``, only if the rollout is still the one that they saw."""

    model_config = m.example(why="calm week", version=3)

    why: Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"\S")]
    version: int | None = Field(default=None, ge=1, le=2**53)


@router.get("/rollouts")
def list_rollouts(call: Viewer, after: m.Cursor = None, limit: m.Limit = limits.PAGE_ROWS) -> m.Page[RolloutSummary]:
    """List rollouts by name."""
    rest = sorted((one for one in call.hub.rollouts(call.tenant).all() if one.id > (after or "")), key=lambda o: o.id)
    found = rest[:limit]
    return m.Page(items=[_summary(one) for one in found], next=found[-1].id if len(rest) > limit else None)


@router.get("/rollouts/{rollout}")
def get_rollout(call: Viewer, rollout: RolloutId) -> Standing:
    """Show where a rollout stands, in words and numbers."""
    desk = ServiceDesk(call.hub.rollouts(call.tenant), SqlRollouts(call.hub.database, call.tenant))
    found = desk.get(rollout)
    return Standing(rollout=_summary(found), explanation=msgspec.to_builtins(desk.explanation(found)))


@router.post("/rollouts", response_model=RolloutSummary, status_code=201)
def draft_rollout(call: Releaser, body: Draft) -> Response:
    """Draft a rollout of a published release; another person approves it."""

    def act() -> RolloutSummary:
        with call.hub.database.read() as connection:
            known = connection.execute(releases.listed(call.tenant).where(tables.releases.c.digest == body.digest))
            release = known.first()
        if release is None:
            remedy = "publish it first: acclimate-hub release publish"
            raise MissingError("there is no such release", field="digest", value=body.digest, remedy=remedy)
        if release.withdrawn_s is not None:
            raise ConflictError("its author has withdrawn the release", field="digest", value=body.digest)
        try:
            plan = RolloutPlan.from_json(msgspec.json.encode(body.plan))
        except msgspec.MsgspecError as exc:  # a number that is none in JSON
            raise PlanError(f"not a plan: {exc}", field="plan") from exc
        made = call.hub.rollouts(call.tenant).create(
            body.id,
            plan,
            author=call.caller.actor,
            digest=body.digest,
            previous=body.previous,
            salt=body.salt or secrets.token_hex(8),
            cohorts=body.cohorts,
        )
        _note(call, "draft", body.id, "drafted")
        return _summary(made)

    return call.decide(act, 201)


@router.post("/rollouts/{rollout}/{action}", response_model=RolloutSummary)
def decide(call: Viewer, rollout: RolloutId, action: ActionName, body: Decision) -> Response:
    """Approve, start, pause, resume, abort, roll back or retry; a releaser approves, an operator does the rest."""
    name = action.replace("-", " ")
    call.caller.need(Scope[ACTIONS[name].scope.upper()])

    def act() -> RolloutSummary:
        service = call.hub.rollouts(call.tenant)
        if body.version is not None and service.get(rollout).version != body.version:
            remedy = "look at it again, and decide anew"
            raise ConflictError("the rollout has changed meanwhile", field="version", value=body.version, remedy=remedy)
        desk = ServiceDesk(service, SqlRollouts(call.hub.database, call.tenant))
        found = desk.act(name, rollout, call.caller.actor, body.why)
        _note(call, action, rollout, body.why)
        return _summary(found)

    return call.decide(act)


def _summary(rollout: Rollout) -> RolloutSummary:
    return RolloutSummary(
        id=rollout.id,
        phase=rollout.phase.value,
        wave=rollout.wave,
        waves=len(rollout.plan.waves),
        digest=rollout.digest,
        previous=rollout.previous,
        cohorts=list(rollout.cohorts),
        version=rollout.version,
    )


def _note(call: Call, action: str, rollout: str, why: str) -> None:
    act = audit.Act(actor=call.caller.actor, action=f"rollout.{action}", object=rollout, detail={"why": why})
    with call.hub.database.write() as connection:
        audit.record(connection, call.tenant, act, call.hub.now())
