"""Routes of bundles and releases: what an author has signed is taken, checked and listed.

A bundle is put under its digest, which is why it needs no idempotency key; what makes it a release are the signed
metadata that list it. Both bodies are read after the token was checked, and each up to a limit of its own.
"""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ValidationError

from acclimate_hub import limits
from acclimate_hub.api import models as m
from acclimate_hub.api.calls import Call, Releaser, Viewer
from acclimate_hub.releases.record import note
from acclimate_hub.releases.shelf import Shelf
from acclimate_hub.store import releases, tables
from acclimate_hub.store.paging import page
from acclimate_shared.bundle import digest_of
from acclimate_shared.errors import DigestError, MissingError, UsageError
from acclimate_shared.update_file import METADATA_NAME

router = APIRouter(tags=["releases"])

_BYTES = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string",
          "format": "binary"}}}}}  # fmt: skip


class Release(BaseModel):
    """A release that this hub has published."""

    model_config = m.example(digest="d" * 64, name="pump", version="1.3", created_s=1.7e9, withdrawn_s=None)

    digest: str
    name: str
    version: str
    created_s: float
    withdrawn_s: float | None = None


class Bundle(BaseModel):
    """A bundle that is here; whether it is a release, signed metadata say."""

    model_config = m.example(digest="d" * 64, size=1_048_576)

    digest: str
    size: int


class Signed(BaseModel):
    """Signed metadata as their author left them, byte for byte: ``N.root.json`` and ``N.targets.json`` by name."""

    model_config = m.example(files={"1.root.json": "{...}", "1.targets.json": "{...}"})

    files: dict[str, str]


@router.get("/releases")
def list_releases(call: Viewer, after: m.Cursor = None, limit: m.Limit = limits.PAGE_ROWS) -> m.Page[Release]:
    """List what was published."""
    with call.hub.database.read() as connection:
        rows, cursor = page(connection, releases.listed(call.tenant), tables.releases.c.digest, after, limit)
    return m.Page(items=[Release.model_validate(row) for row in rows], next=cursor)


@router.get("/bundles/{digest}")
def get_bundle(call: Viewer, digest: m.DigestId) -> Bundle:
    """Say whether a bundle is here."""
    size = _shelf(call).blobs.size(digest)
    if size is None:
        raise MissingError("there is no such bundle", field="digest", value=digest, remedy="put it")
    return Bundle(digest=digest, size=size)


@router.put("/bundles/{digest}", openapi_extra=_BYTES)
async def put_bundle(call: Releaser, digest: m.DigestId, request: Request) -> Bundle:
    """Take a bundle, up to 128 MiB; the digest says whether it came whole."""
    data = await request.body()
    found = digest_of(data)
    if found != digest:
        raise DigestError("the content has another digest", field="digest", value=found, remedy="put it again")
    await run_in_threadpool(_shelf(call).blobs.put, data)
    return Bundle(digest=digest, size=len(data))


_SIGNED = {"requestBody": {"required": True, "content": {"application/json": {"schema": Signed.model_json_schema()}}}}


@router.post("/releases", status_code=201, response_model=m.Page[Release], openapi_extra=_SIGNED)
async def publish(call: Releaser, request: Request) -> Response:
    """Verify what an author has signed, and serve it to the devices; every bundle that is listed must be here."""
    files = _files(await request.body())
    return await run_in_threadpool(call.decide, lambda: _published(call, files), 201)


def _published(call: Call, files: dict[str, bytes]) -> m.Page[Release]:
    listed = _shelf(call).publish(files, {})
    note(call.hub, call.tenant, listed, actor=call.caller.actor)
    with call.hub.database.read() as connection:
        rows = list(connection.execute(releases.listed(call.tenant)))
    return m.Page(items=[Release.model_validate(row) for row in rows if row.withdrawn_s is None])


def _files(body: bytes) -> dict[str, bytes]:
    try:
        files = {name: text.encode() for name, text in Signed.model_validate_json(body).files.items()}
    except (ValidationError, UnicodeError) as exc:
        raise UsageError("this is no signed metadata by name", field="files") from exc
    for name, data in files.items():
        if not METADATA_NAME.fullmatch(name) or len(data) > limits.MAX_METADATA_BYTES:
            remedy = f"give N.root.json and N.targets.json, at most {limits.MAX_METADATA_BYTES} bytes each"
            raise UsageError("not a file of metadata", field="files", value=name, remedy=remedy)
    return files


def _shelf(call: Call) -> Shelf:
    if call.gate.shelves is None:
        raise MissingError("no releases are kept here", remedy="serve with the folder of the hub's data")
    return call.gate.shelves(call.tenant)
