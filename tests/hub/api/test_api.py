from typing import Any

import pytest
from starlette.testclient import TestClient

from acclimate_hub import limits
from acclimate_hub.store import lineage
from acclimate_shared.messages import up
from tests.hub.api.conftest import Site
from tests.hub.conftest import NOW
from tests.hub.test_ingest import STATE, arrived
from tests.shared.messages.samples import LINEAGE, METRICS, D, E

READS = ["/aliases", "/devices", "/devices/m-1", "/cohorts", "/certificates", "/lineage", "/audit",
         "/audit/verification", "/devices/m-1/metrics?measure=accuracy",
         "/cohorts/default/metrics?measure=accuracy"]  # fmt: skip
WISH = {"expires_s": NOW + 100}
WRITES: list[tuple[str, str, str, Any, int]] = [
    ("operator", "POST", "/cohorts", {"cohort": "shop"}, 201),
    ("operator", "POST", "/claims", WISH, 201),
    ("operator", "PUT", "/devices/m-1/cohort", {"cohort": "default"}, 200),
    ("operator", "POST", "/devices/m-1/revoke", None, 200),
    ("operator", "POST", "/devices/m-1/readmit", None, 200),
    ("operator", "POST", "/revocation-list", None, 200),
    ("admin", "POST", "/tokens", WISH | {"name": "x"}, 201),
]
ORDER = ["viewer", "operator", "releaser", "admin"]


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    return body


@pytest.mark.parametrize("path", READS)
def test_viewers_read_and_strangers_do_not(site: Site, path: str) -> None:
    assert site.client("viewer").get(path).status_code == 200
    for token in ("", "Bearer x", "Basic eDp5", f"Bearer {site.tokens['main:viewer'][:-1]}x"):
        answer = TestClient(site.app).get(f"/api/v1{path}", headers={"Authorization": token} if token else {})
        assert problem(answer, 401)["field"] == "Authorization"
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("scope", "method", "path", "body", "status"), WRITES)
def test_a_scope_opens_what_it_says_and_no_more(
    site: Site, scope: str, method: str, path: str, body: Any, status: int
) -> None:
    for one in ORDER:
        answer = site.client(one).request(method, path, json=body)
        if ORDER.index(one) < ORDER.index(scope):
            assert problem(answer, 403)["field"] == "scope"
        else:
            assert answer.status_code in {status, 409 if path == "/cohorts" else status}, answer.text


def test_a_tenant_sees_only_its_own(site: Site) -> None:
    other = site.client("admin", "other")
    assert [one["device"] for one in other.get("/devices").json()["items"]] == [f"o-{at}" for at in range(1, 6)]
    for method, path in (
        ("GET", "/devices/m-1"),
        ("POST", "/devices/m-1/revoke"),
        ("GET", "/devices/m-1/metrics?measure=a"),
    ):
        problem(other.request(method, path), 404)
    claim = site.client().post("/claims", json=WISH).json()["id"]
    problem(other.post(f"/claims/{claim}/revoke"), 404)
    token = site.tokens["main:viewer"].split("_")[2]
    problem(other.post(f"/tokens/{token}/revoke"), 404)
    assert site.client("viewer").get("/cohorts").status_code == 200


def test_expired_and_revoked_tokens_open_nothing(site: Site) -> None:
    made = site.client().post("/tokens", json={"name": "short", "expires_s": NOW + 10}).json()
    client = TestClient(site.app, headers={"Authorization": f"Bearer {made['token']}"})
    assert client.get("/api/v1/devices").status_code == 200
    site.now_s += 10
    problem(client.get("/api/v1/devices"), 401)
    site.now_s -= 10
    assert site.client().post(f"/tokens/{made['id']}/revoke").status_code == 200
    problem(client.get("/api/v1/devices"), 401)
    listed = site.client().get("/tokens", params={"limit": 500}).json()["items"]
    assert any(one["token"] == made["id"] and one["revoked_s"] == NOW for one in listed)
    secret = made["token"].split("_", 3)[3]  # which may have underscores
    assert len(secret) > 20
    assert secret not in str(listed)


def test_the_same_idempotency_key_does_it_once(site: Site) -> None:
    client, key = site.client(), {"Idempotency-Key": "k-1"}
    first = client.post("/cohorts", json={"cohort": "shop"}, headers=key)
    again = client.post("/cohorts", json={"cohort": "shop"}, headers=key)
    assert (
        (first.status_code, first.json())
        == (again.status_code, again.json())
        == (201, {"cohort": "shop", "criticality": 0})
    )
    problem(client.post("/cohorts", json={"cohort": "other"}, headers=key), 409)
    problem(client.post("/cohorts", json={"cohort": "shop"}), 409)
    assert client.post("/claims", json=WISH, headers={"Idempotency-Key": "k-2"}).status_code == 201
    said = problem(client.post("/claims", json=WISH, headers={"Idempotency-Key": "k-2"}), 409)
    assert "secret" in said["detail"]
    assert len(client.get("/claims").json()["items"]) == 1
    assert problem(client.post("/cohorts", json={"cohort": "c"}, headers={"Idempotency-Key": "a b"}), 422)


