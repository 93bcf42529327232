"""`explain`: the whole story of one charge in order, each decision with the rule or the person behind it (promise 9).

The records are read at once (`include.ledger.stories`); every sentence is made of them by pure functions, for a person
who talks to the customer. No sentence holds a token, and card numbers in other people's words are masked.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

from include.doku.codes import ResponseCodes
from include.domain.days_in_words import moment
from include.flows import explain_charges, explain_steps
from include.flows.context import FlowContext
from include.flows.explain_steps import Step
from include.ledger.charge_stories import charge_of_bill, records_of_bill
from include.ledger.stories import charge_of, records_of

_WIDTH: Final = 18


@dataclass(frozen=True)
class Story:
    """What is known of a charge.

    Attributes:
        charge_id: As it was asked for, or of the invoice number that was.
        billing_source: Whose charge it is.
        timezone: Of every moment in `steps`.
        known: Whether the ledger has ever seen it.
        facts: Customer, amount, due date and what else was last listed, as (name, value).
        now: Where it stands, in a sentence.
        steps: What happened, in order.
    """

    charge_id: str
    billing_source: str
    timezone: str
    known: bool
    facts: tuple[tuple[str, str], ...]
    now: str
    steps: tuple[Step, ...]


def explain(context: FlowContext, asked: str) -> Story:
    """The story of a charge of the profile's billing source.

    Args:
        asked: A charge id, or the invoice number of one of its attempts; of a bill `<billing number>/<day>`, or DOKU's
            reference of a transaction.
    """
    source = context.profile.billing_source
    of_bill = _of_a_bill(context, asked.strip())
    if of_bill is not None:
        return of_bill
    with context.ledger.read() as connection:
        charge_id = charge_of(connection, source, asked.strip())
        records = records_of(connection, source, context.profile.name, charge_id)
    codes = ResponseCodes.of(context.profile)
    return Story(
        charge_id=charge_id,
        billing_source=source,
        timezone=context.profile.timezone,
        known=records.known,
        facts=tuple(explain_steps.facts(records)),
        now=explain_steps.where_it_stands(records) if records.known else _unknown(charge_id, source),
        steps=tuple(_told(explain_steps.steps(records, codes, context.profile.retry.pay_days), context)),
    )


def _of_a_bill(context: FlowContext, asked: str) -> Story | None:
    """The story of a charge that DOKU makes, or of one of its transactions; None: it is neither."""
    source, profile = context.profile.billing_source, context.profile.name
    if not context.profile.has_recurring:
        return None
    with context.ledger.read() as connection:
        name = charge_of_bill(connection, profile, source, asked)
        if name is None:
            return None
        records = records_of_bill(connection, profile, source, name)
    codes = ResponseCodes.of(context.profile)
    return Story(
        charge_id=name,
        billing_source=source,
        timezone=context.profile.timezone,
        known=True,
        facts=tuple(explain_charges.facts_of_bill(records)),
        now=explain_charges.where_the_charge_stands(records),
        steps=tuple(_told(explain_charges.steps_of_bill(records, codes), context)),
    )


def as_text(story: Story) -> str:
    """The story for a terminal."""
    return "\n".join(_lines(story))


def _told(steps: Iterable[Step], context: FlowContext) -> list[Step]:
    """In order and in local time; what only repeats the step before it becomes one with it."""
    ordered = sorted(steps, key=lambda step: (step.at, step.order))
    local = [replace(step, at=step.at.astimezone(context.profile.zone)) for step in ordered]
    return reduce(_joined, local, [])


def _joined(told: list[Step], step: Step) -> list[Step]:
    if told and step.again and told[-1].again == step.again:
        return [*told[:-1], replace(told[-1], until=step.at, times=told[-1].times + 1)]
    return [*told, step]


def _unknown(charge_id: str, source: str) -> str:
    return (
        f"This ledger has never seen charge {charge_id} of billing source {source}. Check the id; a charge is first "
        "seen by the run of the day on which the merchant's view lists it."
    )


def _lines(story: Story) -> Iterator[str]:
    yield f"Charge {story.charge_id}"
    for name, value in story.facts:
        yield f"  {name + ':':<{_WIDTH}}{value}"
    yield ""
    yield story.now
    if not story.steps:
        return
    yield ""
    yield f"What happened (times of {story.timezone}):"
    for step in story.steps:
        yield ""
        yield f"{when(step)}  {step.title}"
        yield from (f"    {sentence}" for sentence in step.words)
        yield f"    [{step.why}]"


def when(step: Step) -> str:
    """The moment of a step, or the first and the last where it happened several times."""
    first = moment(step.at)
    return first if step.until is None else f"{first} to {moment(step.until)} ({step.times} times)"
