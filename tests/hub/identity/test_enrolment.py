from pathlib import Path
from typing import Any

import pytest

from acclimate_hub.hub import Hub
from acclimate_hub.identity import enrolment
from acclimate_hub.identity.authority import Issued, read_request
from acclimate_hub.identity.enrolment import ClaimRules
from acclimate_hub.limits import DAY_S, DEVICE_CERT_S
from acclimate_hub.store import audit, credentials, devices
from acclimate_hub.store.database import Database
from acclimate_shared.errors import AccessError, ConflictError, MissingError, StateError, UsageError
from tests.hub.conftest import NOW
from tests.hub.identity.keys import new_key, request


class Fleet:
    """A hub with a clock that is set by hand."""

    def __init__(self, database: Database) -> None:
        self.now_s = NOW
        self.hub = Hub(database, b"secret", lambda: self.now_s)
        self.hub.create_tenant("main", "cli")
        self.hub.create_tenant("other", "cli")

    def claim(self, *, uses: int = 1, life_s: float = 60.0, allowed: tuple[str, ...] = (), tenant: str = "main") -> str:
        rules = ClaimRules(cohort="default", max_uses=uses, expires_s=self.now_s + life_s, allowed=allowed)
        with self.hub.database.write() as rows:
            return enrolment.create_claim(rows, tenant, rules, "cli", self.now_s).text

    def enrol(
        self, claim: str, device: str, key: Any = None, *, tenant: str = "main", name: str | None = None
    ) -> Issued:
        shown = (claim, request(key or new_key(), name or device))
        with self.hub.database.write() as rows:
            return enrolment.enrol(rows, self.hub.authority(tenant), device, shown, self.now_s)

    def renew(self, device: str, key: Any) -> Issued:
        with self.hub.database.write() as rows:
            return enrolment.renew(rows, self.hub.authority("main"), device, request(key, device), self.now_s)

    def refused(self, *args: Any, **more: Any) -> str:
        with pytest.raises(AccessError) as caught:
            self.enrol(*args, **more)
        return caught.value.field


@pytest.fixture
def fleet(empty: Database) -> Fleet:
    return Fleet(empty)


def test_a_claim_enrols_as_often_as_it_says(fleet: Fleet) -> None:
    claim = fleet.claim(uses=2)
    key = new_key()
    first = fleet.enrol(claim, "gw-1", key)
    assert fleet.enrol(claim, "gw-1", key) == first  # the answer got lost: no second use
    fleet.enrol(claim, "gw-2")
    assert fleet.refused(claim, "gw-3") == "claim-spent"
    assert fleet.refused(claim, "gw-1", new_key()) == "device-known"
    assert fleet.enrol(claim, "gw-1", key) == first
    with fleet.hub.database.read() as rows:
        assert devices.get(rows, "main", "gw-1").cohort == "default"
        actions = [entry.action for entry in audit.entries(rows, "main", 0, 10)]
        assert actions == ["tenant.create", "claim.create", "device.enrol", "device.enrol"]
        assert audit.verify(rows, "main") == 4


def test_a_claim_ends_is_limited_to_a_list_and_to_its_tenant(fleet: Fleet) -> None:
    claim = fleet.claim(uses=9, allowed=("gw-1",))
    assert fleet.refused(claim, "gw-2") == "device-not-listed"
    assert fleet.refused(claim, "gw-1", tenant="other") == "claim-unknown"
    assert fleet.refused(claim[:-1] + ("a" if claim[-1] != "a" else "b"), "gw-1") == "claim-unknown"
    assert fleet.refused(claim.replace("claim", "api"), "gw-1") == "claim-unknown"
    assert fleet.refused(claim, "gw-1", name="gw-2") == "name-refused"
    for name in ("_hub", "_claim", "+", "#", "GW", "a/b", "-a", "a" * 64):
        assert fleet.refused(claim, name) in {"name-refused", "request"}
    fleet.now_s += 60
    assert fleet.refused(claim, "gw-1") == "claim-expired"
    other = fleet.claim(uses=9)
    with fleet.hub.database.write() as rows:
        credentials.revoke_claim(rows, "main", other.split("_")[2], fleet.now_s)
        with pytest.raises(MissingError):
            credentials.revoke_claim(rows, "other", other.split("_")[2], fleet.now_s)
    assert fleet.refused(other, "gw-1") == "claim-revoked"


