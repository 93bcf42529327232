"""DOKU's end of the envelope: a second, independent reading of the ABU and Batch Upload pages.

A sealed file is: a decimal length, `prefix_width` characters wide; the wrapped key; the data. The key is 32 letters and
digits that serve as the AES-256 key as they are, wrapped by RSA. Written against DOKU's pages, never against the
merchant's code, so that a shared misunderstanding cannot hide.
"""

import base64
import binascii
import random
import string
from dataclasses import dataclass, fields
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY_CHARACTERS: Final = string.ascii_letters + string.digits
KEY_LENGTH: Final = 32
BLOCK: Final = 16


class BadEnvelopeError(Exception):
    """What was delivered cannot be opened; the message says at which step."""


@dataclass(frozen=True)
class EnvelopeForm:
    """Which of the variants that DOKU's pages allow is spoken.

    Attributes:
        key_encoding: base64, hex or raw: how the wrapped key is written.
        rsa_padding: none, pkcs1v15, oaep-sha1 or oaep-sha256.
        aes_mode: ecb, or cbc.
        cbc_iv: zero, or prefixed (16 random bytes in front of the ciphertext); read only for cbc.
        data_encoding: base64, hex or raw.
        prefix_width: How many digits the length in front has.
        prefix_counts: encoded: the length of the wrapped key as written; raw: its bytes before encoding.
    """

    key_encoding: str = "base64"
    rsa_padding: str = "none"
    aes_mode: str = "ecb"
    cbc_iv: str = "zero"
    data_encoding: str = "base64"
    prefix_width: int = 4
    prefix_counts: str = "encoded"

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> "EnvelopeForm":
        """Build a form from settings given as text or numbers.

        Raises:
            ValueError: An unknown setting, or a value that is not one of those listed above.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown envelope setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
        form = cls(**{key: int(value) if key == "prefix_width" else str(value) for key, value in values.items()})
        for name, allowed in _ALLOWED.items():
            if getattr(form, name) not in allowed:
                raise ValueError(f"envelope setting {name} is {getattr(form, name)!r}, not one of {', '.join(allowed)}")
        return form


_ALLOWED: Final = {
    "key_encoding": ("base64", "hex", "raw"),
    "rsa_padding": ("none", "pkcs1v15", "oaep-sha1", "oaep-sha256"),
    "aes_mode": ("ecb", "cbc"),
    "cbc_iv": ("zero", "prefixed"),
    "data_encoding": ("base64", "hex", "raw"),
    "prefix_counts": ("encoded", "raw"),
}


def seal(plain: bytes, public_key: RSAPublicKey, form: EnvelopeForm, rng: random.Random | None = None) -> bytes:
    """Seal a whole file; `rng` makes the key repeatable for tests, the default is the system's randomness."""
    rng = rng or random.SystemRandom()
    key = "".join(rng.choice(KEY_CHARACTERS) for _ in range(KEY_LENGTH)).encode("ascii")
    pad = BLOCK - len(plain) % BLOCK
    iv = b"" if form.aes_mode == "ecb" else rng.randbytes(BLOCK) if form.cbc_iv == "prefixed" else bytes(BLOCK)
    cipher = Cipher(algorithms.AES256(key), modes.ECB() if form.aes_mode == "ecb" else modes.CBC(iv)).encryptor()
    data = cipher.update(plain + bytes([pad]) * pad) + cipher.finalize()
    if form.aes_mode == "cbc" and form.cbc_iv == "prefixed":
        data = iv + data
    wrapped = _wrap(key, public_key, form.rsa_padding)
    written = _encode(wrapped, form.key_encoding)
    length = len(written) if form.prefix_counts == "encoded" else len(wrapped)
    return str(length).zfill(form.prefix_width).encode("ascii") + written + _encode(data, form.data_encoding)


