from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from include.doku.keys import PrivateKey, PublicKey


@cache
def _pair(bits: int) -> tuple[PublicKey, PrivateKey]:
    key = rsa.generate_private_key(65537, bits)
    return PublicKey(key.public_key(), "doku.pem"), PrivateKey(key, "merchant.pem")


@pytest.fixture(scope="session")
def pair():
    """A key pair of so many bits, made once."""
    return _pair