@pytest.mark.parametrize("rules", [{"max_uses": 0}, {"max_uses": 10**9}, {"expires_s": NOW}, {"allowed": ("A",)}])
def test_a_claim_that_makes_no_sense_is_not_made(fleet: Fleet, rules: dict[str, Any]) -> None:
    good: dict[str, Any] = {"cohort": "default", "max_uses": 1, "expires_s": NOW + 1}
    for bad, error in ((good | rules, UsageError), (good | {"cohort": "nowhere"}, MissingError)):
        with pytest.raises(error), fleet.hub.database.write() as rows:
            enrolment.create_claim(rows, "main", ClaimRules(**bad), "cli", NOW)


def test_a_certificate_is_renewed_from_half_of_its_life(fleet: Fleet) -> None:
    key, next_key = new_key(), new_key()
    first = fleet.enrol(fleet.claim(), "gw-1", key)
    assert enrolment.renew_s(first) == NOW + DEVICE_CERT_S / 2
    assert fleet.renew("gw-1", key) == first  # too early with the same key: nothing new
    fleet.now_s = enrolment.renew_s(first)
    second = fleet.renew("gw-1", key)
    assert second.serial != first.serial
    assert fleet.renew("gw-1", key) == second
    third = fleet.renew("gw-1", next_key)
    with fleet.hub.database.read() as rows:
        live = credentials.live_certificates(rows, "main", "gw-1", fleet.now_s)
        assert {row.serial for row in live} == {first.serial, second.serial, third.serial}  # the old one still opens
    with pytest.raises(AccessError, match="too often"):
        fleet.renew("gw-1", new_key())
    with pytest.raises(AccessError):
        fleet.renew("gw-2", key)


def test_a_revoked_device_stays_out_until_it_is_readmitted_with_a_new_key(fleet: Fleet) -> None:
    claim, key = fleet.claim(uses=9), new_key()
    first = fleet.enrol(claim, "gw-1", key)
    fleet.enrol(claim, "gw-2")
    with fleet.hub.database.write() as rows:
        assert enrolment.revoke(rows, "main", "gw-1", "cli", fleet.now_s) == 1
        assert credentials.revoked(rows, "main", fleet.now_s) == [(int(first.serial, 16), fleet.now_s)]
        assert credentials.revoked(rows, "main", first.expires_s + DAY_S) == []
    assert fleet.refused(claim, "gw-1", key) == fleet.refused(claim, "gw-1") == "device-refused"
    with pytest.raises(AccessError):
        fleet.renew("gw-1", key)
    with fleet.hub.database.write() as rows:
        enrolment.readmit(rows, "main", "gw-1", "cli", fleet.now_s)
    assert fleet.enrol(claim, "gw-1").serial != first.serial
    with pytest.raises(MissingError), fleet.hub.database.write() as rows:
        enrolment.revoke(rows, "other", "gw-1", "cli", fleet.now_s)
    assert fleet.hub.revocation_list("main").startswith("-----BEGIN X509 CRL-----")


def test_a_device_belongs_to_one_tenant(fleet: Fleet) -> None:
    fleet.enrol(fleet.claim(), "gw-1")
    assert fleet.refused(fleet.claim(tenant="other"), "gw-1", tenant="other") == "device-refused"


def test_no_secret_is_in_the_database(fleet: Fleet) -> None:
    claim = fleet.claim()
    with fleet.hub.database.read() as rows:
        row = rows.execute(credentials.claims("main")).one()
    assert claim.split("_", 3)[3] not in str(row)


def test_a_hub_is_made_once_and_opened_with_its_secret(tmp_path: Path) -> None:
    url, secret = f"sqlite:///{tmp_path}/hub.db", tmp_path / "deep" / "secret"
    with pytest.raises(StateError, match="init"):
        Hub.open(url, secret, lambda: NOW)
    hub = Hub.create(url, secret, lambda: NOW)
    assert secret.stat().st_mode & 0o777 == 0o600
    hub.create_tenant("main", "cli")
    for tenant, error in (("main", ConflictError), ("A/b", UsageError)):
        with pytest.raises(error):
            hub.create_tenant(tenant, "cli")
    hub.close()
    again = Hub.create(url, secret, lambda: NOW)
    assert again.authority("main").sign_device(read_request(request(new_key(), "a")), NOW).name == "a"
    again.close()
    secret.write_bytes(b"other")
    wrong = Hub.open(url, secret, lambda: NOW)
    with pytest.raises(StateError, match="cannot be opened"):
        wrong.authority("main")
    wrong.close()
