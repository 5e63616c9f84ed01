"""Keys and requests as a device makes them."""

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID


def new_key(*, ed: bool = False) -> Any:
    return ed25519.Ed25519PrivateKey.generate() if ed else ec.generate_private_key(ec.SECP256R1())


def request(key: Any, *names: str) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    wish = x509.BasicConstraints(ca=True, path_length=None)  # what no device gets
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(wish, critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: Any) -> str:
    kind = serialization.NoEncryption()
    return str(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kind).decode())
