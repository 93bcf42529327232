"""The envelope: seals a batch file for DOKU, opens a report that DOKU sealed for the merchant.

A file is `LLLL` + wrapped key + data [ABU, certain there; BU in fewer words]:

1. The key (DOKU: SALT) is 32 random letters and digits, used as the 32 bytes of an AES-256 key; a fresh one for each
   file.
2. The wrapped key is the RSA encryption of these 32 bytes. "No padding" is textbook RSA: zeros fill the block on the
   left (inferred from Java's `RSA/ECB/NoPadding`).
3. The data is AES in ECB with PKCS7 padding; there is no IV and no authentication, so an altered envelope may open to
   altered lines: only the counts and totals inside the file show it.
4. `LLLL` is the length of the wrapped key as written, in decimal. A reader trusts it, never a constant.

Everything streams: memory is bounded by the size of the chunks that come in. `docs/envelope.md` does the same with
openssl.
"""

import binascii
import re
import secrets
import string
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from include.doku.keys import PrivateKey, PublicKey
from include.domain.errors import EnvelopeError
from include.schemas.envelope import EnvelopeSpec

SALT_LENGTH: Final = 32
BLOCK: Final = 16
SNIFF_BYTES: Final = 8192
"""How much of a file `looks_sealed` wants to see."""

_ALPHABET: Final = string.ascii_letters + string.digits
_ALIGNED: Final = 48 * 16384
"""Bytes sealed at a time: a multiple of 48, so that AES blocks and base64 quanta both end there."""

_MAX_WRAPPED: Final = 4096
"""Longest wrapped key that is believed: RSA-16384 in hex."""

_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]*")
_RSA_SIZES: Final = frozenset({128, 192, 256, 384, 512, 1024, 2048})


def seal(chunks: Iterable[bytes], public_key: PublicKey, spec: EnvelopeSpec) -> Iterator[bytes]:
    """Seal plaintext for the owner of a public key.

    Args:
        chunks: The plaintext, in pieces of any size.
        public_key: DOKU's key.
        spec: Which variant.

    Yields:
        The envelope, in pieces. The key inside is made anew for every call, so no two envelopes are equal.

    Raises:
        EnvelopeError: The wrapped key's length does not fit into the prefix.
    """
    salt = _new_salt()
    wrapped = _wrap(salt, public_key, spec)
    written = _encoder(spec.key_encoding)(wrapped)
    length = str(len(written) if spec.prefix_counts == "encoded" else len(wrapped))
    if len(length) > spec.prefix_width:
        raise EnvelopeError(
            f"the wrapped key's length {length} does not fit into a prefix of {spec.prefix_width} digits; widen"
            " envelope.prefix_width as DOKU says"
        )
    yield length.rjust(spec.prefix_width, "0").encode("ascii") + written
    encode = _encoder(spec.data_encoding)
    for piece in _aligned(_encrypted(chunks, salt, spec), _ALIGNED):
        yield encode(piece)


def open_envelope(chunks: Iterable[bytes], private_key: PrivateKey, spec: EnvelopeSpec) -> Iterator[bytes]:
    """Open an envelope that was sealed for the merchant.

    Args:
        chunks: The envelope, in pieces of any size.
        private_key: The merchant's key.
        spec: Which variant.

    Yields:
        The plaintext, in pieces. Only after the last piece is it known that the envelope was whole.

    Raises:
        EnvelopeError: No length in front, cut, altered, sealed for another key, or of another variant.
    """
    stream = _Stream(chunks)
    salt = _unwrap(_read_wrapped(stream, private_key, spec), private_key, spec)
    yield from _decrypted(_decoded(stream.rest(), spec.data_encoding), salt, spec)


def looks_sealed(first_bytes: bytes, spec: EnvelopeSpec | None = None) -> bool:
    """Whether a file begins like an envelope of this variant: a length, a wrapped key of an RSA size, encoded data.

    Args:
        first_bytes: The first `SNIFF_BYTES` bytes of the file, or all of a shorter one.
        spec: Which variant; default: the ABU page's.

    Lines of a plaintext cannot be taken for one: they have a line end or a delimiter where the wrapped key would be.
    """
    spec = spec or EnvelopeSpec()
    prefix = first_bytes[: spec.prefix_width]
    if len(prefix) < spec.prefix_width or not prefix.isdigit():
        return False
    length = _written_length(int(prefix), spec)
    written = first_bytes[spec.prefix_width : spec.prefix_width + length]
    data = first_bytes[spec.prefix_width + length :].translate(None, b"\r\n")
    if not 0 < length <= _MAX_WRAPPED or len(written) < length or not data:
        return False
    try:
        wrapped = _decode_whole(written, spec.key_encoding)
    except EnvelopeError:
        return False
    allowed = {"base64": _BASE64, "hex": _HEX}.get(spec.data_encoding)
    return len(wrapped) in _RSA_SIZES and (allowed is None or allowed.fullmatch(data) is not None)