def open_sealed(sealed: bytes, private_key: RSAPrivateKey, form: EnvelopeForm) -> bytes:
    """Open a whole sealed file.

    Raises:
        BadEnvelopeError: Anything that does not come out as one well padded plaintext.
    """
    prefix = sealed[: form.prefix_width]
    if len(prefix) < form.prefix_width or not prefix.isdigit():
        raise BadEnvelopeError(f"the first {form.prefix_width} characters are not a length")
    length = int(prefix)
    if form.prefix_counts == "raw":
        length = {"base64": -(-length // 3) * 4, "hex": length * 2, "raw": length}[form.key_encoding]
    end = form.prefix_width + length
    if not length or len(sealed) < end:
        raise BadEnvelopeError("the file ends inside the wrapped key")
    wrapped = _decode(sealed[form.prefix_width : end], form.key_encoding, "wrapped key")
    key = _unwrap(wrapped, private_key, form.rsa_padding)
    data = _decode(sealed[end:], form.data_encoding, "data")
    iv = bytes(BLOCK)
    if form.aes_mode == "cbc" and form.cbc_iv == "prefixed":
        iv, data = data[:BLOCK], data[BLOCK:]
    if not data or len(data) % BLOCK or len(iv) != BLOCK:
        raise BadEnvelopeError("the encrypted data is not a whole number of blocks")
    cipher = Cipher(algorithms.AES256(key), modes.ECB() if form.aes_mode == "ecb" else modes.CBC(iv)).decryptor()
    plain = cipher.update(data) + cipher.finalize()
    pad = plain[-1]
    if not 1 <= pad <= BLOCK or plain[-pad:] != bytes([pad]) * pad:
        raise BadEnvelopeError("the padding after decryption is wrong: another key, or a broken file")
    return plain[:-pad]


def _wrap(key: bytes, public_key: RSAPublicKey, rsa_padding: str) -> bytes:
    if rsa_padding == "none":
        numbers = public_key.public_numbers()
        value = pow(int.from_bytes(key, "big"), numbers.e, numbers.n)
        return value.to_bytes((public_key.key_size + 7) // 8, "big")
    return public_key.encrypt(key, _padding(rsa_padding))


def _unwrap(wrapped: bytes, private_key: RSAPrivateKey, rsa_padding: str) -> bytes:
    size = (private_key.key_size + 7) // 8
    if len(wrapped) != size:
        raise BadEnvelopeError(f"the wrapped key has {len(wrapped)} bytes, the key pair {size}")
    if rsa_padding == "none":
        numbers = private_key.private_numbers()
        modulus = numbers.public_numbers.n
        value = int.from_bytes(wrapped, "big")
        if value >= modulus:
            raise BadEnvelopeError("the wrapped key is not of our key pair")
        block = pow(value, numbers.d, modulus).to_bytes(size, "big")
        if any(block[:-KEY_LENGTH]):
            raise BadEnvelopeError("the wrapped key is not of our key pair")
        key = block[-KEY_LENGTH:]
    else:
        try:
            key = private_key.decrypt(wrapped, _padding(rsa_padding))
        except ValueError:
            raise BadEnvelopeError("the wrapped key is not of our key pair") from None
    if len(key) != KEY_LENGTH or not (key.isascii() and key.isalnum()):
        raise BadEnvelopeError("the unwrapped key is not 32 letters and digits")
    return key


def _padding(name: str) -> Any:
    if name == "pkcs1v15":
        return padding.PKCS1v15()
    digest: hashes.HashAlgorithm = hashes.SHA1() if name == "oaep-sha1" else hashes.SHA256()
    return padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)


def _encode(data: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return base64.b64encode(data)
    return data.hex().encode("ascii") if encoding == "hex" else data


def _decode(data: bytes, encoding: str, what: str) -> bytes:
    try:
        if encoding == "base64":
            return base64.b64decode(data, validate=True)
        return binascii.unhexlify(data) if encoding == "hex" else data
    except (binascii.Error, ValueError):
        raise BadEnvelopeError(f"the {what} is not {encoding}") from None
