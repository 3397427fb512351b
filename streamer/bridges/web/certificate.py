"""A certificate and a token of this machine's own, made when they are first needed.

Browsers hand out motion sensors on HTTPS only. A certificate that nobody has signed makes them ask once; it holds the
names and addresses by which phones find this machine.
"""

import ipaddress
import secrets
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from platformdirs import user_data_path

from kinestream.model.files import write_whole

_DAYS = 397  # what browsers accept
_RENEW = timedelta(days=14)


def own_folder() -> Path:
    """Return where the certificate, its key and the token are kept, readable by their owner only."""
    folder = user_data_path("kinestream") / "bridge"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def own_token(folder: Path) -> str:
    """Return the token that keeps strangers out; the same again, so that a phone's bookmark keeps working."""
    path = folder / "token"
    if path.is_file():
        token = path.read_text().strip()
        if len(token) >= 16:
            return token
    token = secrets.token_urlsafe(12)
    write_whole(path, token.encode(), private=True)
    return token


def own_certificate(folder: Path, addresses: list[str]) -> tuple[Path, Path]:
    """Return the files of a certificate for these addresses, and of its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not (certificate.is_file() and key.is_file() and _serves(certificate, addresses)):
        _make(certificate, key, addresses)
    return certificate, key


def addresses_of_machine() -> list[str]:
    """Return the addresses by which others find this machine, the likeliest first; no packet is sent for it."""
    found = []
    for family, somewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):  # for documentation
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            try:
                asked.connect((somewhere, 9))
                found.append(asked.getsockname()[0])
            except OSError:
                continue
    return [*found, "127.0.0.1"]


def _serves(path: Path, addresses: list[str]) -> bool:
    from cryptography import x509

    try:
        known = x509.load_pem_x509_certificate(path.read_bytes())
        names = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        there = {str(each) for each in names.get_values_for_type(x509.IPAddress)}
    except (ValueError, x509.ExtensionNotFound):
        return False
    return set(addresses) <= there and known.not_valid_after_utc - _RENEW > datetime.now(UTC)


def _make(certificate: Path, key: Path, addresses: list[str]) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kinestream bridge")])
    host = socket.gethostname()
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    if host.isascii() and host.replace("-", "").replace(".", "").isalnum():
        names += [x509.DNSName(host), x509.DNSName(f"{host.partition('.')[0]}.local")]
    names += [x509.IPAddress(ipaddress.ip_address(each)) for each in dict.fromkeys(addresses)]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a phone's clock may be behind
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    encoded = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_whole(key, encoded, private=True)
    write_whole(certificate, made.public_bytes(serialization.Encoding.PEM))
