"""Device and hub, without a broker between them: joining a fleet, being refused, and the next certificate."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from acclimate_device.store import Store
from acclimate_device.sync import enrol, identity
from acclimate_device.sync.enrol import Claim
from acclimate_device.sync.renewal import Renewal
from acclimate_device.sync.wire import Arrived
from acclimate_hub.admission import Admission
from acclimate_hub.hub import Hub
from acclimate_hub.identity import enrolment
from acclimate_hub.identity.authority import CLAIM
from acclimate_hub.ingest import Ingest, read
from acclimate_hub.limits import DEVICE_CERT_S, Retention
from acclimate_hub.store import outbox
from acclimate_shared.errors import AccessError, CorruptStateError, LinkError, UsageError
from acclimate_shared.messages.down import Certificate, EnrolResponse
from acclimate_shared.messages.envelope import decode
from acclimate_shared.messages.topics import Kind, build, parse
from acclimate_shared.messages.topics import up as up_topic
from acclimate_shared.messages.up import Event, Renew
from tests.device.sync.wires import Clock, MemoryLink, message, rows_in

DEVICE = "pump-7"


@dataclass
class Site:
    hub: Hub
    clock: Clock
    store: Store

    def claim(self, uses: int = 1) -> Claim:
        rules = enrolment.ClaimRules(cohort="default", max_uses=uses, expires_s=self.clock.now_s + 3600)
        with self.hub.database.write() as rows:
            token = enrolment.create_claim(rows, "main", rules, "cli", self.clock.now_s).text
        authority = self.hub.authority("main")
        service = authority.service(CLAIM, self.clock.now_s)
        whole = authority.certificate + service.certificate.pem + service.key + token
        return enrol.claim_of(whole, whole, whole)

    def link(self, *, lost: int = 0) -> MemoryLink:
        """A link whose other end is the hub, which loses its first answers."""
        link, admission, left = MemoryLink(), Admission(self.hub), [lost]

        def hears(topic: str, payload: bytes) -> None:
            assert parse(topic).kind is Kind.ENROL_REQUEST
            out = admission.answer(topic, payload)
            left[0] -= 1
            if left[0] < 0 and out.topic in link.topics:
                link.inbox.append(Arrived(out.topic, out.payload))

        link.on_publish = hears
        return link

    def joined(self, claim: Claim, link: MemoryLink, device: str = DEVICE) -> identity.Identity:
        rows = rows_in(self.store)
        fresh = enrol.begin(rows, claim, "localhost", 8883, device, self.clock.now_s)

        def clock() -> float:
            self.clock.now_s += 1.0
            return self.clock.now_s

        return enrol.enrol(rows, fresh, claim, link, now=self.clock, clock=clock)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    clock = Clock()
    hub = Hub.create(f"sqlite:///{tmp_path}/hub.db", tmp_path / "secret", clock)
    hub.create_tenant("main", "cli")
    with closing(Store(tmp_path / "state")) as store:
        yield Site(hub, clock, store)
    hub.close()


def test_a_device_joins_and_its_key_never_leaves(site: Site) -> None:
    claim, link = site.claim(), site.link()
    done = site.joined(claim, link)
    assert (done.device, done.tenant, done.cohort, done.enrolled) == (DEVICE, "main", "default", True)
    assert identity.load(rows_in(site.store)) == done
    identity.check(done.certificate, done.key, DEVICE, done.ca)
    identity.context(done.ca, done.certificate, done.key)
    assert done.renew_s == pytest.approx(site.clock.now_s + DEVICE_CERT_S / 2, abs=400)
    secret = done.key.splitlines()[1].encode()
    assert all(secret not in payload and b"PRIVATE" not in payload for _, payload, *_ in link.sent)
    for file in site.store.path.parent.iterdir():
        assert secret not in file.read_bytes()


def test_an_answer_that_is_lost_or_a_process_that_dies_costs_no_claim(site: Site) -> None:
    claim = site.claim(uses=1)
    with pytest.raises(LinkError, match="does not answer"):
        site.joined(claim, site.link(lost=99))  # killed after the hub has signed
    done = site.joined(claim, site.link(lost=3))
    assert done.enrolled


@pytest.mark.parametrize("device", [DEVICE, "other-1"])
def test_a_state_joins_once(site: Site, device: str) -> None:
    claim = site.claim(uses=5)
    site.joined(claim, site.link())
    with pytest.raises(UsageError, match="enrolled already"):
        site.joined(claim, site.link(), device)
    site.clock.now_s += DEVICE_CERT_S + 10.0  # too long away: its certificate is no good any more
    assert site.joined(site.claim(), site.link(), device).device == device


def test_a_refusal_is_said_with_its_remedy(site: Site, tmp_path: Path) -> None:
    claim = site.claim(uses=1)
    site.joined(claim, site.link())
    with closing(Store(tmp_path / "second")) as store:
        second = Site(site.hub, site.clock, store)
        with pytest.raises(AccessError, match="claim-spent") as caught:
            second.joined(claim, site.link(), "pump-8")
        assert "new claim token" in caught.value.remedy
        with pytest.raises(AccessError, match="device-known"):
            second.joined(site.claim(), site.link(), DEVICE)


def test_a_certificate_for_another_key_or_of_another_authority_is_refused(site: Site) -> None:
    done = site.joined(site.claim(), site.link())
    other = identity.new_key()
    for certificate, key, device in (
        (done.certificate, other, DEVICE),
        (done.certificate, done.key, "pump-8"),
        (site.hub.authority("main").certificate, done.key, DEVICE),
        ("nonsense", done.key, DEVICE),
    ):
        with pytest.raises(AccessError):
            identity.check(certificate, key, device, done.ca)
    site.hub.create_tenant("other", "cli")
    with pytest.raises(AccessError):
        identity.check(done.certificate, done.key, DEVICE, site.hub.authority("other").certificate)
    with pytest.raises(UsageError):
        identity.context(done.ca, done.certificate, other)


def test_an_answer_that_makes_no_sense_is_refused(site: Site) -> None:
    claim = site.claim()
    for payload in (
        b"nonsense",
        message(Kind.ENROL_RESPONSE, EnrolResponse(device=DEVICE, certificate=claim.certificate)),
    ):
        link = MemoryLink()

        def hears(topic: str, _payload: bytes, link: MemoryLink = link, answer: bytes = payload) -> None:
            nonce = parse(topic).values["nonce"]
            link.inbox.append(Arrived(build("main", Kind.ENROL_RESPONSE, nonce=nonce), answer))

        link.on_publish = hears
        with pytest.raises(AccessError):
            site.joined(claim, link)
    known = identity.load(rows_in(site.store))
    assert known is not None
    assert not known.enrolled


@pytest.mark.parametrize("part", ["token", "ca", "credential"])
def test_what_is_missing_is_named(site: Site, part: str) -> None:
    claim = site.claim()
    texts = {"token": claim.token, "ca": claim.ca, "credential": claim.certificate + claim.key}
    with pytest.raises(UsageError, match=part):
        enrol.claim_of(**(texts | {part: "nothing"}))


def renewed(site: Site, renewal: Renewal) -> list[Certificate]:
    """Let the device ask and the hub answer through its ingest."""
    asked: list[Event] = []
    site.clock.now_s += 1.0
    renewal.tend(asked.append)
    ingest = Ingest(site.hub, Retention())
    for at, body in enumerate(asked):
        payload = message(Kind.UP, body, sender=DEVICE, boot=f"{int(site.clock.now_s):016x}", sequence=at + 1)
        ingest.commit([read(up_topic("main", DEVICE), payload)])
    with site.hub.database.write() as rows:
        due = outbox.due(rows, "main", site.clock.now_s, 10)
        outbox.sent(rows, [row.place for row in due], site.clock.now_s)
    return [decode(row.payload, Kind.COMMAND).body for row in due]


def test_the_next_certificate_comes_at_half_of_the_life(site: Site) -> None:
    done = site.joined(site.claim(), site.link())
    rows = rows_in(site.store)
    renewal = Renewal(rows, done, site.clock)
    assert renewed(site, renewal) == []
    site.clock.now_s = done.renew_s + 1
    (answer,) = renewed(site, renewal)
    assert renewed(site, renewal) == []  # it has asked already
    again = Renewal(rows, identity.load(rows) or done, site.clock)  # the answer was lost, the device starts again
    (same,) = renewed(site, again)
    assert same.certificate == answer.certificate
    assert not again.renewed(msgspec.structs.replace(same, certificate=done.certificate))
    assert again.renewed(same)
    assert not again.renewed(same)
    now = again.identity
    assert now == identity.load(rows)
    assert (now.key != done.key, now.next_key, now.renew_s > done.renew_s) == (True, "", True)
    identity.check(now.certificate, now.key, DEVICE, now.ca)
    assert renewed(site, again) == []


def test_a_request_is_never_without_its_key_on_the_disk(site: Site) -> None:
    done = site.joined(site.claim(), site.link())
    site.clock.now_s = done.renew_s + 1
    rows = rows_in(site.store)
    renewal = Renewal(rows, done, site.clock)

    def dies(body: Event) -> None:
        assert isinstance(body, Renew)
        kept = identity.load(rows)
        assert kept is not None
        assert body.request.startswith("-----BEGIN CERTIFICATE REQUEST")
        assert kept.next_key
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        renewal.tend(dies)


def test_a_damaged_identity_is_said(site: Site) -> None:
    rows_in(site.store).keep(identity.FACT, b"\xff")
    with pytest.raises(CorruptStateError, match="identity"):
        identity.load(rows_in(site.store))
