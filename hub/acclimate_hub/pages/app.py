"""The pages as an application of their own under ``/ui``, mounted into that of the API.

Each handler is a plain function that runs in a thread; ``_Pages.view`` knows who asks, checks what a form must show,
and hands over. What a cookie opens is here alone: the API takes tokens only.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import FastAPI
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope as AsgiScope

from acclimate_hub import limits
from acclimate_hub.api import problems
from acclimate_hub.hub import Hub
from acclimate_hub.identity.rates import Rates
from acclimate_hub.identity.tokens import Scope
from acclimate_hub.pages import device, fleet, releases, rollouts, security, sessions
from acclimate_hub.pages.render import STATIC, Renderer
from acclimate_hub.pages.sessions import Visitor
from acclimate_hub.pages.views import ACTIONS, Desk, Desks
from acclimate_hub.rollout import Phase, TransitionError, UnknownRolloutError
from acclimate_hub.store import audit, overview
from acclimate_shared.errors import AccessError, AcclimateError, CorruptStateError, RateError, UsageError

logger = logging.getLogger(__name__)

PREFIX = "/ui"
MAX_WHY = 300  # characters of a reason
SEE_OTHER = 303
Form = Mapping[str, str]


class SignInError(Exception):
    """Nobody is signed in."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is signed in; ``form`` is empty for a look, ``names`` are those of actors."""

    request: Request
    who: Visitor
    now_s: float
    form: Form
    names: Mapping[str, str]

    @property
    def tenant(self) -> str:
        """Tenant of the visitor's token; no page reaches another one."""
        return self.who.caller.tenant

    def person(self, actor: str) -> Markup:
        """Return an actor by the name of its token, where it is known."""
        return Markup('<span title="{}">{}</span>').format(actor, self.names.get(actor, actor))

    def asked(self, name: str, longest: int = 128) -> str:
        """Return a word of the address, empty if it is not there."""
        return self.request.query_params.get(name, "")[:longest]


