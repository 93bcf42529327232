"""Fingerprints of tokens: what an instrument is counted by, and known by when its token is long gone."""

import hmac
from typing import Final

LENGTH: Final = 32


def token_fingerprint(key: bytes, token: str) -> str:
    """HMAC-SHA256 of a token, cut to 128 bits, in hex: the same token has the same one in one ledger, and only there.

    Args:
        key: The ledger's own (`Ledger.fingerprint_key`).
        token: As it stands in the view.
    """
    return hmac.digest(key, token.encode(), "sha256").hex()[:LENGTH]
