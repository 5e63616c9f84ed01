"""A client of the API: to a hub elsewhere over HTTPS, or to one on this machine within this process.

Both are one code path: requests of the same form reach the same application, through the network or without it. A
token leaves this process in one header and nowhere else. Every write carries an idempotency key, so that it may be
sent again when its answer was lost. Redirects are not followed and the proxies of the environment are not used: the
token goes to the place that was named.
"""

import asyncio
import secrets
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
import msgspec

from acclimate_hub import limits
from acclimate_shared import errors
from acclimate_shared.errors import AccessError, AcclimateError, ConflictError, LinkError, MissingError, UsageError

PREFIX = "/api/v1"
PROBLEM = "application/problem+json"
ATTEMPTS = 2  # a request whose answer was lost is sent once more, with the same key
_BY_STATUS: Mapping[int, type[AcclimateError]] = {
    401: AccessError, 403: AccessError, 404: MissingError, 409: ConflictError, 413: UsageError, 422: UsageError,
    429: errors.RateError,
}  # fmt: skip
_LOST = (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Access:
    """How a hub is reached.

    Attributes:
        url: ``https://HOST[:PORT]``.
        token: an API token.
        ca: file of the authority whose certificates are believed; None: those of the system.
        timeout_s: for one request, from its start to the end of its answer.
        key: idempotency key of the first write; "": a new one.
    """

    url: str
    token: str
    ca: Path | None = None
    timeout_s: float = 30.0
    key: str = ""


class Client:
    """Requests to one hub; use it as a context."""

    def __init__(self, transport: httpx2.AsyncBaseTransport, access: Access) -> None:
        """Send requests through a transport; nothing is sent yet."""
        self._access, self._key = access, access.key
        headers = {"Authorization": f"Bearer {access.token}"} if access.token else {}
        self._http = httpx2.AsyncClient(
            transport=transport, base_url=access.url.rstrip("/") + PREFIX, headers=headers, timeout=access.timeout_s,
            trust_env=False,
        )  # fmt: skip
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._runner.run(self._http.aclose())
        self._runner.close()

    def get(self, path: str, **query: object) -> Any:  # noqa: ANN401 - JSON
        """Return what is at a path; an item of the query that is None is left out.

        Raises:
            AcclimateError: what the hub says; LinkError if it does not answer.
        """
        return self._ask("GET", path, query=query)

    def items(self, path: str, **query: object) -> Iterator[Any]:
        """Yield what a path lists, page by page; raises what ``get`` raises."""
        cursor: str | None = None
        while True:
            page = self.get(path, after=cursor, limit=limits.MAX_PAGE_ROWS, **query)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def send(self, method: str, path: str, body: object = None, *, keyed: bool = True) -> Any:  # noqa: ANN401 - JSON
        """Write, once: bytes as they are, everything else as JSON; raises what ``get`` raises.

        Args:
            method: of HTTP.
            path: below the prefix.
            body: None for none.
            keyed: whether the write needs an idempotency key.
        """
        key, self._key = (self._key or secrets.token_hex(16), "") if keyed else ("", self._key)
        data = body if isinstance(body, bytes) else msgspec.json.encode(body) if body is not None else b""
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        headers = ({"Content-Type": kind} if data else {}) | ({"Idempotency-Key": key} if key else {})
        return self._ask(method, path, data, headers)

    def _ask(
        self,
        method: str,
        path: str,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        params = {name: str(value) for name, value in (query or {}).items() if value is not None}
        request = self._http.build_request(method, path, content=data, headers=headers or {}, params=params)
        return self._understood(self._runner.run(self._answer(request)))

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer to a request; see ``ATTEMPTS``."""
        try:
            async with asyncio.timeout(self._access.timeout_s):
                for last in range(ATTEMPTS):
                    try:
                        return await self._http.send(request)
                    except _LOST:
                        if last == ATTEMPTS - 1:
                            raise
        except (TimeoutError, httpx2.TimeoutException) as exc:
            raise self._failed(f"the hub did not answer within {self._access.timeout_s:g} s") from exc
        except httpx2.HTTPError as exc:
            if _untrusted(exc):
                remedy = "name the file of its authority with --ca, and the hub as its certificate does"
                raise self._failed(f"the certificate of the hub is not trusted: {exc}", remedy) from exc
            raise self._failed(f"the hub cannot be reached: {exc}") from exc
        raise AssertionError  # the loop returns or raises

    def _understood(self, answer: httpx2.Response) -> Any:  # noqa: ANN401 - JSON
        try:
            if answer.is_success:
                text = answer.headers.get("content-type", "").startswith("text/")
                return answer.text if text else msgspec.json.decode(answer.content)
            if answer.headers.get("content-type") == PROBLEM:
                raise error_of(msgspec.json.decode(answer.content, type=dict[str, str | int]))
        except msgspec.MsgspecError as exc:
            raise self._failed(f"what answers is no hub: {exc}", "is this the address of a hub?") from exc
        raise self._failed(f"what answers is no hub: HTTP {answer.status_code}", "is this the address of a hub?")

    def _failed(self, words: str, remedy: str = "is it running, and is this its address?") -> LinkError:
        return LinkError(words, field="hub", value=self._access.url, remedy=remedy)


def connected(access: Access) -> Client:
    """Return a client of a hub elsewhere.

    Raises:
        UsageError: the URL or the file of the authority makes no sense.
    """
    _check_url(access.url)
    try:
        context = ssl.create_default_context(cafile=access.ca)
    except OSError as exc:  # ssl.SSLError is one
        facts = {"field": "ca", "value": str(access.ca), "remedy": "name a file of certificates in PEM"}
        raise UsageError(f"the authority cannot be read: {exc}", **facts) from exc
    return Client(httpx2.AsyncHTTPTransport(verify=context, trust_env=False), access)


def error_of(problem: Mapping[str, str | int]) -> AcclimateError:
    """Return the error that a problem of the API tells of.

    Example:
        >>> error_of({"status": 404, "detail": "no such device", "field": "device", "value": "'x'"})
        MissingError('no such device')
    """
    status = int(problem.get("status", 0))
    named = getattr(errors, str(problem.get("error", "")), None)
    link = status >= 500 and status != 500  # noqa: PLR2004 - 500 is a state that cannot be used
    kind = _BY_STATUS.get(status, LinkError if link else errors.RefusedError)
    if isinstance(named, type) and issubclass(named, AcclimateError):
        kind = named
    detail, field, remedy = (str(problem.get(name, "")) for name in ("detail", "field", "remedy"))
    if status == 401:  # noqa: PLR2004
        remedy = "put a valid token into ACCLIMATE_HUB_TOKEN, or its file into --token-file"
    error = kind(detail, field=field, remedy=remedy)
    error.value = str(problem.get("value", ""))  # it is shortened already
    return error


def read_token(file: Path) -> str:
    """Return the token in a file that its owner alone may read.

    Raises:
        AccessError: others may read it, or it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            if file.stat().st_mode & 0o077:
                remedy = f"chmod 600 {file}"
                raise AccessError("others may read the token", field="token-file", value=str(file), remedy=remedy)
            return opened.read(1024).decode("ascii", "replace").strip()
    except OSError as exc:
        raise AccessError(f"the token cannot be read: {exc}", field="token-file", value=str(file)) from exc


def _check_url(url: str) -> None:
    """Refuse a URL that would send the token to a place that cannot be known."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as exc:
        raise UsageError(f"this is no URL: {exc}", field="hub", value=url, remedy="give https://HOST:PORT") from exc
    if parts.scheme not in {"https", "http"} or not host or parts.username or parts.query or parts.fragment:
        raise UsageError("a hub is https://HOST[:PORT]", field="hub", value=url, remedy="give https://HOST:PORT")
    if parts.scheme == "http" and not _is_loopback(host):
        remedy = "use https, or a tunnel to this machine"
        raise UsageError("a token is not sent in the clear", field="hub", value=url, remedy=remedy)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _untrusted(exc: BaseException | None) -> bool:
    while exc is not None:
        if isinstance(exc, ssl.SSLCertVerificationError):
            return True
        exc = exc.__cause__ or exc.__context__
    return False
