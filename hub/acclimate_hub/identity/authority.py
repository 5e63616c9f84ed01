"""The certificate authority of a tenant: its own key, certificates of devices and services, lists of revoked ones.

A device's certificate has its id as common name and the tenant as organisation; nothing else of a request is believed.
Keys are EC P-256 or Ed25519, which brokers on OpenSSL accept. The authority's key is kept encrypted with the secret of
the hub; a device's key never comes here. Every tenant has an authority of its own, so that a certificate of one opens
nothing of another.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from acclimate_hub import limits
from acclimate_shared.errors import AccessError, StateError

#: Names of services begin with a character that no device's id can have.
HUB, CLAIM, BROKER = "_hub", "_claim", "_broker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate that was signed; ``serial`` in hex, ``key_digest`` the SHA-256 of its public key."""

    serial: str
    name: str
    key_digest: str
    pem: str
    issued_s: float
    expires_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Certificate and private key of a service of the hub, both PEM."""

    certificate: Issued
    key: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose signature is right: the name it asks for and its public key."""

    name: str
    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

    @property
    def key_digest(self) -> str:
        """SHA-256 of the public key."""
        return _key_digest(self.key)


def read_request(pem: str) -> Request:
    """Read a certificate signing request.

    Raises:
        AccessError: it is damaged, not signed by its key, or has another kind of key or more than one name.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        good = request.is_signature_valid
        names = [str(one.value) for one in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as exc:
        raise AccessError("the request for a certificate cannot be read", field="request") from exc
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise AccessError("the key is of another kind", field="request", remedy="use EC P-256 or Ed25519")
    if isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(key.curve, ec.SECP256R1):
        raise AccessError("the key is on another curve", field="request", value=key.curve.name, remedy="use P-256")
    if not good or len(names) != 1:
        raise AccessError("the request is not signed by its key for one name", field="request")
    return Request(names[0], key)


class Authority:
    """Signs for one tenant."""

    def __init__(self, tenant: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        """Use what ``create`` or ``load`` has made."""
        self.tenant, self._certificate, self._key = tenant, certificate, key

    @classmethod
    def create(cls, tenant: str, now_s: float) -> "Authority":
        """Make a new authority with a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(tenant, f"{tenant} authority")
        builder = _builder(name, name, key.public_key(), now_s, limits.CA_CERT_S)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        return cls(tenant, builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, tenant: str, certificate: str, key: str, secret: bytes) -> "Authority":
        """Load an authority.

        Args:
            tenant: whose it is.
            certificate: PEM.
            key: PEM, encrypted.
            secret: of the hub.

        Raises:
            StateError: the secret is not the one that the key was encrypted with.
        """
        try:
            found = serialization.load_pem_private_key(key.encode(), password=secret)
            loaded = x509.load_pem_x509_certificate(certificate.encode())
        except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
            remedy = "give the secret file that was made with it"
            raise StateError("the authority's key cannot be opened", field="secret", remedy=remedy) from exc
        if not isinstance(found, ec.EllipticCurvePrivateKey) or found.public_key() != loaded.public_key():
            raise StateError("the authority's key is another one", field="secret")
        return cls(tenant, loaded, found)

    @property
    def certificate(self) -> str:
        """PEM."""
        return _pem(self._certificate)

    def sealed_key(self, secret: bytes) -> str:
        """Return the key as PEM, encrypted with the secret of the hub."""
        kind = serialization.BestAvailableEncryption(secret)
        sealed = self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kind)
        return sealed.decode()

    def sign_device(self, request: Request, now_s: float, life_s: float = limits.DEVICE_CERT_S) -> Issued:
        """Sign the key of a request for the device that it names."""
        return self._sign(request.name, request.key, now_s, life_s, server_hosts=())

    def service(self, name: str, now_s: float, hosts: Sequence[str] = ()) -> Service:
        """Make key and certificate of a service; a broker has the hosts that it answers for."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = self._sign(name, key.public_key(), now_s, limits.BROKER_CERT_S, server_hosts=hosts)
        plain = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Service(certificate=issued, key=plain.decode())

    def _sign(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
        now_s: float,
        life_s: float,
        *,
        server_hosts: Sequence[str],
    ) -> Issued:
        life_s = min(life_s, self._certificate.not_valid_after_utc.timestamp() - now_s)
        builder = _builder(_name(self.tenant, name), self._certificate.subject, key, now_s, life_s)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        kind = ExtendedKeyUsageOID.SERVER_AUTH if server_hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([kind]), critical=False)
        if server_hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in server_hosts])
            builder = builder.add_extension(names, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        return Issued(
            serial=f"{signed.serial_number:x}",
            name=name,
            key_digest=_key_digest(key),
            pem=_pem(signed),
            issued_s=now_s,
            expires_s=now_s + life_s,
        )

    def revocation_list(self, revoked: Sequence[tuple[int, float]], number: int, now_s: float) -> str:
        """Return a list of revoked certificates as PEM.

        Args:
            revoked: serial number and time of each.
            number: larger than that of every list before.
            now_s: seconds since 1970.
        """
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._certificate.subject)
        builder = builder.last_update(_time(now_s - limits.CLOCK_SKEW_S)).next_update(_time(now_s + limits.CRL_S))
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        for serial, revoked_s in revoked:
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_time(revoked_s))
            builder = builder.add_revoked_certificate(one.build())
        signed = builder.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
    now_s: float,
    life_s: float,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer_name=issuer, subject_name=subject, public_key=key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(_time(now_s - limits.CLOCK_SKEW_S)).not_valid_after(_time(now_s + life_s))


def _name(tenant: str, name: str) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, tenant)
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _time(time_s: float) -> datetime:
    return datetime.fromtimestamp(int(time_s), UTC)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_digest(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()
