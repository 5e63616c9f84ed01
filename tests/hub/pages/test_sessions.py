import hashlib
from http.cookies import SimpleCookie
from typing import Any

import pytest
from sqlalchemy import select, update
from starlette.requests import Request
from starlette.testclient import TestClient

from acclimate_hub import limits
from acclimate_hub.api.app import create
from acclimate_hub.identity import api_tokens
from acclimate_hub.pages.app import _safe_next
from acclimate_hub.store import audit, tables
from tests.hub.conftest import NOW
from tests.hub.pages.scene import Scene, rollout_url, sign_in, token_of

PLACES = [
    "/",
    "/devices",
    "/devices/gw-0",
    "/releases",
    "/rollouts",
    "/rollouts/spring-base",
    "/audit",
    "/audit?check=1",
]


def rows(scene: Scene, table: Any) -> list[Any]:
    with scene.hub.database.read() as connection:
        return list(connection.execute(select(table)))


def cookies(answer: Any) -> dict[str, Any]:
    found: SimpleCookie = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        found.load(line)
    return dict(found)


def test_strangers_are_led_to_the_form(lively: Scene) -> None:
    viewer = lively.signed_in("viewer")
    for place in PLACES:
        answer = lively.client().get(f"/ui{place}")
        assert answer.status_code == 303, place
        assert answer.headers["location"].startswith("/ui/sign-in")
        assert "gw-" not in answer.text
        assert lively.client().get(f"/ui{place}", headers={"X-Live": "1"}).status_code == 401
        assert viewer.get(f"/ui{place}").status_code == 200


def test_the_root_leads_to_the_pages_and_a_way_back_is_kept(lively: Scene) -> None:
    client = lively.client()
    assert client.get("/").headers["location"] == "/ui/"
    form = client.get(client.get("/ui/devices?cohort=shop").headers["location"])
    fields = {"form": token_of(form.text), "token": lively.tokens["main:viewer"]}
    back = form.text.partition('name="next" value="')[2].partition('"')[0].replace("&amp;", "&")
    assert client.post("/ui/sign-in", data={**fields, "next": back}).headers["location"] == "/ui/devices?cohort=shop"


@pytest.mark.parametrize("https", [False, True])
def test_the_cookie_is_out_of_reach_and_only_its_hash_is_kept(scene: Scene, https: bool) -> None:
    client = scene.client(https=https)
    answer = sign_in(client, f"  {scene.tokens['main:viewer']}\n")
    name = "__Host-acclimate" if https else "acclimate"
    cookie = cookies(answer)[name]
    assert cookie["httponly"] is True
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("strict", "/", "")
    assert bool(cookie["secure"]) is https
    assert int(cookie["max-age"]) == limits.SESSION_S
    [row] = rows(scene, tables.sessions)
    assert row.session == hashlib.sha256(f"session:{cookie.value}".encode()).hexdigest()
    assert cookie.value not in repr(row)
    assert scene.tokens["main:viewer"] not in answer.text + str(answer.headers)
    assert client.get("/ui/").status_code == 200


def test_a_cookie_of_plain_http_opens_nothing_over_tls(scene: Scene) -> None:
    secret = scene.signed_in().cookies["acclimate"]
    client = scene.client(https=True)
    client.cookies.set("acclimate", secret)
    assert client.get("/ui/").status_code == 303


def test_a_wrong_token_opens_nothing(scene: Scene) -> None:
    unknown = "0" * 16 + "_" + "x" * 43
    for token in ("", "x", f"acc_api_{unknown}", f"acc_claim_{unknown}"):
        client = scene.client()
        answer = sign_in(client, token)
        assert answer.status_code == 403
        assert "This token opens nothing" in answer.text
        assert "acclimate" not in cookies(answer)
        assert client.get("/ui/").status_code == 303
    assert rows(scene, tables.sessions) == []


def test_a_session_ends_by_itself_and_with_its_token(scene: Scene) -> None:
    client = scene.signed_in()
    scene.now_s = NOW + limits.SESSION_S - 1
    assert client.get("/ui/").status_code == 200
    scene.now_s += 1
    assert client.get("/ui/").status_code == 303
    client = scene.signed_in()
    with scene.hub.database.write() as connection:
        api_tokens.revoke(connection, "main", scene.tokens["main:operator"].split("_")[2], "cli", scene.now_s)
    assert client.get("/ui/").status_code == 303
    assert sign_in(scene.client(), scene.tokens["main:operator"]).status_code == 403


def test_a_session_never_outlives_its_token(scene: Scene) -> None:
    client = scene.client()
    answer = sign_in(client, scene.token("main", "viewer", life_s=60.0))
    assert int(cookies(answer)["acclimate"]["max-age"]) == 60
    scene.now_s += 60.0
    assert client.get("/ui/").status_code == 303


