from typing import Any

import pytest

from acclimate_hub.store import releases
from acclimate_shared.waves import NO_BASE
from tests.hub.api.conftest import Site
from tests.hub.api.test_api import problem
from tests.hub.conftest import NOW
from tests.shared.messages.samples import D, E

DRAFT: dict[str, Any] = {"id": "pump-1.3", "digest": D, "cohorts": ["default"]}


@pytest.fixture
def released(site: Site) -> Site:
    with site.hub.database.write() as connection:
        columns = {"digest": D, "name": "pump", "version": "1.3", "manifest": b"{}"}
        releases.add(connection, "main", columns, {"bundle": (D, 5)}, NOW)
    return site


def test_a_rollout_from_its_draft_to_its_end(released: Site) -> None:
    author, other = released.client("releaser"), released.client("admin")
    assert author.get("/releases").json()["items"][0]["version"] == "1.3"
    made = author.post("/rollouts", json=DRAFT)
    assert (made.status_code, made.json()["phase"], made.json()["previous"]) == (201, "draft", NO_BASE)
    why = {"why": "the trial was good"}
    assert problem(author.post("/rollouts/pump-1.3/approve", json=why), 409)["field"] == "who"
    for action, phase in (("approve", "approved"), ("start", "wave"), ("pause", "paused"), ("resume", "wave")):
        done = other.post(f"/rollouts/pump-1.3/{action}", json=why)
        assert (done.status_code, done.json()["phase"]) == (200, phase)
    standing = author.get("/rollouts/pump-1.3").json()
    assert standing["explanation"]["headline"].startswith("Wave 1 of 4 is in progress")
    assert problem(other.post("/rollouts/pump-1.3/abort", json=why | {"version": 2}), 409)["field"] == "version"
    version = standing["rollout"]["version"]
    assert other.post("/rollouts/pump-1.3/abort", json=why | {"version": version}).json()["phase"] == "aborted"
    assert problem(other.post("/rollouts/pump-1.3/abort", json=why), 409)["field"] == "phase"
    acts = [entry["action"] for entry in other.get("/audit", params={"limit": 500}).json()["items"]]
    assert [act for act in acts if act.startswith("rollout.")] == [
        f"rollout.{word}" for word in ("draft", "approve", "start", "pause", "resume", "abort")
    ]


def test_scopes_are_kept(released: Site) -> None:
    for scope in ("viewer", "operator"):
        problem(released.client(scope).post("/rollouts", json=DRAFT), 403)
    released.client("releaser").post("/rollouts", json=DRAFT)
    problem(released.client("operator").post("/rollouts/pump-1.3/approve", json={"why": "x"}), 403)
    problem(released.client("viewer").post("/rollouts/pump-1.3/abort", json={"why": "x"}), 403)
    problem(released.client("admin", "other").get("/rollouts/pump-1.3"), 404)
    assert released.client("admin", "other").get("/rollouts").json() == {"items": [], "next": None}


def test_the_same_key_is_the_same_rollout(released: Site) -> None:
    client, key = released.client("admin"), {"Idempotency-Key": "k1"}
    first = client.post("/rollouts", json=DRAFT, headers=key)
    again = client.post("/rollouts", json=DRAFT, headers=key)
    assert (first.status_code, first.content) == (again.status_code, again.content)
    problem(client.post("/rollouts", json=DRAFT), 409)
    problem(client.post("/rollouts", json=DRAFT | {"id": "other"}, headers=key), 409)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"digest": E}, 404),
        ({"digest": "x"}, 422),
        ({"id": "a/b"}, 422),
        ({"cohorts": []}, 422),
        ({"plan": {"alpha": 2.0}}, 400),
        ({"plan": {"surprise": 1}}, 400),
        ({"previous": D}, 409),
    ],
)
def test_what_makes_no_sense_is_refused(released: Site, change: dict[str, Any], status: int) -> None:
    problem(released.client("releaser").post("/rollouts", json=DRAFT | change), status)
    assert released.client().get("/rollouts").json()["items"] == []


def test_rollouts_are_listed_page_by_page(released: Site) -> None:
    client = released.client("admin")
    names = [f"r-{at}" for at in range(5)]
    for name in names:
        assert client.post("/rollouts", json=DRAFT | {"id": name}).status_code == 201
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = client.get("/rollouts", params={"limit": 2, **({"after": cursor} if cursor else {})}).json()
        found += [one["id"] for one in answer["items"]]
        cursor = answer["next"]
    assert found == names
