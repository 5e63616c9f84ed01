"""Who a device is to its hub: a key that was made here and never leaves, and the certificate that the hub gave for it.

The only file of the link that touches ``cryptography``. Key and certificate are one sealed fact of the state. TLS wants
the key in a file: it gets one for a moment, encrypted under a password that is drawn for that moment.
"""

import os
import secrets
import ssl
import tempfile
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from acclimate_device.fleet_rows import FleetRows
from acclimate_shared.errors import AccessError, CorruptStateError, UsageError

FACT = "identity"
Context = ssl.SSLContext


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What an enrolled device knows; PEM texts.

    Attributes:
        ca: certificates by which the broker is recognised.
        key: of the present certificate; ``next_key`` of the one that was asked for, empty if none was.
        renew_s: when the next one is asked for, seconds since 1970.
    """

    host: str
    port: int
    tenant: str
    device: str
    cohort: str
    ca: str
    certificate: str = ""
    key: str
    renew_s: float = 0.0
    next_key: str = ""

    @property
    def enrolled(self) -> bool:
        """Whether there is a certificate."""
        return bool(self.certificate)


def load(rows: FleetRows) -> Identity | None:
    """Return who the device is, None if it was never about to enrol.

    Raises:
        CorruptStateError: what is kept is damaged.
    """
    kept = rows.fact(FACT)
    try:
        return msgspec.msgpack.decode(kept, type=Identity) if kept else None
    except msgspec.MsgspecError as exc:
        raise CorruptStateError("the identity is damaged", field=FACT, remedy="enrol again") from exc


def save(rows: FleetRows, identity: Identity) -> None:
    """Keep who the device is, sealed."""
    rows.keep(FACT, msgspec.msgpack.encode(identity))


def new_key() -> str:
    """Return a new private key on P-256 as PEM, for the state alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def request(key: str, device: str) -> str:
    """Return a request for a certificate (PKCS 10, PEM) in the name of a device."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(_private(key), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _private(pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UsageError("the key is of another kind", field="key", remedy="use EC P-256")
    return key


def belongs(certificate: str, key: str) -> bool:
    """Return whether a certificate is for a key; not if one of them cannot be read."""
    try:
        return x509.load_pem_x509_certificate(certificate.encode()).public_key() == _private(key).public_key()
    except (ValueError, UnsupportedAlgorithm, UsageError):
        return False


def check(certificate: str, key: str, device: str, ca: str) -> None:
    """Check that a certificate is ours and from the authority that we know.

    Raises:
        AccessError: it is not; it is not used.
    """
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
        names = [one.value for one in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        ours = belongs(certificate, key) and names == [device]
        authorities = x509.load_pem_x509_certificates(ca.encode())
        signed = any(_signed(found, authority) for authority in authorities)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise AccessError("the certificate cannot be read", field="certificate") from exc
    if not ours or not signed:
        raise AccessError("the certificate is not for this key, or of another authority", field="certificate")


def _signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def expires_s(certificate: str) -> float:
    """Return the end of a certificate's life, seconds since 1970."""
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc.timestamp()


def tenant_of(certificate: str) -> str:
    """Return the tenant that a certificate names as its organisation.

    Raises:
        UsageError: it names none.
    """
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
        names = [str(one.value) for one in found.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    except ValueError as exc:
        raise UsageError("the certificate cannot be read", field="credential") from exc
    if len(names) != 1:
        remedy = "use claim.crt and claim.key of the hub"
        raise UsageError("the certificate is not one for claims", field="credential", remedy=remedy)
    return names[0]


def context(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """Return what TLS needs to know the broker and to show who we are.

    Args:
        ca: certificates (PEM) by which the broker is recognised, by its name too.
        certificate: ours, PEM.
        key: of it, PEM.

    Raises:
        UsageError: they cannot be used.
    """
    password = secrets.token_bytes(24).hex()
    lock = serialization.BestAvailableEncryption(password.encode())
    descriptor, name = -1, ""
    try:
        form = serialization.PrivateFormat.PKCS8
        locked = _private(key).private_bytes(serialization.Encoding.PEM, form, lock)
        descriptor, name = tempfile.mkstemp(prefix="acclimate-tls-")
        os.write(descriptor, certificate.encode() + b"\n" + locked)
        made = ssl.create_default_context(cadata=ca)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.load_cert_chain(name, password=password)
    except (OSError, ValueError, UnsupportedAlgorithm) as exc:
        remedy = "enrol again"
        raise UsageError(f"the certificate cannot be used: {exc}", field="certificate", remedy=remedy) from exc
    finally:
        if descriptor >= 0:
            os.close(descriptor)
            Path(name).unlink()
    return made
