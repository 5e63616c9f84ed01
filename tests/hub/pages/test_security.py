import re
from typing import Any

from acclimate_hub import limits
from acclimate_hub.pages import security
from acclimate_hub.rollout import Phase
from tests.hub.pages.markup import Walk
from tests.hub.pages.scene import ROLLOUT, Scene, rollout_url, sign_in, token_of

PAGES = [
    "/ui/",
    "/ui/devices",
    "/ui/devices/gw-0",
    "/ui/releases",
    "/ui/rollouts",
    rollout_url(),
    "/ui/audit",
    "/ui/sign-in",
]
REFUSED = ["/ui/nowhere", "/ui/devices/nobody", "/ui/static/nothing.css", "/ui/static/../app.py"]


def test_no_page_needs_an_exception_and_every_form_has_its_token(lively: Scene) -> None:
    client = lively.signed_in("admin")
    for place in PAGES:
        page = client.get(place)
        walk = Walk()
        walk.feed(page.text)
        assert walk.bad == [], place
        assert walk.forms, place
        assert all(walk.forms), place
        assert "cdn" not in page.text.lower()


def test_every_answer_carries_the_headers(lively: Scene) -> None:
    for client in (lively.client(), lively.signed_in()):
        for place in (*PAGES, *REFUSED):
            answer = client.get(place)
            for name, value in security.HEADERS.items():
                assert answer.headers[name] == value, place
            assert answer.headers["cache-control"] == "no-store", place
    policy = dict(part.split(" ", 1) for part in security.POLICY.split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in security.POLICY
    assert "*" not in security.POLICY


def test_the_api_keeps_its_own_errors(scene: Scene) -> None:
    answer = scene.client().get("/api/v1/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert scene.client().delete("/api/v1/devices").status_code == 405


def test_files_are_kept_by_their_content(scene: Scene) -> None:
    page = scene.client().get("/ui/sign-in").text
    found = re.findall(r'(?:href|src)="(/ui/static/[^"]+)"', page)
    assert len(found) == 3
    for place in found:
        answer = scene.client().get(place)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert not re.search(r"https?://(?!www\.w3\.org/)|eval\(|innerHTML", answer.text)


def stop(client: Any, token: str | None, **more: Any) -> Any:
    data = {"action": "abort", "why": "because", **({} if token is None else {"form": token})}
    return client.post(rollout_url(), data=data, **more)


def test_a_form_without_its_token_does_nothing(lively: Scene) -> None:
    client, other = lively.signed_in(), lively.signed_in()
    token = token_of(client.get(rollout_url()).text)
    assert token != token_of(other.get(rollout_url()).text)
    before = token_of(lively.client().get("/ui/sign-in").text)
    for wrong in (None, "", "0" * 64, token[:-1], token_of(other.get(rollout_url()).text), before, "ö"):
        answer = stop(client, wrong)
        assert answer.status_code == 403, wrong
        assert "no valid token" in answer.text
    assert client.post("/ui/sign-out", data={"x": "1"}).status_code == 403
    assert client.get("/ui/").status_code == 200
    assert lively.rollouts.get(ROLLOUT).phase is Phase.WAVE
    assert stop(client, token).status_code == 303
    assert lively.rollouts.get(ROLLOUT).phase is Phase.ABORTED


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://testserver.evil.example"},
    {"Origin": "http://testserver:81"},
    {"Origin": "null"},
]


def test_a_form_of_another_site_does_nothing_even_with_its_token(lively: Scene) -> None:
    client = lively.signed_in()
    token = token_of(client.get(rollout_url()).text)
    for headers in FOREIGN:
        assert stop(client, token, headers=headers).status_code == 403, headers
    assert lively.rollouts.get(ROLLOUT).phase is Phase.WAVE
    good = [{"Sec-Fetch-Site": "same-origin", "Origin": "http://behind.a.proxy"}, {"Origin": "http://testserver"}]
    assert [stop(client, token, headers=one).status_code for one in good] == [303, 409]


def test_signing_in_needs_the_form_of_this_browser(scene: Scene) -> None:
    token = scene.tokens["main:viewer"]
    stranger = token_of(scene.client().get("/ui/sign-in").text)
    client = scene.client()
    assert client.post("/ui/sign-in", data={"form": stranger, "token": token}).status_code == 403
    client.get("/ui/sign-in")
    assert client.post("/ui/sign-in", data={"form": stranger, "token": token}).status_code == 403
    evil = {"Sec-Fetch-Site": "cross-site"}
    form = token_of(client.get("/ui/sign-in").text)
    assert client.post("/ui/sign-in", data={"form": form, "token": token}, headers=evil).status_code == 403
    assert sign_in(client, token).status_code == 303


def test_only_forms_of_a_bounded_size_are_read(lively: Scene) -> None:
    client = lively.signed_in()
    token = token_of(client.get(rollout_url()).text)
    assert stop(client, token, headers={"Content-Type": "text/plain"}).status_code == 400
    assert client.post(rollout_url(), json={"form": token, "action": "abort"}).status_code == 400
    long = {"form": token, "action": "abort", "why": "x" * limits.MAX_FORM_BYTES}
    assert client.post(rollout_url(), data=long).status_code == 400
    many = {"form": token, **{f"x{at}": "1" for at in range(security.MAX_FIELDS)}}
    assert client.post(rollout_url(), data=many).status_code == 400
    raw = {"Content-Type": security.FORM_TYPE}
    for body in (b"form=%ff", "form=ö".encode()):
        assert client.post(rollout_url(), content=body, headers=raw).status_code == 400
    assert lively.rollouts.get(ROLLOUT).phase is Phase.WAVE


def test_a_look_never_does_anything(lively: Scene) -> None:
    client = lively.signed_in()
    token = token_of(client.get(rollout_url()).text)
    client.get(f"{rollout_url()}?action=abort&form={token}")
    assert client.get("/ui/sign-out").status_code == 405
    assert client.get("/ui/").status_code == 200
    assert lively.rollouts.get(ROLLOUT).phase is Phase.WAVE