def _new_salt() -> bytes:
    """32 random letters and digits [ABU, certain]; about 190 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(SALT_LENGTH)).encode("ascii")


# --- the wrapped key ---


def _wrap(salt: bytes, public_key: PublicKey, spec: EnvelopeSpec) -> bytes:
    if spec.rsa_padding == "none":
        numbers = public_key.key.public_numbers()
        # The library offers no unpadded RSA, rightly: it is what DOKU's pages ask for all the same.
        return pow(int.from_bytes(salt, "big"), numbers.e, numbers.n).to_bytes(public_key.size, "big")
    return public_key.key.encrypt(salt, _PADDINGS[spec.rsa_padding]())


def _unwrap(wrapped: bytes, private_key: PrivateKey, spec: EnvelopeSpec) -> bytes:
    wrong_key = (
        f"the key in the envelope cannot be unwrapped with {private_key.origin}: it was sealed for another key, "
        f"with another"
        " RSA padding, or altered; check the key that DOKU has of you, and the profile's envelope settings"
    )
    if spec.rsa_padding != "none":
        try:
            salt = private_key.key.decrypt(wrapped, _PADDINGS[spec.rsa_padding]())
        except ValueError:
            raise EnvelopeError(wrong_key) from None
        if len(salt) != SALT_LENGTH:
            raise EnvelopeError(wrong_key)
        return salt
    numbers = private_key.key.private_numbers()
    number = int.from_bytes(wrapped, "big")
    if number >= numbers.public_numbers.n:
        raise EnvelopeError(wrong_key)
    block = pow(number, numbers.d, numbers.public_numbers.n).to_bytes(private_key.size, "big")
    if any(block[:-SALT_LENGTH]):
        raise EnvelopeError(wrong_key)
    return block[-SALT_LENGTH:]


def _read_wrapped(stream: "_Stream", private_key: PrivateKey, spec: EnvelopeSpec) -> bytes:
    prefix = stream.take(spec.prefix_width)
    if len(prefix) < spec.prefix_width or not prefix.isdigit():
        raise EnvelopeError(
            f"the file does not begin with a length of {spec.prefix_width} digits, so it is not an envelope of this "
            f"kind;"
            " check whether it is plain text, and the profile's envelope settings"
        )
    length = _written_length(int(prefix), spec)
    if not 0 < length <= _MAX_WRAPPED:
        raise EnvelopeError(
            f"the envelope claims a wrapped key of {int(prefix)}, which no RSA key gives; it is not an envelope"
        )
    written = stream.take(length)
    if len(written) < length:
        raise EnvelopeError("the envelope ends inside its wrapped key; fetch the file again, it is cut")
    wrapped = _decode_whole(written, spec.key_encoding)
    if len(wrapped) != private_key.size:
        raise EnvelopeError(
            f"the envelope's key was wrapped for an RSA key of {len(wrapped) * 8} bits, and {private_key.origin} has"
            f" {private_key.bits}; check which key DOKU has of you, and the profile's envelope settings"
        )
    return wrapped


def _written_length(prefix: int, spec: EnvelopeSpec) -> int:
    """Characters of the wrapped key in the file, from the number in front."""
    if spec.prefix_counts == "encoded":
        return prefix
    return {"base64": (prefix + 2) // 3 * 4, "hex": prefix * 2, "raw": prefix}[spec.key_encoding]


_PADDINGS: Final[dict[str, Callable[[], rsa_padding.AsymmetricPadding]]] = {
    "pkcs1v15": rsa_padding.PKCS1v15,
    "oaep-sha1": lambda: rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),  # noqa: S303
    "oaep-sha256": lambda: rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA256()), hashes.SHA256(), None),
}


# --- the data ---


def _encrypted(chunks: Iterable[bytes], salt: bytes, spec: EnvelopeSpec) -> Iterator[bytes]:
    iv = secrets.token_bytes(BLOCK) if spec.aes_mode == "cbc" and spec.cbc_iv == "prefixed" else bytes(BLOCK)
    if spec.aes_mode == "cbc" and spec.cbc_iv == "prefixed":
        yield iv
    padder, encryptor = PKCS7(BLOCK * 8).padder(), _cipher(salt, iv, spec).encryptor()
    for chunk in chunks:
        yield encryptor.update(padder.update(chunk))
    yield encryptor.update(padder.finalize()) + encryptor.finalize()


def _decrypted(pieces: Iterator[bytes], salt: bytes, spec: EnvelopeSpec) -> Iterator[bytes]:
    decryptor: CipherContext | None = None
    unpadder, held, size = PKCS7(BLOCK * 8).unpadder(), b"", 0
    for piece in pieces:
        ready = held + piece if held else piece
        held = b""
        if decryptor is None:
            iv = bytes(BLOCK)
            if spec.aes_mode == "cbc" and spec.cbc_iv == "prefixed":
                if len(ready) < BLOCK:
                    held = ready
                    continue
                iv, ready = ready[:BLOCK], ready[BLOCK:]
            decryptor = _cipher(salt, iv, spec).decryptor()
        size += len(ready)
        plain = unpadder.update(decryptor.update(ready))
        if plain:
            yield plain
    if decryptor is None or size == 0 or size % BLOCK:
        raise EnvelopeError(
            "the envelope's data does not end on a whole AES block; fetch the file again, it is cut or altered"
        )
    try:
        yield unpadder.update(decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        raise EnvelopeError(
            "the envelope's data does not end as AES with PKCS7 padding ends; fetch the file again, it is cut or "
            "altered, or"
            " check the profile's envelope settings"
        ) from None


def _cipher(salt: bytes, iv: bytes, spec: EnvelopeSpec) -> Cipher[modes.ECB | modes.CBC]:
    return Cipher(algorithms.AES(salt), modes.ECB() if spec.aes_mode == "ecb" else modes.CBC(iv))  # noqa: S305


# --- encodings ---


def _encoder(encoding: str) -> Callable[[bytes], bytes]:
    if encoding == "base64":
        return lambda piece: binascii.b2a_base64(piece, newline=False)
    return binascii.hexlify if encoding == "hex" else bytes


def _decode_whole(text: bytes, encoding: str) -> bytes:
    """Decode all of a text at once, strictly.

    Raises:
        EnvelopeError: It is not in that encoding.
    """
    try:
        if encoding == "base64":
            return binascii.a2b_base64(text, strict_mode=True)
        return binascii.unhexlify(text) if encoding == "hex" else text
    except (binascii.Error, ValueError):
        raise EnvelopeError(
            f"the envelope is not {encoding} where it should be; fetch the file again, it is cut or altered, or "
            f"check the"
            " profile's envelope settings"
        ) from None


def _decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Decode a stream. Line ends inside base64 or hex are skipped: some encoders break lines."""
    if encoding == "raw":
        yield from chunks
        return
    quantum = 4 if encoding == "base64" else 2
    texts = (chunk.translate(None, b"\r\n") for chunk in chunks)
    ended = False
    for text in _aligned(texts, quantum):
        if ended and text:
            raise EnvelopeError("the envelope goes on after the end of its data; fetch the file again, it is altered")
        piece = _decode_whole(text, encoding)
        ended = ended or text.endswith(b"=")
        yield piece


def _aligned(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes, cut at multiples of `size`; only the last piece may end elsewhere."""
    held: list[bytes] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= size:
            joined = b"".join(held)
            whole = length - length % size
            yield joined[:whole]
            held, length = [joined[whole:]], length - whole
    if length:
        yield b"".join(held)


class _Stream:
    """A stream of chunks from which a known number of bytes can be taken first."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b""

    def take(self, count: int) -> bytes:
        """The next `count` bytes; fewer at the end."""
        while len(self._held) < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._held += chunk
        taken, self._held = self._held[:count], self._held[count:]
        return taken

    def rest(self) -> Iterator[bytes]:
        """All that is left."""
        if self._held:
            yield self._held
            self._held = b""
        yield from self._chunks
