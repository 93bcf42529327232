"""RSA keys of the envelope: DOKU's public keys with their dates, and the merchant's own private key.

DOKU makes a key pair, shares the public key, and says that it must be changed every year or half-year [BU, certain].
Keys come as PEM text, as a certificate, or as the bare base64 that dashboards show.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from include.domain.errors import KeyFileError

MIN_BITS: Final = 1024
"""The smallest modulus taken: the batch page's "(128)" may mean RSA-1024 [BU, inferred]; the ABU page says 2048."""

MAX_BITS: Final = 16384
SALT_BITS: Final = 256


@dataclass(frozen=True)
class PublicKey:
    """A public key to seal for.

    Attributes:
        key: The key itself.
        origin: Where it came from, for messages.
        fingerprint: `SHA256:` and the base64 of the SHA-256 of its SubjectPublicKeyInfo (DER): the same whatever the
            file form.
    """

    key: RSAPublicKey = field(repr=False)
    origin: str
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", fingerprint_of(self.key))

    @property
    def bits(self) -> int:
        """Bits of the modulus."""
        return self.key.key_size

    @property
    def size(self) -> int:
        """Bytes of one RSA block."""
        return (self.bits + 7) // 8


@dataclass(frozen=True)
class PrivateKey:
    """The merchant's private key, to open reports with; it shows nothing of itself.

    Attributes:
        key: The key itself; never shown.
        origin: Where it came from, for messages.
        fingerprint: Of its public half, as in `PublicKey`.
    """

    key: RSAPrivateKey = field(repr=False)
    origin: str
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", fingerprint_of(self.key.public_key()))

    @property
    def bits(self) -> int:
        """Bits of the modulus."""
        return self.key.key_size

    @property
    def size(self) -> int:
        """Bytes of one RSA block."""
        return (self.bits + 7) // 8

    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(self.key.public_key(), self.origin)


@dataclass(frozen=True)
class DatedKey:
    """A public key and the days, both included, on which it may be used; `source` says where it is kept."""

    valid_from: date
    valid_until: date
    source: str


