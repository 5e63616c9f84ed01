"""What a browser is told about every page, and what a form must show.

The policy lets a page load its own style sheet, script and icon, talk to where it came from, and nothing else; there is
no inline script or style in any page, so it needs no exception. A form is taken if the browser says that it came from
these pages, and if it carries the token that was made from the secret of its cookie.
"""

import hashlib
import hmac
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from acclimate_hub import limits
from acclimate_shared.errors import AccessError, InputError

MAX_FIELDS = 10
FORM_TYPE = "application/x-www-form-urlencoded"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
)
_REMEDY = "load the page again and repeat it there"


class Headers:
    """Adds the headers to every answer; what is not said to be kept is not kept."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)


def form_token(secret: str, purpose: str) -> str:
    """Return what forms of a cookie carry: it cannot be made without the secret, and shows nothing of it."""
    return hmac.new(secret.encode(), f"form:{purpose}".encode(), hashlib.sha256).hexdigest()


def check_origin(request: Request) -> None:
    """Refuse a form that another site has sent.

    Browsers say where a request comes from: in ``Sec-Fetch-Site`` where the connection is trusted, in ``Origin`` else.

    Raises:
        AccessError: it did not come from here.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    good = site == "same-origin" if site else origin is None or urlsplit(origin).netloc == request.url.netloc
    if not good:
        raise AccessError("the form was sent by another site", field="origin", value=site or origin, remedy=_REMEDY)


def check_token(fields: Mapping[str, str], expected: str) -> None:
    """Refuse a form without its token.

    Raises:
        AccessError: it has none, or another one.
    """
    if not hmac.compare_digest(fields.get("form", "").encode(), expected.encode()):
        raise AccessError("the form has no valid token", field="form", remedy=_REMEDY)


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form.

    Raises:
        InputError: it is too long, or none.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise InputError("this is not a form", field="content-type", remedy=f"send {FORM_TYPE}")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > limits.MAX_FORM_BYTES:
            raise InputError("the form is too long", field="form", remedy=f"send at most {limits.MAX_FORM_BYTES} bytes")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as exc:
        raise InputError("the form cannot be read", field="form", remedy=_REMEDY) from exc
    return dict(pairs)
