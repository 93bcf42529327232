"""What became of DOKU's transactions for bills: a function of all that was said of them, never of its order.

Notifications repeat, come late and in any order, and contradict each other; DOKU is asked, people settle. Here all of
it becomes one transaction for each of DOKU's references, with one outcome: the strongest (include.domain.states).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final

from include.domain.states import STRENGTH, BreakKind, OutcomeStatus

SUBJECT_LENGTH: Final = 200
"""A longer subject of a break is kept as its digest."""

_REFERENCE_LENGTH: Final = 64
_NO_REFERENCE: Final = "?"
_WITNESSES: Final = ("notification", "status", "person", "rule")
"""Whose words describe a transaction first."""

_SPEAKS: Final = (
    OutcomeStatus.PAID, OutcomeStatus.DECLINED, OutcomeStatus.UNKNOWN, OutcomeStatus.WITHDRAWN, OutcomeStatus.REVERSED,
)  # fmt: skip
"""Which status describes a transaction first: a reversal may be of a part, and of another day."""

_LAST: Final = "\x7f"
_COLLECTED: Final = (OutcomeStatus.PAID, OutcomeStatus.REVERSED)


@dataclass(frozen=True)
class Said:
    """What one witness said of one transaction, or of an expected charge.

    Attributes:
        reference: DOKU's own; None: a charge was spoken of, and no transaction of it named.
        expected_on: The charge that was asked about.
        status: What it decides, by the codes of today.
        contradicts_itself: DOKU's word and the code do not agree.
        listed: Whether somebody has listed the code.
        partial: A part was approved.
        amount: Smallest units; None: it does not say.
        charged_on: The local day; None: it does not say.
    """

    testimony_id: int
    reference: str | None
    billing_number: str
    expected_on: date | None
    witness: str
    status: OutcomeStatus
    currency: str
    said_at: datetime
    kept_at: datetime
    customer_id: str | None = None
    amount: int | None = None
    charged_on: date | None = None
    word: str | None = None
    response_code: str | None = None
    response_message: str | None = None
    approval_code: str | None = None
    masked_card: str | None = None
    bank: str | None = None
    said_by: str = "DOKU"
    evidence: str | None = None
    contradicts_itself: bool = False
    listed: bool = True
    partial: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """All that it says, in an order of its own: of several of one status the first speaks, the fuller before."""
        values = (
            self.response_code, self.approval_code, self.amount, self.currency, self.billing_number, self.customer_id,
            self.charged_on, self.word, self.response_message, self.masked_card, self.bank, self.evidence,
            self.said_at.isoformat() if self.witness != "notification" else "",
        )  # fmt: skip
        return tuple(_LAST if value is None else str(value) for value in values)


@dataclass(frozen=True)
class Meaning:
    """What DOKU's word and code decide together.

    Attributes:
        contradicts_itself: They decide differently.
        listed: Whether somebody has listed the code, if there is one.
        partial: A part was approved.
    """

    status: OutcomeStatus
    contradicts_itself: bool = False
    listed: bool = True
    partial: bool = False


@dataclass(frozen=True)
class Expected:
    """A charge that is expected; amount in smallest units, None: not known."""

    billing_number: str
    expected_on: date
    charge_id: str
    customer_id: str
    amount: int | None
    currency: str


@dataclass(frozen=True)
class Transaction:
    """One of DOKU's transactions; `charge` None: it belongs to no expected charge.

    Attributes:
        said: All that was said of it.
        outcomes: What speaks for each status.
    """

    reference: str
    billing_number: str
    charged_on: date
    customer_id: str | None
    amount: int | None
    currency: str
    first_seen_at: datetime
    said: tuple[Said, ...]
    outcomes: Mapping[OutcomeStatus, Said]
    charge: Expected | None = None

    @property
    def status(self) -> OutcomeStatus:
        """The strongest of its outcomes."""
        return max(self.outcomes, key=STRENGTH.__getitem__)

    @property
    def collected(self) -> bool:
        """Whether the money was taken, even if it was given back since."""
        return self.status in _COLLECTED


@dataclass(frozen=True)
class Matter:
    """A break that what was said makes; `over`: why it is none any more, by rule.

    Attributes:
        reference: The transaction; None: it is about a charge.
        amount: Smallest units: the difference, or what is at stake.
    """

    kind: BreakKind
    subject: str
    reference: str | None
    amount: int
    details: str
    over: str | None = None


def placeholder(charge_id: str) -> str:
    """What an answer about a charge stands under until DOKU's own reference is known.

    Never a reference of DOKU's, which may well be the charge id itself.
    """
    text = f"{_NO_REFERENCE}{charge_id}"
    return text if len(text) <= _REFERENCE_LENGTH else _NO_REFERENCE + hashlib.sha256(text.encode()).hexdigest()[1:]


def named(reference: str) -> str:
    """A transaction for people: by DOKU's reference, where one is known."""
    return "without a reference" if reference.startswith(_NO_REFERENCE) else reference