def test_the_scope_is_that_of_now(lively: Scene) -> None:
    client = lively.signed_in("operator")
    assert "Stop spring-base" in client.get(rollout_url()).text
    token = lively.tokens["main:operator"].split("_")[2]
    with lively.hub.database.write() as connection:
        connection.execute(update(tables.api_tokens).where(tables.api_tokens.c.token == token).values(scope="viewer"))
    assert "Stop spring-base" not in client.get(rollout_url()).text


def test_who_has_signed_out_is_out_wherever_the_cookie_went(scene: Scene) -> None:
    client = scene.signed_in()
    secret = client.cookies["acclimate"]
    page = client.get("/ui/")
    answer = client.post("/ui/sign-out", data={"form": token_of(page.text)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/sign-in")
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert "acclimate" not in client.cookies
    thief = scene.client()
    thief.cookies.set("acclimate", secret)
    assert thief.get("/ui/").status_code == 303
    with scene.hub.database.read() as connection:
        acts = [entry.action for entry in audit.entries(connection, "main", 0, 100)]
        assert acts[-2:] == ["session.begin", "session.end"]
        audit.verify(connection, "main")


def test_a_token_has_a_bounded_number_of_sessions_and_the_oldest_ends(scene: Scene) -> None:
    first = scene.signed_in()
    others: list[TestClient] = []
    for _ in range(limits.MAX_SESSIONS):
        scene.now_s += 20.0
        others.append(scene.signed_in())
    assert len(rows(scene, tables.sessions)) == limits.MAX_SESSIONS
    assert first.get("/ui/").status_code == 303
    assert all(client.get("/ui/").status_code == 200 for client in others)
    scene.now_s += limits.SESSION_S
    scene.signed_in("viewer")
    assert len(rows(scene, tables.sessions)) == 1


def test_cookies_open_no_api_and_tokens_no_page(scene: Scene) -> None:
    client = scene.signed_in("admin")
    assert client.get("/api/v1/devices").status_code == 401
    assert client.post("/api/v1/cohorts", json={"cohort": "x"}).status_code == 401
    bearer = {"Authorization": f"Bearer {scene.tokens['main:admin']}"}
    assert scene.client().get("/ui/", headers=bearer).status_code == 303


def test_nobody_sees_another_tenant(lively: Scene) -> None:
    client = lively.signed_in("admin", "other")
    assert "gw-" not in client.get("/ui/devices").text
    assert client.get("/ui/devices/gw-0").status_code == 404
    assert client.get(rollout_url()).status_code == 404
    assert "forecast" not in client.get("/ui/releases").text


def test_guessing_is_slowed_down_and_other_places_are_not(scene: Scene) -> None:
    client = scene.client()
    found = [sign_in(client, "x").status_code for _ in range(limits.LOGIN_RATE.burst + 1)]
    assert found == [403] * limits.LOGIN_RATE.burst + [429]
    answer = sign_in(client, scene.tokens["main:viewer"])
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    elsewhere = TestClient(scene.app, follow_redirects=False, client=("10.0.0.9", 1))
    assert sign_in(elsewhere, scene.tokens["main:viewer"]).status_code == 303
    scene.now_s += 10.0
    assert sign_in(client, scene.tokens["main:viewer"]).status_code == 303


def test_a_session_may_not_ask_without_end(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "API_RATE", limits.Rate(burst=3, per_s=1.0))
    scene.app = create(scene.hub)
    client, other = scene.signed_in(), scene.signed_in()
    assert [client.get("/ui/rollouts").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert other.get("/ui/rollouts").status_code == 200
    scene.now_s += 1.0
    assert client.get("/ui/rollouts").status_code == 200


@pytest.mark.parametrize(
    ("place", "goes"),
    [
        ("/ui/devices?cohort=a%20b", "/ui/devices?cohort=a%20b"),
        ("", "/ui/"),
        ("https://evil.example/ui/", "/ui/"),
        ("//evil.example/", "/ui/"),
        ("/ui//evil.example", "/ui/"),
        ("/ui/\\evil.example", "/ui/"),
        ("/uix", "/ui/"),
        ("/ui/\r\nSet-Cookie: a=b", "/ui/"),
        ("javascript:alert(1)", "/ui/"),
        ("/ui/devices/gw ö", "/ui/devices/gw%20%C3%B6"),
    ],
)
def test_signing_in_leads_to_a_page_of_ours(place: str, goes: str) -> None:
    assert _safe_next(Request({"type": "http", "root_path": "/ui"}), place) == goes
