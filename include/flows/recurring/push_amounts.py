"""Amounts of varying bills, sent beforehand: where DOKU does not ask for them, but wants to be told."""

import hashlib
from dataclasses import dataclass

from include.doku.bill_requests import amount_facts, body_of
from include.doku.dialects.choose import dialect_file_of
from include.domain.bill_charges import charge_id_of
from include.domain.errors import ApiRefused, ApiUnauthorised, ConfigError
from include.domain.states import BillState
from include.flows.context import FlowContext
from include.flows.recurring.amounts import amount_of_day, next_day
from include.ledger.amount_questions import AmountKey, Answered, find_answer, keep_answer_once, note_push
from include.ledger.bill_tables import bill
from include.ledger.bills import Bill, bills_in
from include.schemas.dialect import Request


@dataclass(frozen=True)
class Pushed:
    """What pushing came to: amounts that DOKU took, that it refused, and bills whose amount nobody knows yet."""

    taken: int = 0
    refused: tuple[str, ...] = ()
    not_known: int = 0


def push_amounts(context: FlowContext) -> Pushed:
    """Send the amount of each varying bill's next charge, once it is known; nothing unless the profile says so.

    The first amount is kept before it is sent, and sent again unchanged until DOKU has taken it, under one request id.

    Raises:
        ConfigError: The dialect has no such request.
        ApiUnreachable, ApiUnauthorised: DOKU cannot be told now; what was kept is sent by the next run.
    """
    if context.profile.recurring.amounts != "pushed":
        return Pushed()
    request = dialect_file_of(context.profile).requests.amount
    if request is None:
        raise ConfigError(
            context.profile.recurring.fields, "requests.amount", "missing, and recurring.amounts is pushed; add it"
        )
    taken, unknown, after = 0, 0, ""
    refused: list[str] = []
    varies = bill.c.amount.is_(None)
    while True:
        with context.ledger.read() as connection:
            page = bills_in(connection, context.profile.name, [BillState.ACTIVE], varies, after=after)
        if not page:
            return Pushed(taken, tuple(refused), unknown)
        for one in page:
            said = _push(context, one, request)
            taken += said is True
            unknown += said is False
            refused += [said] if isinstance(said, str) else []
        after = page[-1].billing_number


def _push(context: FlowContext, one: Bill, request: Request) -> bool | str | None:
    """True: DOKU took it now; False: nobody knows it yet; words: DOKU refused it; None: there is nothing to do."""
    day = next_day(context, one)
    if day is None:
        return None
    key = AmountKey(one.billing_source, one.billing_number, day)
    with context.ledger.read() as connection:
        known = find_answer(connection, key)
    if known is not None and known.pushed_at is not None:
        return None
    kept = known if known is not None and known.amount is not None else _keep(context, one, key)
    if kept is None or kept.amount is None:
        return False
    request_id = kept.request_id or _request_id(context, key)
    context.step("amount: before it is sent")
    with context.ledger.write() as connection:
        note_push(connection, key, request_id=request_id)
    try:
        body = body_of(request, amount_facts(one.terms, day, kept.amount, request_id))
        context.api().post(request.path, body, request_id)
    except ApiUnauthorised:
        raise
    except ApiRefused as caught:
        return f"{charge_id_of(one.billing_number, day)}: {caught.message}"
    context.step("amount: DOKU took it, not noted")
    with context.ledger.write() as connection:
        note_push(connection, key, pushed_at=context.clock())
    context.step("amount: sent and noted")
    return True


def _keep(context: FlowContext, one: Bill, key: AmountKey) -> Answered | None:
    said = amount_of_day(context, one, key.expected_on)
    if said is None or said.amount is None:
        return None
    with context.ledger.write() as connection:
        return keep_answer_once(
            connection, key, profile=one.profile, amount=said.amount, currency=one.currency, at=context.clock(),
            times=0,
        )  # fmt: skip


def _request_id(context: FlowContext, key: AmountKey) -> str:
    """A pure function of the ledger's id and what it is about: sent again by anybody, DOKU gives its first answer."""
    said = f"amount\n{context.ledger.ledger_id}\n{key.billing_source}\n{key.billing_number}\n{key.expected_on}"
    return hashlib.sha256(said.encode()).hexdigest()[:32]
