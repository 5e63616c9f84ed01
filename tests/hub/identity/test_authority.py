import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from acclimate_hub import limits
from acclimate_hub.identity.authority import Authority, read_request
from acclimate_shared.errors import AccessError, StateError
from tests.hub.conftest import NOW
from tests.hub.identity.keys import new_key, request


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("main", NOW)


@pytest.mark.parametrize("ed", [False, True])
def test_a_device_gets_its_name_and_none_of_its_wishes(authority: Authority, ed: bool) -> None:
    key = new_key(ed=ed)
    issued = authority.sign_device(read_request(request(key, "gw-1")), NOW)
    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate.encode()))
    assert certificate.public_key() == key.public_key()
    assert [one.value for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["gw-1"]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert certificate.extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).critical is False
    assert certificate.not_valid_after_utc.timestamp() == NOW + limits.DEVICE_CERT_S == issued.expires_s
    assert int(issued.serial, 16) == certificate.serial_number


def test_weak_foreign_or_ambiguous_requests_are_refused() -> None:
    good = request(new_key(), "gw-1")
    damaged = good.replace(good[200:204], "AAAA" if good[200:204] != "AAAA" else "BBBB")
    bad = ["", "x", good[:-60], damaged, request(new_key(), "gw-1", "gw-2"), request(new_key())]
    bad += [
        request(ec.generate_private_key(ec.SECP384R1()), "gw-1"),
        request(rsa.generate_private_key(65537, 2048), "gw-1"),
    ]
    for pem in bad:
        with pytest.raises(AccessError):
            read_request(pem)


@given(st.binary(max_size=200))
def test_arbitrary_requests_are_refused(data: bytes) -> None:
    with pytest.raises(AccessError):
        read_request(data.decode("latin-1"))


def test_the_key_at_rest_opens_only_with_the_secret(authority: Authority) -> None:
    sealed = authority.sealed_key(b"secret")
    assert "ENCRYPTED" in sealed
    again = Authority.load("main", authority.certificate, sealed, b"secret")
    assert again.sign_device(read_request(request(new_key(), "a")), NOW).name == "a"
    other = Authority.create("other", NOW)
    for certificate, key, secret in (
        (authority.certificate, sealed, b"wrong"),
        (authority.certificate, sealed[:-40], b"secret"),
        (other.certificate, sealed, b"secret"),
    ):
        with pytest.raises(StateError):
            Authority.load("main", certificate, key, secret)


def test_a_revocation_list_names_the_revoked(authority: Authority) -> None:
    text = authority.revocation_list([(17, NOW - 5), (2**150, NOW)], 4, NOW)
    found = x509.load_pem_x509_crl(text.encode())
    assert {one.serial_number for one in found} == {17, 2**150}
    key = x509.load_pem_x509_certificate(authority.certificate.encode()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert found.is_signature_valid(key)
    assert found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 4