View = Callable[[Visit], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


class _Static(StaticFiles):
    """Files whose address changes with their content, so that they may be kept."""

    async def get_response(self, path: str, scope: AsgiScope) -> Response:
        response = await super().get_response(path, scope)
        kept = response.status_code == HTTPStatus.OK and b"v=" in scope["query_string"]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if kept else "no-cache"
        return response


class _Pages:
    """The handlers."""

    def __init__(self, hub: Hub, desks: Desks, least_devices: int, refresh_s: float) -> None:
        self._hub, self._desks, self._least_devices = hub, desks, least_devices
        self._render = Renderer(refresh_s)
        self._attempts, self._rates = Rates(limits.LOGIN_RATE), Rates(limits.API_RATE)

    def view(self, function: View) -> Endpoint:
        """Return the endpoint of a page that only somebody who is signed in may see or use."""

        async def answer(request: Request) -> Response:
            form: Form = {}
            if request.method == "POST":
                security.check_origin(request)
                form = await security.read_form(request)
            return await run_in_threadpool(self._visited, function, request, form)

        return answer

    def _visited(self, function: View, request: Request, form: Form) -> Response:
        now_s, secret = self._hub.now(), sessions.kept(request, sessions.SESSION)
        with self._hub.database.read() as connection:
            who = sessions.visitor(connection, secret, now_s)
            names = overview.token_names(connection, who.caller.tenant) if who else {}
        if who is None:
            raise SignInError
        self._rates.check(who.session, now_s)
        if request.method == "POST":
            security.check_token(form, who.form)
        return function(Visit(request, who, now_s, form, names))

    def _page(self, visit: Visit, name: str, **context: Any) -> Response:  # noqa: ANN401 - of a template
        facts = {"who": visit.who, "csrf": visit.who.form, "person": visit.person, **context}
        return self._render.page(visit.request, name, visit.now_s, facts)

    def _desk(self, visit: Visit) -> Desk:
        return self._desks(visit.tenant)

    # -- signing in and out -------------------------------------------------------------------------------------------

    async def sign_in(self, request: Request) -> Response:
        """Show the form, or take it."""
        if request.method != "POST":
            return self._sign_in_form(request)
        security.check_origin(request)
        form = await security.read_form(request)
        return await run_in_threadpool(self._signed_in, request, form)

    def _sign_in_form(self, request: Request, problem: str = "", status: int = 200) -> Response:
        import secrets

        secret = sessions.kept(request, sessions.BEFORE) or secrets.token_urlsafe(32)
        facts = {
            "csrf": security.form_token(secret, sessions.BEFORE),
            "next": request.query_params.get("next", ""),
            "problem": problem,
        }
        response = self._render.page(request, "sign_in.html", self._hub.now(), facts, status)
        sessions.keep(request, response, sessions.BEFORE, secret, limits.SESSION_S)
        return response

    def _signed_in(self, request: Request, form: Form) -> Response:
        now_s = self._hub.now()
        before = sessions.kept(request, sessions.BEFORE)
        if not before:
            return self._sign_in_form(request, "Your browser sent no cookie. Allow cookies of this page.", 403)
        security.check_token(form, security.form_token(before, sessions.BEFORE))
        if not self._attempts.allows(request.client.host if request.client else "", now_s):
            problem = f"Too many attempts. Wait {1 / limits.LOGIN_RATE.per_s:.0f} seconds."
            response = self._sign_in_form(request, problem, 429)
            response.headers["Retry-After"] = f"{1 / limits.LOGIN_RATE.per_s:.0f}"
            return response
        try:
            with self._hub.database.write() as connection:
                secret, life_s = sessions.begin(connection, form.get("token", "").strip(), now_s)
        except AccessError:
            return self._sign_in_form(request, "This token opens nothing. Check it, or ask for a new one.", 403)
        answer = RedirectResponse(_safe_next(request, form.get("next", "")), SEE_OTHER)
        sessions.keep(request, answer, sessions.SESSION, secret, life_s)
        sessions.drop(request, answer, sessions.BEFORE)
        return answer

    def sign_out(self, visit: Visit) -> Response:
        """End the session."""
        with self._hub.database.write() as connection:
            sessions.end(connection, visit.who, visit.now_s)
        answer = RedirectResponse(f"{visit.request.scope['root_path']}/sign-in", SEE_OTHER)
        sessions.drop(visit.request, answer, sessions.SESSION)
        answer.headers["Clear-Site-Data"] = '"cache", "storage"'
        return answer

    # -- pages --------------------------------------------------------------------------------------------------------

    def fleet(self, visit: Visit) -> Response:
        """Show the fleet at a glance."""
        with self._hub.database.read() as connection:
            found = fleet.glance(
                connection, visit.tenant, self._desk(visit), least_devices=self._least_devices, now_s=visit.now_s
            )
        return self._page(
            visit, "fleet.html", fleet=found, words=fleet.CHANGES, word_of=rollouts.word_of, tones=rollouts.TONES
        )

    def devices(self, visit: Visit) -> Response:
        """List devices."""
        cohort, start = visit.asked("cohort"), visit.asked("start").strip()
        with self._hub.database.read() as connection:
            found = fleet.listed(connection, visit.tenant, cohort=cohort, start=start, after=visit.asked("after"))
        more = urlencode({"cohort": cohort, "start": start, "after": found.next}) if found.next else ""
        standing = lambda row: fleet.standing(row, visit.now_s)  # noqa: E731 - of a template
        return self._page(visit, "devices.html", found=found, cohort=cohort, start=start, more=more, standing=standing)

    def device(self, visit: Visit) -> Response:
        """Show a device."""
        name = visit.request.path_params["device"]
        with self._hub.database.read() as connection:
            found = device.glance(connection, visit.tenant, name, self._desk(visit), visit.now_s)
        return self._page(visit, "device.html", d=found)

    def releases(self, visit: Visit) -> Response:
        """Show releases and their descent."""
        with self._hub.database.read() as connection:
            found = releases.glance(connection, visit.tenant, self._desk(visit), "#r-")
        return self._page(visit, "releases.html", found=found, word_of=rollouts.word_of, tones=rollouts.TONES)

    def rollouts(self, visit: Visit) -> Response:
        """List rollouts."""
        desk = self._desk(visit)
        found = [(one, desk.explanation(one)) for one in desk.all()[: limits.PAGE_ROWS]]
        return self._page(visit, "rollouts.html", found=found, word_of=rollouts.word_of, tones=rollouts.TONES)

    def rollout(self, visit: Visit) -> Response:
        """Show a rollout, or do something to it."""
        name = visit.request.path_params["rollout"]
        if visit.request.method == "POST":
            return self._act(visit, name)
        found = rollouts.glance(self._desk(visit), name, visit.who)
        done = ACTIONS.get(visit.asked("done"))
        return self._page(visit, "rollout.html", p=found, done=done.done if done else "", wave=Phase.WAVE)

    def _act(self, visit: Visit, name: str) -> Response:
        action = visit.form.get("action", "")
        if action not in ACTIONS:
            raise UsageError("there is no such action", field="action", value=action, remedy=", ".join(ACTIONS))
        visit.who.caller.need(Scope[ACTIONS[action].scope.upper()])
        why = visit.form.get("why", "").strip()[:MAX_WHY] or "no reason given"
        desk, actor = self._desk(visit), visit.who.caller.actor
        desk.act(action, name, actor, why)
        if not desk.audits:
            done = audit.Act(
                actor=actor, action=f"rollout.{action.replace(' ', '-')}", object=name[:128], detail={"why": why}
            )
            with self._hub.database.write() as connection:
                audit.record(connection, visit.tenant, done, visit.now_s)
        place = f"{visit.request.scope['root_path']}/rollouts/{quote(name, safe='')}"
        return RedirectResponse(f"{place}?{urlencode({'done': action})}", SEE_OTHER)

    def audit(self, visit: Visit) -> Response:
        """Show who did what, and whether the log is whole."""
        before = visit.asked("before", 16)
        with self._hub.database.read() as connection:
            place = int(before) if before.isdecimal() else None
            rows = overview.audit_end(connection, visit.tenant, place, limits.PAGE_ROWS)
            head = audit.head(connection, visit.tenant)
            newest = overview.audit_end(connection, visit.tenant, None, 1)
            count = newest[0].place if newest else 0
            checked, broken = False, ""
            if count <= limits.AUDIT_CHECK_ROWS or visit.asked("check"):
                checked = True
                try:
                    audit.verify(connection, visit.tenant)
                except CorruptStateError as exc:
                    broken = str(exc)
        more = rows[-1].place if rows and rows[-1].place > 1 else 0
        facts = {"rows": rows, "head": head, "count": count, "checked": checked, "broken": broken, "more": more}
        return self._page(visit, "audit.html", **facts, first=place is None)

    # -- errors -------------------------------------------------------------------------------------------------------

    def ask_to_sign_in(self, request: Request, _exc: Exception) -> Response:
        """Lead somebody unknown to the form; a script that looks for news is only told."""
        if "x-live" in request.headers:
            return PlainTextResponse("nobody is signed in", 401)
        root = request.scope["root_path"]
        place = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        words = {"next": place} if request.method == "GET" and place.rstrip("/") != root else {}
        return RedirectResponse(f"{root}/sign-in{'?' if words else ''}{urlencode(words)}", SEE_OTHER)

    def refused(self, request: Request, exc: Exception) -> Response:
        """Say what went wrong and what helps."""
        found = exc if isinstance(exc, AcclimateError) else AcclimateError(HTTPStatus(500).phrase)
        statuses: dict[type[AcclimateError], int] = {UnknownRolloutError: 404, TransitionError: 409}
        status = statuses.get(type(found), problems.status_of(found))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("a page failed: %s", found)
        facts = {"title": HTTPStatus(status).phrase, "problem": found.message, "remedy": found.remedy}
        response = self._render.page(request, "error.html", self._hub.now(), facts, status)
        if isinstance(found, RateError):
            response.headers["Retry-After"] = "1"
        return response

    def http_error(self, request: Request, exc: Exception) -> Response:
        """Say that there is no such page, or that this is not how it is used."""
        found = exc if isinstance(exc, HTTPException) else HTTPException(500)
        title = HTTPStatus(found.status_code).phrase
        problem = "There is no such page." if found.status_code == HTTPStatus.NOT_FOUND else str(found.detail)
        facts = {"title": title, "problem": problem, "remedy": ""}
        response = self._render.page(request, "error.html", self._hub.now(), facts, found.status_code)
        response.headers.update(found.headers or {})
        return response


def _safe_next(request: Request, place: str) -> str:
    """Return where to go after signing in: one of these pages, whatever the address said."""
    root = request.scope["root_path"]
    inside = place.startswith(f"{root}/") and "\\" not in place and "//" not in place and place.isprintable()
    return quote(place, safe="/?=&%#-._~+") if inside else f"{root}/"


def application(hub: Hub, desks: Desks, *, least_devices: int, refresh_s: float = limits.REFRESH_S) -> Starlette:
    """Return the pages as an application.

    Args:
        hub: an open hub.
        desks: a tenant's rollouts.
        least_devices: that a view of a cohort needs; fewer would show single ones.
        refresh_s: seconds between two looks of an open page for news.
    """
    pages = _Pages(hub, desks, least_devices, refresh_s)
    both = ["GET", "POST"]
    routes = [
        Route("/sign-in", pages.sign_in, methods=both),
        Route("/sign-out", pages.view(pages.sign_out), methods=["POST"]),
        Route("/", pages.view(pages.fleet)),
        Route("/devices", pages.view(pages.devices)),
        Route("/devices/{device:path}", pages.view(pages.device)),
        Route("/releases", pages.view(pages.releases)),
        Route("/rollouts", pages.view(pages.rollouts)),
        Route("/rollouts/{rollout:path}", pages.view(pages.rollout), methods=both),
        Route("/audit", pages.view(pages.audit)),
        Mount("/static", _Static(directory=STATIC)),
    ]
    handlers: dict[Any, Any] = {
        SignInError: pages.ask_to_sign_in,
        AcclimateError: pages.refused,
        HTTPException: pages.http_error,
    }
    return Starlette(routes=routes, middleware=[Middleware(security.Headers)], exception_handlers=handlers)


def mount(
    app: FastAPI, hub: Hub, desks: Desks, *, least_devices: int = 20, refresh_s: float = limits.REFRESH_S
) -> None:
    """Mount the pages of a hub under ``/ui``, and lead there from ``/``; for the arguments see ``application``."""
    app.mount(PREFIX, application(hub, desks, least_devices=least_devices, refresh_s=refresh_s))

    @app.get("/", include_in_schema=False)
    def to_the_pages(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{request.scope.get('root_path', '')}{PREFIX}/")
