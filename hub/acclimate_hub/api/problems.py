"""Errors as ``application/problem+json`` (RFC 9457): what went wrong, in which field, what helps."""

import reprlib
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from acclimate_hub.rollout import TransitionError, UnknownRolloutError
from acclimate_hub.rollout import errors as rollout_errors
from acclimate_shared.errors import (
    AccessError,
    AcclimateError,
    ConflictError,
    LinkError,
    MissingError,
    RateError,
    StateError,
)

MEDIA = "application/problem+json"
#: The first that fits counts.
_STATUS: tuple[tuple[type[AcclimateError], int], ...] = (
    (RateError, 429), (AccessError, 403), (MissingError, 404), (UnknownRolloutError, 404),
    (ConflictError, 409), (TransitionError, 409), (rollout_errors.ConflictError, 409),
    (StateError, 500), (LinkError, 503),
)  # fmt: skip


class Problem(BaseModel):
    """What went wrong: ``value`` is the shortened one of ``field``, ``error`` the name of one of our errors."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "there is no such device",
                    "field": "device",
                    "value": "'gw-9'",
                    "error": "MissingError",
                }
            ]
        }
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    field: str = ""
    value: str = ""
    remedy: str = ""
    error: str = ""


class UnauthenticatedError(Exception):
    """No token, or one that opens nothing."""


def response(status: int, detail: str = "", **more: str) -> JSONResponse:
    """Return a problem; ``more`` are fields of ``Problem``."""
    title = HTTPStatus(status).phrase
    content = Problem(title=title, status=status, detail=detail, **more).model_dump()
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return JSONResponse(content, status, headers, MEDIA)


def status_of(exc: AcclimateError) -> int:
    """Return the status of an error of ours."""
    return next((status for kind, status in _STATUS if isinstance(exc, kind)), 400)


#: What every route may answer, for the description of the API.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": HTTPStatus(status).phrase, "content": {MEDIA: {"schema": Problem.model_json_schema()}}}
    for status in (400, 401, 403, 404, 409, 413, 422, 429, 503)
}


def install(app: FastAPI) -> None:
    """Answer every error of an application with a problem."""

    @app.exception_handler(AcclimateError)
    def ours(_request: Request, exc: AcclimateError) -> JSONResponse:
        status, facts = status_of(exc), {"field": exc.field, "remedy": exc.remedy, "error": type(exc).__name__}
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:  # the values of others are of what the caller has sent
            facts["value"] = exc.value
        return response(status, exc.message, **facts)

    @app.exception_handler(UnauthenticatedError)
    def unauthenticated(_request: Request, _exc: UnauthenticatedError) -> JSONResponse:
        return response(
            401, "a valid token is needed", field="Authorization", remedy="send Authorization: Bearer acc_api_..."
        )

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, exc: RequestValidationError) -> JSONResponse:
        first = exc.errors()[0]
        value = "" if isinstance(first.get("input"), dict | list | None) else reprlib.repr(first["input"])
        return response(422, str(first["msg"]), field=".".join(map(str, first["loc"])), value=value)

    @app.exception_handler(HTTPException)
    def other(_request: Request, exc: HTTPException) -> JSONResponse:
        answer = response(exc.status_code, str(exc.detail))
        answer.headers.update(exc.headers or {})
        return answer
