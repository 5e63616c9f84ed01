"""What was answered to a request with an idempotency key, so that the same request again gets the same answer."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from acclimate_hub import limits
from acclimate_hub.store import tables
from acclimate_shared.errors import ConflictError

_T = tables.idempotency


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asked what: ``request`` is a digest of method, path and body."""

    owner: str
    key: str
    request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status and body; no body where it held a secret, which is shown once."""

    status: int
    body: str | None


def find(connection: Connection, asked: Asked) -> Answer | None:
    """Return what was answered, None if it was never asked.

    Raises:
        ConflictError: the key was used for another request.
    """
    row = connection.execute(select(_T).where(_T.c.owner == asked.owner, _T.c.key == asked.key)).one_or_none()
    if row is None:
        return None
    if row.request != asked.request:
        raise ConflictError(
            "the idempotency key was used for another request", field="Idempotency-Key", value=asked.key
        )
    return Answer(status=row.status, body=row.answer)


def keep(connection: Connection, asked: Asked, answer: Answer, now_s: float) -> None:
    """Remember an answer, in the transaction of what was done."""
    connection.execute(delete(_T).where(_T.c.time_s < now_s - limits.IDEMPOTENCY_S))
    values = {"owner": asked.owner, "key": asked.key, "request": asked.request}
    connection.execute(_T.insert().values(**values, status=answer.status, answer=answer.body, time_s=now_s))
