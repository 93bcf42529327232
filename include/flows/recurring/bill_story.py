"""The whole story of one bill: what is wanted, what happened, what was charged; for a person, and without its token."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from include.domain.bill_judgement import named
from include.domain.bill_life import BillEventKind
from include.domain.days_in_words import day, moment
from include.domain.masking import token_ending, without_card_numbers
from include.domain.money import for_people
from include.domain.states import BillState
from include.flows.context import FlowContext
from include.ledger.bill_stories import BillRecords, ChargeOfBill, bill_records
from include.ledger.bills import Bill, Key

TITLES: Final = {
    BillEventKind.WANTED: "Wanted",
    BillEventKind.CHANGED: "Its terms changed",
    BillEventKind.UNWANTED: "Not wanted any more",
    BillEventKind.ENDED: "Ended",
    BillEventKind.ASKED: "DOKU was asked to register it",
    BillEventKind.UPDATED: "DOKU has the new terms",
    BillEventKind.CANCELLED: "DOKU has ended it",
    BillEventKind.REGISTERED: "Registered: DOKU charges it",
    BillEventKind.REFUSED: "Refused",
    BillEventKind.CARD_UPDATED: "The customer gave another card",
    BillEventKind.CARD_REFUSED: "Another card was refused",
}

STANDS: Final = {
    BillState.WANTED: "The next run asks DOKU to register it.",
    BillState.ASKED: "DOKU was asked to register it; the customer has not done so yet, or DOKU has not said so.",
    BillState.ACTIVE: "DOKU charges it on its schedule.",
    BillState.REFUSED: "It is not registered, and is not asked for again before its terms change or a person asks.",
    BillState.CANCELLING: "It is not wanted any more, and DOKU charges it until it has taken that.",
    BillState.CANCELLED: "DOKU does not charge it.",
    BillState.ENDED: "Its last day is over.",
}


@dataclass(frozen=True)
class Told:
    """Something that happened: when, what, more of it, and who says so."""

    at: str
    title: str
    words: str
    said_by: str


@dataclass(frozen=True)
class BillStory:
    """What is known of a bill; moments are in the profile's timezone.

    Attributes:
        charges: Each (day or "", amount in words, a line for each transaction), newest first.
    """

    billing_number: str
    state: str
    now: str
    facts: tuple[tuple[str, str], ...]
    happened: tuple[Told, ...]
    charges: tuple[tuple[str, str, tuple[str, ...]], ...]


def bill_story(context: FlowContext, billing_number: str) -> BillStory | None:
    """The story of a bill of the profile; None: it has none of that number."""
    key = Key(context.profile.billing_source, billing_number.strip())
    with context.ledger.read() as connection:
        records = bill_records(connection, context.profile.name, key)
    if records is None:
        return None
    one = records.bill
    return BillStory(
        billing_number=one.billing_number,
        state=str(one.state),
        now=f"{STANDS[one.state]} {without_card_numbers(one.reason or '')}".strip(),
        facts=tuple(_facts(context, one)),
        happened=tuple(_happened(context, records)),
        charges=tuple(_charge(found) for found in records.charges),
    )


def as_text(story: BillStory) -> str:
    """The story for a terminal."""
    return "\n".join(_lines(story))


def _facts(context: FlowContext, one: Bill) -> Iterator[tuple[str, str]]:
    yield "customer", one.customer_id
    yield "amount", for_people(one.amount, one.currency) if one.amount is not None else "varies"
    months = f" in {one.months}" if one.months else ""
    yield "charged on", f"{one.schedule} {one.schedule_on}{months}"
    yield "from", day(one.starts_on)
    if one.ends_on:
        yield "until", day(one.ends_on)
    following = one.terms.schedule.next_after(context.today) if one.state is BillState.ACTIVE else None
    if following:
        yield "next", day(following)
    if one.asked_terms and one.asked_terms != one.terms_digest:
        yield "at DOKU", "other terms than the merchant wants now"
    if one.masked_card:
        yield "card", one.masked_card
    if one.token:
        yield "token", token_ending(one.token)


def _happened(context: FlowContext, records: BillRecords) -> Iterator[Told]:
    for row in records.events:
        details: dict[str, Any] = json.loads(row["details"])
        parts = (details.get("words"), details.get("file"), details.get("masked_card"))
        words = without_card_numbers(", ".join(str(part) for part in parts if part))
        by = f"{row['said_by']}, notification {row['notification_id']}" if row["notification_id"] else row["said_by"]
        yield Told(moment(row["at"].astimezone(context.profile.zone)), TITLES[BillEventKind(row["kind"])], words, by)


def _charge(found: ChargeOfBill) -> tuple[str, str, tuple[str, ...]]:
    amount = for_people(found.amount, found.currency) if found.amount is not None else "amount not known"
    tries = tuple(
        f"{day(charged_on)}: {status}, {for_people(tried, found.currency) if tried is not None else 'no amount'}"
        f" (transaction {named(reference)})"
        for reference, charged_on, tried, status in found.tries
    )
    return (day(found.expected_on), amount, tries) if found.expected_on else ("", "not expected", tries)


def _lines(story: BillStory) -> Iterator[str]:
    yield f"Bill {story.billing_number}: {story.state}"
    for name, value in story.facts:
        yield f"  {name + ':':<18}{value}"
    yield ""
    yield story.now
    yield ""
    yield "What happened:"
    for one in story.happened:
        yield f"  {one.at}  {one.title}{': ' + one.words if one.words else ''}  [{one.said_by}]"
    if story.charges:
        yield ""
        yield "Charges:"
    for expected, amount, tries in story.charges:
        yield f"  {expected or 'nobody expected'}  {amount}{'' if tries else ': nothing has come'}"
        yield from (f"    {line}" for line in tries)