def transaction(reference: str, said: Sequence[Said], fallback: date | None = None) -> Transaction:
    """One transaction, of all that was said of it.

    Args:
        fallback: Its day, where nobody says it.
    """
    speaker = min(said, key=lambda one: (_WITNESSES.index(one.witness), _SPEAKS.index(one.status), one.words))
    outcomes: dict[OutcomeStatus, Said] = {}
    for one in sorted(said, key=lambda one: (_WITNESSES.index(one.witness), one.words)):
        outcomes.setdefault(one.status, one)
    amounts = [one.amount for one in _by_voice(said) if one.amount is not None and one.status is not _REVERSED]
    customers = [one.customer_id for one in _by_voice(said) if one.customer_id is not None]
    return Transaction(
        reference=reference,
        billing_number=speaker.billing_number,
        charged_on=_day_of(said) or fallback or speaker.said_at.date(),
        customer_id=customers[0] if customers else None,
        amount=amounts[0] if amounts else speaker.amount,
        currency=speaker.currency,
        first_seen_at=min(one.kept_at for one in said),
        said=tuple(said),
        outcomes=outcomes,
    )


_REVERSED: Final = OutcomeStatus.REVERSED


def with_answers(charge: Expected, own: Sequence[Transaction], bare: Sequence[Said]) -> list[Transaction]:
    """The transactions of a charge, with what was said of the charge and named none of them.

    It belongs to the strongest transaction of the charge. While there is none, it is one of its own: later, when DOKU's
    notification comes after all, it is no second payment.
    """
    if not bare:
        return list(own)
    if not own:
        made = transaction(placeholder(charge.charge_id), bare, charge.expected_on)
        return [replace(made, charge=charge)]
    about = min(own, key=lambda one: (-STRENGTH[one.status], one.reference))
    said = [*about.said, *bare]
    whole = replace(transaction(about.reference, said, about.charged_on), charge=charge, charged_on=about.charged_on)
    return [whole if one.reference == about.reference else one for one in own]


def matters_of(one: Transaction, match_days: int, not_expected: str) -> Iterator[Matter]:
    """The breaks that a transaction is.

    Args:
        match_days: How many days a charge may come after its expected day.
        not_expected: Why it belongs to no charge, where it does not.
    """
    at_stake = one.amount or 0
    if one.charge is None:
        yield Matter(
            BreakKind.UNEXPECTED_CHARGE, one.reference, one.reference, at_stake if one.collected else 0,
            f"bill {one.billing_number}: DOKU says {one.status} of {_money(one.amount, one.currency)} on "
            f"{one.charged_on}, {not_expected or f'and no charge was expected in the {match_days} days before'}",
        )  # fmt: skip
    else:
        yield from _amounts(one, one.charge)
        yield from _customers(one, one.charge)
    yield from _conflicts(one, at_stake)
    yield from _disagreement(one, at_stake)
    for said in one.said:
        if said.partial:
            subject = f"{one.reference}:{'' if said.amount is None else said.amount}"
            details = f"a part was approved: DOKU reports {_money(said.amount, said.currency)}"
            yield Matter(BreakKind.PARTIAL_APPROVAL, subject, one.reference, said.amount or 0, details)
        if not said.listed and said.response_code:
            yield Matter(
                BreakKind.UNLISTED_CODE, said.response_code, None, 0,
                f"code {said.response_code} is not in codes.toml: what it means is unknown, and so are the attempts "
                "that have it",
            )  # fmt: skip


def matters_of_charge(charge: Expected, own: Iterable[Transaction]) -> Iterator[Matter]:
    """The breaks that all transactions of a charge are together: collected more than once."""
    collected = sorted((one for one in own if one.collected), key=lambda one: (one.charged_on, one.reference))
    if len(collected) < 2:
        return
    too_much = sum(one.amount or 0 for one in collected[1:])
    names = ", ".join(one.reference for one in collected)
    kept = [one for one in collected if one.status is OutcomeStatus.PAID]
    over = "all but one payment were given back" if len(kept) < 2 else None
    yield Matter(
        BreakKind.COLLECTED_TWICE, subject_of(charge.charge_id), collected[-1].reference, too_much,
        f"charge {charge.charge_id} was collected {len(collected)} times, by {names}", over,
    )  # fmt: skip


def subject_of(charge_id: str) -> str:
    """A charge id as the subject of a break; one that is too long by its digest."""
    return charge_id if len(charge_id) <= SUBJECT_LENGTH else hashlib.sha256(charge_id.encode()).hexdigest()


