"""Stems of invoice numbers and fingerprints of tokens for whole columns: as the functions of one, many times faster."""

import hashlib
from binascii import hexlify
from collections.abc import Callable
from typing import Any, Final

import numpy as np  # noqa: TID253 - this module is about columns
import pyarrow as pa  # noqa: TID253

from include.domain import fingerprints, invoice_numbers

_DIGEST: Final = 32
_LETTERS: Final = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", np.uint8)
"""Base 32 (RFC 4648)."""

_BLOCK: Final = 64
"""Of SHA-256, in bytes; HMAC fills its key up to it (RFC 2104)."""


def charge_stems(billing_source: str, charge_ids: Any) -> Any:
    """`charge_stem` of each id: Arrow strings; null for null."""
    begun = f"{billing_source}\x1f".encode()
    sha256 = hashlib.sha256
    digests = _digests(charge_ids, lambda text: sha256(begun + text).digest())
    length = invoice_numbers.LENGTH - 2
    bits = np.unpackbits(digests[:, : length * 5 // 8 + 1], axis=1)[:, : length * 5].reshape(-1, length, 5)
    return _fixed(_LETTERS[bits @ np.array([16, 8, 4, 2, 1], np.uint8)], charge_ids)


def token_fingerprints(key: bytes, tokens: Any) -> Any:
    """`token_fingerprint` of each token: Arrow strings; null for null."""
    filled = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in filled)) for pad in (0x36, 0x5C))

    def fingerprint(token: bytes) -> bytes:
        said, sealed = inner.copy(), outer.copy()
        said.update(token)
        sealed.update(said.digest())
        return sealed.digest()

    half = _digests(tokens, fingerprint)[:, : fingerprints.LENGTH // 2]
    written = np.frombuffer(hexlify(half.tobytes()), np.uint8).reshape(-1, fingerprints.LENGTH)
    return _fixed(written, tokens)


def _digests(texts: Any, digest: Callable[[bytes], bytes]) -> Any:
    """One row of bytes for each text; those of null mean nothing."""
    made = [digest(text or b"") for text in texts.cast(pa.binary()).to_pylist()]
    return np.frombuffer(b"".join(made), np.uint8).reshape(-1, _DIGEST)


def _fixed(characters: Any, texts: Any) -> Any:
    """Arrow strings of one length each, null where the texts are."""
    rows, length = len(texts), characters.shape[1]
    offsets = np.arange(0, length * (rows + 1), length, dtype=np.int32)
    present = None if texts.null_count == 0 else texts.is_valid().cast(pa.uint8())
    valid = None if present is None else pa.py_buffer(np.packbits(present.to_numpy(), bitorder="little").tobytes())
    data = np.ascontiguousarray(characters).tobytes()
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets.tobytes()), pa.py_buffer(data), valid)
