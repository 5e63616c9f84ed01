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
        timeout_s: for one request, from its start to the end of its answer; half of it to connect.
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
        most_s = access.timeout_s  # of the whole; what connects ends sooner, as only then it closes its socket
        self._http = httpx2.AsyncClient(
            transport=transport, base_url=access.url.rstrip("/") + PREFIX, headers=headers, trust_env=False,
            timeout=httpx2.Timeout(most_s, connect=most_s / 2),
        )  # fmt: skip
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._runner.run(self._closed())
        self._runner.close()

    async def _closed(self) -> None:
        await self._http.aclose()
        await asyncio.sleep(0)  # the loop closes sockets one step later

    def get(self, path: str, **query: object) -> Any:  # noqa: ANN401 - JSON
        """Return what is at a path; an item of the query that is None is left out.

        Raises:
            AcclimateError: what the hub says; LinkError if it does not answer.
        """
        return self._ask("GET", path, query=query)

    def items(self, path: str, *, after: str | None = None, **query: object) -> Iterator[Any]:
        """Yield what a path lists behind a cursor, page by page; raises what ``get`` raises."""
        while True:
            page = self.get(path, after=after, limit=limits.MAX_PAGE_ROWS, **query)
            yield from page["items"]
            after = page["next"]
            if after is None:
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
            connecting = isinstance(exc, httpx2.ConnectTimeout)
            most_s = self._access.timeout_s / (2 if connecting else 1)
            raise self._failed(f"the hub did not answer within {most_s:g} s") from exc
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
                raise error_of(msgspec.json.decode(answer.content, type=Problem))
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
        words, remedy = f"the authority cannot be read: {exc}", "name a file of certificates in PEM"
        raise UsageError(words, field="ca", value=str(access.ca), remedy=remedy) from exc
    return Client(httpx2.AsyncHTTPTransport(verify=context, trust_env=False), access)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What the API says of an error; see ``acclimate_hub.api.problems``."""

    status: int
    detail: str = ""
    field: str = ""
    value: str = ""
    remedy: str = ""
    error: str = ""


def error_of(problem: Problem) -> AcclimateError:
    """Return the error that a problem of the API tells of.

    Example:
        >>> print(error_of(Problem(status=404, detail="no such device", field="device", value="'x'")))
        no such device [device = 'x']
    """
    status = problem.status
    link = status > 500  # noqa: PLR2004 - 500 itself is a state that cannot be used
    kind = _BY_STATUS.get(status, LinkError if link else errors.RefusedError)
    named = getattr(errors, problem.error, None)
    if isinstance(named, type) and issubclass(named, AcclimateError):
        kind = named
    token = "put a valid token into ACCLIMATE_HUB_TOKEN, or its file into --token-file"  # noqa: S105 - words about one
    remedy = token if status == 401 else problem.remedy  # noqa: PLR2004
    error = kind(problem.detail, field=problem.field, remedy=remedy)
    error.value = problem.value  # it is shortened already
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
