"""The acquirers and card issuers behind DOKU: what becomes of a charge, as a pure function of the seed and the line."""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

# Weights, not per cent: about 86 of 100 charges go through, the rest spreads over what issuers answer in practice.
DEFAULT_MIX: Final[Mapping[str, float]] = {
    "0000": 86.0,
    "0051": 4.5,
    "0005": 2.2,
    "0054": 1.5,
    "0061": 1.1,
    "0091": 1.1,
    "0041": 0.6,
    "0043": 0.3,
    "0057": 0.7,
    "0014": 0.6,
    "0062": 0.4,
    "0058": 0.2,
    "5535": 0.3,
    "5536": 0.5,
}

MESSAGES: Final[Mapping[str, str]] = {
    "0000": "APPROVED",
    "0004": "PICK UP CARD",
    "0005": "DO NOT HONOR",
    "0007": "PICK UP CARD SPECIAL CONDITION",
    "0010": "PARTIAL APPROVAL",
    "0011": "APPROVED VIP",
    "0012": "INVALID TRANSACTION",
    "0013": "INVALID AMOUNT",
    "0014": "INVALID CARD NUMBER",
    "0041": "LOST CARD",
    "0043": "STOLEN CARD",
    "0051": "INSUFFICIENT FUNDS",
    "0054": "EXPIRED CARD",
    "0057": "TRANSACTION NOT PERMITTED TO CARDHOLDER",
    "0058": "TRANSACTION NOT PERMITTED TO MERCHANT",
    "0061": "EXCEEDS AMOUNT LIMIT",
    "0062": "RESTRICTED CARD",
    "0065": "EXCEEDS COUNT LIMIT",
    "0068": "RESPONSE RECEIVED TOO LATE",
    "0091": "ISSUER OR SWITCH INOPERATIVE",
    "0094": "DUPLICATE TRANSMISSION",
    "0096": "SYSTEM MALFUNCTION",
    "00R1": "REVOCATION OF AUTHORISATION",
    "5505": "INVALID PARAMETER",
    "5526": "TIMEOUT FROM ACQUIRER",
    "5535": "INVALID TOKEN",
    "5536": "TIMEOUT",
    "5542": "DUPLICATE TRANSACTION ID",
    "5572": "NO RESPONSE",
}

APPROVED: Final = frozenset({"0000", "0011", "0010"})
# DOKU itself does not know: the money may have moved or not, and the report cannot say.
UNKNOWN: Final = frozenset({"0068", "0094", "5523", "5526", "5530", "5536", "5572"})
DUPLICATE: Final = "5542"
INVALID_AMOUNT: Final = "0013"
LINE_REJECTED: Final = "5505"
TOKEN_DEAD: Final = "5535"

_BANKS: Final = ("014", "008", "009", "002", "022", "013", "011", "016")
_NETWORKS: Final = (("VISA", "411111"), ("MASTERCARD", "555555"), ("JCB", "356600"))


@dataclass(frozen=True, slots=True)
class Decision:
    """What the issuer did with one charge.

    Attributes:
        code: Response code of the report line, four characters.
        charged: Amount that really left the card, smallest unit; 0 when nothing moved.
        reported: Amount that the report line shows.
    """

    code: str
    charged: int
    reported: int
    approval_code: str
    masked_card: str
    bank: str
    network: str

    @property
    def success(self) -> bool:
        return self.code in APPROVED


@dataclass(frozen=True)
class Bank:
    """Decides charges. The same seed and line always give the same decision, on any machine, in any order.

    Attributes:
        mix: Response code to weight.
        endings: Amounts that end in these digits get this code whatever the seed: `{"8151": "0051"}`.
        unknown_charged_share: Of the answers that mean "we do not know", the share in which the money did move.
    """

    seed: int
    mix: Mapping[str, float]
    endings: Mapping[str, str]
    unknown_charged_share: float = 0.5

    def __post_init__(self) -> None:
        codes = sorted(code for code, weight in self.mix.items() if weight > 0)
        if not codes:
            raise ValueError("the mix of response codes is empty")
        bounds = list(accumulate(float(self.mix[code]) for code in codes))
        object.__setattr__(self, "_codes", codes)
        object.__setattr__(self, "_bounds", bounds)
        object.__setattr__(self, "_tails", sorted({len(ending) for ending in self.endings}, reverse=True))

    def decide(self, invoice_number: str, token: str, amount: int) -> Decision:
        """Charge one line: the card (bank, network, digits) hangs on the token, the answer on the invoice number."""
        digest = hashlib.sha256(f"{self.seed}|{invoice_number}".encode()).digest()
        masked_card, bank, network = card_of(token)
        code = self._code(digest, amount)
        moved = code in APPROVED or (code in UNKNOWN and digest[8] < self.unknown_charged_share * 256)
        part = amount // 2 if code == "0010" else amount
        return Decision(
            code=code,
            charged=part if moved else 0,
            reported=part,
            approval_code=f"{int.from_bytes(digest[9:13], 'big') % 1_000_000:06d}" if code in APPROVED else "",
            masked_card=masked_card,
            bank=bank,
            network=network,
        )

    def _code(self, digest: bytes, amount: int) -> str:
        if amount <= 0:
            return INVALID_AMOUNT
        digits = str(amount)
        for length in self._tails:  # type: ignore[attr-defined]
            if (code := self.endings.get(digits[-length:])) is not None:
                return code
        bounds = self._bounds  # type: ignore[attr-defined]
        point = int.from_bytes(digest[:8], "big") / 2**64 * bounds[-1]
        return self._codes[min(bisect_right(bounds, point), len(bounds) - 1)]  # type: ignore[attr-defined]


def card_of(token: str) -> tuple[str, str, str]:
    """The card behind a token: its masked number, bank and network."""
    card = hashlib.sha256(f"card|{token}".encode()).digest()
    network, first_six = _NETWORKS[card[0] % 20 // 9]
    return f"{first_six}******{int.from_bytes(card[1:5], 'big') % 10_000:04d}", _BANKS[card[5] % len(_BANKS)], network


def message(code: str) -> str:
    """DOKU's text for a code; letters, digits and blanks only, so that it fits any layout."""
    return MESSAGES.get(code, f"RESPONSE {code}")


# 81NN answers 00NN: rare in real prices, easy to type in a test.
DEFAULT_ENDINGS: Final[Mapping[str, str]] = {
    **{f"81{code[2:]}": code for code in MESSAGES if code.startswith("00") and code[2:].isdigit()},
    "8126": "5526",
    "8136": "5536",
    "8172": "5572",
    "8135": "5535",
    "8199": "00ZZ",  # a code that nobody listed
}
