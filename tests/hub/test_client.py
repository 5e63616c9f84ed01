"""The client alone: what it believes, how long it waits, and what it makes of answers."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from acclimate_hub.api.app import create
from acclimate_hub.client import Access, Client, Problem, connected, error_of, read_token
from acclimate_hub.identity.api_tokens import Caller
from acclimate_hub.identity.tokens import Scope
from acclimate_hub.store.database import Database
from acclimate_shared.errors import (
    AccessError,
    ConflictError,
    LinkError,
    PlanError,
    RateError,
    RefusedError,
    UsageError,
)
from tests.hub.api.conftest import Site
from tests.hub.conftest import NOW

TOKEN = "t"  # noqa: S105 - opens nothing
NONE, PERSON = "", "ann"
CLAIM = {"expires_s": NOW + 100}


class Losing(httpx2.AsyncBaseTransport):
    """Lets the hub do what is asked, and loses its first answers."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, lost: int) -> None:
        self.inner, self.lost, self.keys = inner, lost, list[str]()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        answer = await self.inner.handle_async_request(request)
        if self.lost:
            self.lost -= 1
            raise httpx2.ReadError("cut")
        return answer


@pytest.fixture
def site(sqlite: Database) -> Site:
    return Site(sqlite)


def client(site: Site, lost: int = 0, key: str = "") -> tuple[Client, Losing]:
    transport = Losing(httpx2.ASGITransport(site.app), lost)
    return Client(transport, Access(url="http://localhost", token=site.tokens["main:admin"], key=key)), transport


def test_a_write_whose_answer_was_lost_is_done_once(site: Site) -> None:
    api, link = client(site, lost=1)
    with api:
        assert api.send("POST", "/cohorts", {"cohort": "shop"}) == {"cohort": "shop", "criticality": 0}
        assert len(link.keys) == 2
        assert len({*link.keys, ""}) == 2  # one key, and not none
        assert [one["cohort"] for one in api.items("/cohorts")] == ["default", "shop"]
        assert [one["action"] for one in api.items("/audit")].count("cohort.create") == 1


def test_a_secret_whose_answer_was_lost_is_not_made_twice(site: Site) -> None:
    api, _ = client(site, lost=1)
    with api:
        with pytest.raises(ConflictError, match="done already; its secret was shown once"):
            api.send("POST", "/claims", CLAIM)
        assert len(list(api.items("/claims"))) == 1


def test_a_link_that_loses_everything_is_given_up(site: Site) -> None:
    api, link = client(site, lost=9)
    with api, pytest.raises(LinkError, match="cannot be reached"):
        api.get("/cohorts")
    assert len(link.keys) == 2


def test_a_given_key_is_of_the_first_write_alone(site: Site) -> None:
    api, link = client(site, key="mine")
    with api:
        for cohort in ("a", "b"):
            api.send("POST", "/cohorts", {"cohort": cohort})
    assert link.keys[0] == "mine"
    assert link.keys[1] not in {"mine", ""}


def test_all_pages_are_followed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acclimate_hub.limits.MAX_PAGE_ROWS", 2)
    api, link = client(site)
    with api:
        assert [one["device"] for one in api.items("/devices")] == [f"m-{at}" for at in range(1, 6)]
        assert len(link.keys) == 3


def test_who_acts_without_a_token_is_named_and_no_served_application_knows_such_a_person(site: Site) -> None:
    person = Caller(token=PERSON, tenant="main", scope=Scope.ADMIN, origin="cli")
    app = create(site.hub, operator=person)
    with Client(httpx2.ASGITransport(app), Access(url="http://localhost", token=NONE)) as api:
        api.send("POST", "/cohorts", {"cohort": "shop"})
        assert list(api.items("/audit"))[-1]["actor"] == "cli:ann"
    stranger = Client(httpx2.ASGITransport(site.app), Access(url="http://localhost", token=NONE))
    with stranger as api, pytest.raises(AccessError, match="valid token"):
        api.get("/cohorts")


@pytest.mark.parametrize(
    "url",
    ["", "hub.example", "ftp://hub.example", "https://", "https://u:p@hub.example", "https://h/?a=1", "https://h:x",
     "http://hub.example", "http://192.0.2.1:80", "http://localhost.example"],
)  # fmt: skip
def test_a_token_goes_nowhere_in_the_clear(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        connected(Access(url=url, token=TOKEN))
    assert caught.value.field == "hub"


@pytest.mark.parametrize("url", ["https://hub.example", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"])
def test_where_a_token_may_go(url: str) -> None:
    with connected(Access(url=url, token=TOKEN)):
        pass


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("acc_api_x\n")
    file.chmod(0o640)
    with pytest.raises(AccessError, match=f"chmod 600 {file}"):
        read_token(file)
    file.chmod(0o600)
    assert read_token(file) == "acc_api_x"
    with pytest.raises(AccessError, match="cannot be read"):
        read_token(tmp_path / "none")


def test_problems_are_the_errors_that_they_were() -> None:
    error = error_of(Problem(status=400, detail="no", field="alpha", value="2.0", remedy="less", error="PlanError"))
    assert (type(error), str(error)) == (PlanError, "no [alpha = 2.0]; less")
    kinds = {400: RefusedError, 401: AccessError, 422: UsageError, 429: RateError, 500: RefusedError, 503: LinkError}
    assert {status: type(error_of(Problem(status=status))) for status in kinds} == kinds
    assert type(error_of(Problem(status=409, error="TransitionError"))) is ConflictError
    assert type(error_of(Problem(status=400, error="reprlib"))) is RefusedError


@contextmanager
def server(says: bytes, *, drip: bool = False) -> Iterator[str]:
    """Something that is no hub: it says the same to everybody, byte by byte if it wants to last."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(says)
                while drip and not done.wait(0.02):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        done.set()
        thread.join()


@pytest.mark.parametrize("drip", [False, True])
def test_an_answer_that_does_not_end_is_not_waited_for(drip: bool) -> None:
    says = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n" if drip else b""
    with server(says, drip=True) as url, connected(Access(url=url, token=TOKEN, timeout_s=0.3)) as api:
        began = time.monotonic()
        with pytest.raises(LinkError, match=r"did not answer within 0\.3 s|cannot be reached"):
            api.get("/devices")
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "says",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nno",
        b"HTTP/1.1 400 No\r\ncontent-type: application/problem+json\r\ncontent-length: 2\r\n\r\n[]",
    ],
)
def test_what_is_no_hub_is_named_so(says: bytes) -> None:
    no_hub = pytest.raises(LinkError, match="what answers is no hub")
    with server(says) as url, connected(Access(url=url, token=TOKEN)) as api, no_hub:
        api.get("/devices")