def _amounts(one: Transaction, charge: Expected) -> Iterator[Matter]:
    seen: set[tuple[int, str]] = set()
    for said in sorted(one.said, key=lambda said: said.words):
        if said.status not in _COLLECTED or said.amount is None or (said.amount, said.currency) in seen:
            continue
        seen.add((said.amount, said.currency))
        subject = f"{one.reference}:{said.amount}:{said.currency}"
        wanted = one.amount if said.status is _REVERSED and one.amount is not None else charge.amount
        if (said.amount, said.currency) == (wanted, charge.currency):
            continue
        if said.status is _REVERSED:
            if wanted is not None and OutcomeStatus.PAID in one.outcomes:
                details = (
                    f"charge {charge.charge_id}: collected {_money(wanted, charge.currency)}, given back "
                    f"{_money(said.amount, said.currency)}: the rest was kept"
                )
                yield Matter(BreakKind.PARTIAL_REFUND, subject, one.reference, wanted - said.amount, details)
            continue
        known = "an amount that nobody knows" if wanted is None else _money(wanted, charge.currency)
        details = f"charge {charge.charge_id}: expected {known}, charged {_money(said.amount, said.currency)}"
        yield Matter(BreakKind.AMOUNT_DIFFERS, subject, one.reference, said.amount - (wanted or 0), details)


def _customers(one: Transaction, charge: Expected) -> Iterator[Matter]:
    others = sorted({said.customer_id for said in one.said if said.customer_id} - {charge.customer_id})
    if others:
        yield Matter(
            BreakKind.CONFLICT, f"{one.reference}:customer", one.reference, one.amount or 0,
            f"bill {one.billing_number} is of customer {charge.customer_id}, but DOKU charged {', '.join(others)}",
        )  # fmt: skip


def _conflicts(one: Transaction, at_stake: int) -> Iterator[Matter]:
    told = [said for said in one.said if said.witness == "notification"]
    both = [said for said in told if said.contradicts_itself]
    if both:
        words = sorted({f"says {said.word} and code {said.response_code}" for said in both})
        yield Matter(
            BreakKind.CONFLICT, f"{one.reference}:words", one.reference, at_stake,
            f"transaction {one.reference} {'; '.join(words)}: unknown until DOKU says which is right",
        )  # fmt: skip
    decided = [said for said in told if said.status in (OutcomeStatus.PAID, OutcomeStatus.DECLINED)]
    statuses = {said.status for said in told}
    facts = ("status", "response_code", "approval_code", "amount", "currency", "billing_number", "customer_id")
    differ = [name for name in facts if len({getattr(said, name) for said in decided} - {None}) > 1]
    if differ or {OutcomeStatus.DECLINED, OutcomeStatus.REVERSED} <= statuses:
        spoken = decided if differ else [said for said in told if said.status is not OutcomeStatus.UNKNOWN]
        listed = "; ".join(sorted({_sentence(said) for said in spoken}))
        yield Matter(BreakKind.CONFLICT, one.reference, one.reference, at_stake, listed)


def _disagreement(one: Transaction, at_stake: int) -> Iterator[Matter]:
    """Notifications count by their strongest, the others by their last word; what was reversed was paid."""
    verdicts: dict[str, OutcomeStatus] = {}
    for witness in ("notification", "status", "person"):
        said = [each for each in one.said if each.witness == witness and each.status is not OutcomeStatus.UNKNOWN]
        if said:
            strongest = max(said, key=lambda each: STRENGTH[each.status])
            last = max(said, key=lambda each: (each.said_at, each.testimony_id))
            verdicts[witness] = (strongest if witness == "notification" else last).status
    sides = {OutcomeStatus.PAID if status in _COLLECTED else status for status in verdicts.values()}
    if len(sides) > 1:
        listed = "; ".join(sorted(f"{witness} says {status}" for witness, status in verdicts.items()))
        yield Matter(BreakKind.WITNESSES_DISAGREE, one.reference, one.reference, at_stake, listed)


def _by_voice(said: Iterable[Said]) -> list[Said]:
    return sorted(said, key=lambda one: (_WITNESSES.index(one.witness), _SPEAKS.index(one.status), one.words))


def _day_of(said: Iterable[Said]) -> date | None:
    """The first day that DOKU names: of a payment that was voided later that is the payment's own."""
    listed = list(said)
    for witness in ("notification", "status"):
        days = [one.charged_on for one in listed if one.witness == witness and one.charged_on is not None]
        if days:
            return min(days)
    return min((one.expected_on for one in listed if one.expected_on is not None), default=None)


def _sentence(said: Said) -> str:
    parts = [str(said.status), said.response_code, f"approval {said.approval_code}" if said.approval_code else None]
    parts += [f"of {_money(said.amount, said.currency)}" if said.amount is not None else None]
    parts += [f"for bill {said.billing_number}", f"customer {said.customer_id}" if said.customer_id else None]
    return " ".join(part for part in parts if part)


def _money(amount: int | None, currency: str) -> str:
    return f"{amount} {currency}" if amount is not None else "an amount that it does not name"