def test_pages_are_walked_with_the_cursor(site: Site) -> None:
    found, after = [], None
    while True:
        page = site.client().get("/devices", params={"limit": 2} | ({"after": after} if after else {})).json()
        found += [one["device"] for one in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert found == [f"m-{at}" for at in range(1, 6)]


def test_a_devices_life_is_seen(site: Site) -> None:
    with site.hub.database.write() as connection:
        release = lineage.Node(tenant="main", digest=E, device="", kind="release", version="7.0", model=E, time_s=NOW)
        lineage.add(connection, "main", [(release, [])])
    record = up.LineageRecord(digest=D, kind="import", version="1.0", model=E, graph=E, schema=E, bundle=E, time_s=NOW)
    for at in (1, 2, 3):
        site.ingest.commit([arrived(METRICS, device=f"m-{at}", sequence=1)])
    site.ingest.commit([arrived(STATE, device="m-1"), arrived(record, device="m-1", sequence=2)])
    client = site.client("viewer")
    device = client.get("/devices/m-1").json()
    assert (device["online"], device["reported"]["agent"]) == (True, "0.1.0")
    assert [one["device"] for one in client.get(f"/lineage/{E}/devices").json()["items"]] == ["m-1"]
    assert client.get(f"/lineage/{E}").json() == {"digest": E, "ancestors": [], "descendants": [D]}
    assert [one["digest"] for one in client.get("/lineage", params={"device": "m-1"}).json()["items"]] == [D]
    problem(client.get(f"/lineage/{'0' * 64}"), 404)
    asked = {"measure": "accuracy", "subject": "rls"}
    (bucket,) = client.get("/devices/m-1/metrics", params=asked).json()["buckets"]
    assert (bucket["mean"], bucket["weight"]) == (0.9, 100.0)
    (shown,) = client.get("/cohorts/default/metrics", params=asked).json()["buckets"]
    assert (shown["devices"], shown["least"]) == (3, None)
    assert client.get("/cohorts/default/metrics", params=asked | {"subject": "none"}).json()["buckets"] == []
    problem(client.get("/cohorts/nowhere/metrics", params=asked), 403)
    assert LINEAGE.digest == D


def test_the_log_is_complete_and_verified(site: Site) -> None:
    client = site.client()
    client.post("/devices/m-1/revoke")
    entries = client.get("/audit", params={"limit": 500}).json()["items"]
    assert (entries[-1]["action"], entries[-1]["actor"]) == (
        "device.revoke",
        f"api:{site.tokens['main:admin'].split('_')[2]}",
    )
    assert client.get("/audit/verification").json() == {"entries": len(entries), "head": entries[-1]["digest"]}
    half = client.get("/audit", params={"limit": 2}).json()
    rest = client.get("/audit", params={"limit": 500, "after": half["next"]}).json()
    assert half["items"] + rest["items"] == entries


def test_prometheus_reads_the_counts(site: Site) -> None:
    client = TestClient(site.app, headers=dict(site.client("viewer").headers))
    text = client.get("/metrics").text
    assert 'acclimate_devices{standing="all",tenant="main"} 5.0' in text
    assert 'acclimate_messages{fate="committed"} 0.0' in text
    problem(TestClient(site.app).get("/metrics"), 401)


def test_who_calls_or_guesses_too_often_waits(site: Site) -> None:
    client = TestClient(site.app)
    statuses = [client.get("/api/v1/devices").status_code for _ in range(limits.REFUSED_RATE.burst + 1)]
    assert statuses == [401] * limits.REFUSED_RATE.burst + [429]
    assert site.client().get("/devices").status_code == 200  # who has a token is not held up by others
    problem(client.get("/api/v1/devices"), 429)
    site.now_s += 100
    problem(client.get("/api/v1/devices"), 401)


def test_large_or_wrong_requests_get_a_problem(site: Site) -> None:
    client = site.client()
    problem(client.post("/cohorts", content=b"x" * (limits.MAX_BODY_BYTES + 1)), 413)
    problem(client.post("/cohorts", content=b"{"), 422)
    problem(client.post("/cohorts", json={"cohort": "a/b"}), 422)
    problem(client.get("/nothing"), 404)
    problem(client.delete("/devices"), 405)
    assert TestClient(site.app).get("/docs").status_code == 404