def fingerprint_of(key: RSAPublicKey) -> str:
    """`SHA256:` and the base64 of the SHA-256 of the key's SubjectPublicKeyInfo in DER, without `=`."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode("ascii").rstrip("=")


def load_public_key(pem: bytes, origin: str) -> PublicKey:
    """Read DOKU's public key.

    Args:
        pem: PEM (`PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`) or the bare base64 of the DER.
        origin: The file or setting it came from, for messages.

    Raises:
        KeyFileError: Not a key, a private key, not RSA, smaller than 1024 bits, or with an exponent so small that the
            key of a file could be computed from the file itself.
    """
    if b"PRIVATE KEY" in pem:
        raise KeyFileError(
            f"{origin} holds a private key where DOKU's public key belongs; put DOKU's key there, and remove the "
            f"private one"
        )
    if _is_ssh(pem):
        raise KeyFileError(f"{origin} holds an SSH key; ask DOKU for the encryption key in PEM form (BEGIN PUBLIC KEY)")
    try:
        key = _public_from(pem)
    except (ValueError, UnsupportedAlgorithm, binascii.Error, TypeError):
        raise KeyFileError(f"{origin} is not a public key in PEM form; take the file from DOKU again") from None
    if not isinstance(key, RSAPublicKey):
        raise KeyFileError(f"{origin} is not an RSA key; DOKU's envelope needs RSA, so take the file from DOKU again")
    _check_size(key.key_size, origin)
    numbers = key.public_numbers()
    if numbers.e * SALT_BITS <= key.key_size:
        raise KeyFileError(
            f"{origin} has the public exponent {numbers.e}: without padding anyone could undo it; ask DOKU for "
            f"another key"
        )
    return PublicKey(key, origin)


def load_private_key(pem: bytes, origin: str, password: bytes | str | None = None) -> PrivateKey:
    """Read the merchant's private key.

    Args:
        pem: PEM (`PRIVATE KEY`, `RSA PRIVATE KEY`, `ENCRYPTED PRIVATE KEY`) or the bare base64 of the DER.
        origin: The file or connection it came from, for messages.
        password: For an encrypted key.

    Raises:
        KeyFileError: Not a key, a public key, encrypted without (or with the wrong) password, not RSA, smaller than
            1024 bits.
    """
    _refuse_other_forms(pem, origin)
    secret = password.encode("utf-8") if isinstance(password, str) else password
    encrypted = b"ENCRYPTED" in pem
    if encrypted and not secret:
        raise KeyFileError(
            f"{origin} is an encrypted private key and no password is given; set it in the connection's password"
        )
    try:
        if b"-----BEGIN" in pem:
            key = load_pem_private_key(pem, secret if encrypted else None)
        else:
            key = load_der_private_key(_der_of(pem), None)
    except (ValueError, UnsupportedAlgorithm, binascii.Error, TypeError):
        what = "cannot be opened with the password given" if encrypted else "is not a private key in PEM form"
        raise KeyFileError(f"{origin} {what}; put the merchant's own RSA private key there") from None
    if not isinstance(key, RSAPrivateKey):
        raise KeyFileError(f"{origin} is not an RSA key; put the private half of the key given to DOKU there")
    _check_size(key.key_size, origin)
    return PrivateKey(key, origin)


def choose_key(candidates: Sequence[DatedKey], on: date) -> DatedKey:
    """The key to seal with on a day: of those valid on it, the one that became valid last.

    Raises:
        KeyFileError: None is valid (says which expired when), or two became valid on the same day.
    """
    valid = [key for key in candidates if key.valid_from <= on <= key.valid_until]
    if not valid:
        dates = "; ".join(f"{key.source} is valid from {key.valid_from} until {key.valid_until}" for key in candidates)
        raise KeyFileError(
            f"no public key of DOKU is valid on {on} ({dates or 'none is configured'}); get the current one from "
            f"DOKU and add it"
        )
    newest = max(key.valid_from for key in valid)
    chosen = [key for key in valid if key.valid_from == newest]
    if len(chosen) > 1:
        sources = " and ".join(key.source for key in chosen)
        raise KeyFileError(f"{sources} are both valid from {newest}; keep the one that DOKU uses, or mend the dates")
    return chosen[0]


def _public_from(pem: bytes) -> object:
    if b"BEGIN CERTIFICATE" in pem:
        return x509.load_pem_x509_certificate(pem).public_key()
    if b"-----BEGIN" in pem:
        return load_pem_public_key(pem)
    return load_der_public_key(_der_of(pem))


def _der_of(text: bytes) -> bytes:
    return base64.b64decode(b"".join(text.split()), validate=True)


def _is_ssh(pem: bytes) -> bool:
    return pem.lstrip().startswith((b"ssh-", b"ecdsa-", b"---- BEGIN SSH2")) or b"OPENSSH" in pem


def _refuse_other_forms(pem: bytes, origin: str) -> None:
    if b"OPENSSH PRIVATE KEY" in pem:
        raise KeyFileError(
            f"{origin} is in OpenSSH's own form; change it with: ssh-keygen -p -m PEM -f <a copy of the file>"
        )
    if b"PRIVATE KEY" not in pem and (b"PUBLIC KEY" in pem or b"CERTIFICATE" in pem or _is_ssh(pem)):
        raise KeyFileError(
            f"{origin} holds a public key where the merchant's private key belongs; put the private key there"
        )


def _check_size(bits: int, origin: str) -> None:
    if bits < MIN_BITS:
        raise KeyFileError(
            f"{origin} is an RSA key of {bits} bits, too small to protect money; use {MIN_BITS} bits at the very least"
        )
    if bits > MAX_BITS:
        raise KeyFileError(f"{origin} is an RSA key of {bits} bits; the largest that is taken has {MAX_BITS}")
