"""Invoice numbers: the reference of one attempt, stable and unique everywhere.

An invoice number is a pure function of billing source, charge and attempt number. So two ledgers, or a ledger restored
from a backup, give the same attempt the same number, and DOKU's own refusal of a repeated number (code 5542) stands
behind ours. 20 capital letters and digits: inside every length that DOKU is known to take (30 with cards, inferred).
"""

import hashlib
from base64 import b32encode
from typing import Final

MAX_ATTEMPT_NO: Final = 99
LENGTH: Final = 20
_STEM_BYTES: Final = 12


def charge_stem(billing_source: str, charge_id: str) -> str:
    """The first 18 characters of every invoice number of a charge.

    90 bits of SHA-256 over source and charge id, in base 32: for a thousand million charges the chance that any two
    share a stem is below one in a thousand million; the ledger's primary key would refuse the second.
    """
    digest = hashlib.sha256(f"{billing_source}\x1f{charge_id}".encode()).digest()
    return b32encode(digest[:_STEM_BYTES])[: LENGTH - 2].decode("ascii")


def invoice_number(billing_source: str, charge_id: str, attempt_no: int) -> str:
    """The invoice number of an attempt: the charge's stem and the attempt number in two digits.

    Raises:
        ValueError: An attempt number outside 1..99.
    """
    if not 1 <= attempt_no <= MAX_ATTEMPT_NO:
        raise ValueError(f"attempt number {attempt_no} is not within 1..{MAX_ATTEMPT_NO}")
    return f"{charge_stem(billing_source, charge_id)}{attempt_no:02d}"
