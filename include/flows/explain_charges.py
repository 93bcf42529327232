"""From the records of a charge that DOKU makes to what happened, a step each. Pure: rows in, sentences out."""

from collections.abc import Iterator
from typing import Final

from include.doku.codes import ResponseCodes
from include.domain.bill_judgement import named
from include.domain.days_in_words import day, moment
from include.domain.money import for_people
from include.domain.states import STRENGTH, OutcomeStatus
from include.flows import explain_words as words
from include.flows.explain_steps import Order, Step, foreign, steps_of_breaks, steps_of_proposals
from include.ledger.charge_stories import ChargeRecords

_WITNESS: Final = {
    "notification": "says DOKU's notification",
    "status": "says DOKU when asked",
    "person": "settled by a person",
    "rule": "by rule",
}


def facts_of_bill(records: ChargeRecords) -> Iterator[tuple[str, str]]:
    """Customer, bill, amount and day."""
    charge, bill = records.charge, records.bill
    if charge is not None:
        yield "customer", str(charge["customer_id"])
        yield "billing number", str(charge["billing_number"])
        known = charge["amount"] is not None
        yield "amount", for_people(int(charge["amount"]), charge["currency"]) if known else "amount not known"
        yield "expected on", day(charge["expected_on"])
    elif records.attempts:
        yield "billing number", str(records.attempts[0]["billing_number"])
    if bill is not None:
        yield "bill", f"{bill['state']}; {'a fixed amount' if bill['amount'] is not None else 'its amount varies'}"


def where_the_charge_stands(records: ChargeRecords) -> str:
    """Where it stands now, in a sentence."""
    statuses = {row["reference"]: _strongest(records, row["reference"]) for row in records.attempts}
    collected = [name for name, status in statuses.items() if status in (OutcomeStatus.PAID, OutcomeStatus.REVERSED)]
    kept = [name for name in collected if statuses[name] is OutcomeStatus.PAID]
    if len(kept) > 1:
        return f"COLLECTED {len(kept)} TIMES by DOKU ({', '.join(kept)}). All but one must be given back."
    if records.charge is None:
        status = next(iter(statuses.values()), None)
        return f"DOKU made this transaction, and nobody expected it: it is {status}. A break says so."
    if kept:
        return f"It is paid, by DOKU's transaction {kept[0]}."
    if collected:
        return f"It was paid and given back later ({collected[0]})."
    if OutcomeStatus.UNKNOWN in statuses.values():
        return "Unknown: DOKU has spoken of it, and not said what became of it."
    if OutcomeStatus.DECLINED in statuses.values():
        return "Not paid: DOKU's tries were declined. DOKU may try again by itself; this package never does."
    if statuses:
        return "DOKU never charged it."
    return "DOKU should charge it, and has said nothing of it yet."


def steps_of_bill(records: ChargeRecords, codes: ResponseCodes) -> Iterator[Step]:
    """Everything that happened, in no particular order."""
    charge = records.charge
    if charge is not None and records.set_at is not None:
        said = f"By the schedule of bill {charge['billing_number']} DOKU charges it on {day(charge['expected_on'])}."
        yield Step(records.set_at, Order.CLAIMED, "plain", "Expected", (said,), "rule: the bill's schedule")
    yield from _amount(records)
    yield from _said(records, codes)
    yield from _asked(records)
    yield from _told(records)
    yield from steps_of_breaks(records.breaks)
    yield from steps_of_proposals(records.proposals)


def _amount(records: ChargeRecords) -> Iterator[Step]:
    row = records.amount
    if row is None:
        return
    often = f"DOKU asked {row['times']} times, last at {moment(row['last_at'])} UTC." if row["times"] else ""
    if row["amount"] is None:
        said = ("DOKU asked what to charge, and the merchant's view named no amount: nothing was invented.", often)
        yield Step(row["asked_at"], Order.LISTED, "waits", "No amount known", _some(said), "rule: the merchant's view")
        return
    how = "DOKU was answered" if row["times"] else "DOKU was sent"
    said = (f"{how} {for_people(int(row['amount']), row['currency'])}. It is never answered otherwise.", often)
    yield Step(row["answered_at"], Order.LISTED, "sent", "Amount answered", _some(said), "rule: the merchant's view")
    if row["pushed_at"] is not None:
        yield Step(row["pushed_at"], Order.LISTED, "sent", "Amount taken by DOKU", (), f"request {row['request_id']}")


def _said(records: ChargeRecords, codes: ResponseCodes) -> Iterator[Step]:
    for row in records.said:
        title = f"{str(row['status']).capitalize()}, {_WITNESS[row['witness']]}"
        lines = [f"Transaction {row['reference']}."] if row["reference"] else []
        if row["amount"] is not None:
            lines.append(f"{for_people(int(row['amount']), row['currency'])}.")
        if row["response_code"]:
            code = codes.look_up(row["response_code"])
            lines.append(f"Code {code.code}: {words.answer(code)}")
        lines += [f"DOKU's word: {foreign(row['word'])}."] if row["word"] else []
        lines += [f"DOKU's words: “{foreign(row['response_message'])}”."] if row["response_message"] else []
        lines += [f"Approval code {foreign(row['approval_code'])}."] if row["approval_code"] else []
        lines += [f"Card {foreign(row['masked_card'])}."] if row["masked_card"] else []
        lines += [f"Evidence: “{foreign(row['evidence'])}”."] if row["evidence"] else []
        lines += [f"Confirmed by {row['confirmed_by']}."] if row["confirmed_by"] else []
        why = f"notification {row['notification_id']}" if row["notification_id"] else f"said by {row['said_by']}"
        kind = {"person": "person"}.get(row["witness"], str(row["status"]))
        yield Step(row["kept_at"], Order.REPORTED, kind, title, tuple(lines), why)


def _asked(records: ChargeRecords) -> Iterator[Step]:
    for row in records.asked:
        title = (
            f"DOKU was asked, and answered {row['answer']}" if row["answer"] else "DOKU was asked, without an answer"
        )
        again = ("asked", str(row["answer"]), row["words"])
        said = (f"{foreign(row['words'])}.",)
        yield Step(row["asked_at"], Order.DECIDED, "waits", title, said, f"question {row['question_id']}", again)


def _told(records: ChargeRecords) -> Iterator[Step]:
    for row in records.told:
        if row["told_at"] is not None:
            said = (f"Their table of outcomes has what became of transaction {named(row['reference'])}.",)
            title = f"The merchant was told of try {row['attempt_no']}"
            yield Step(row["told_at"], Order.TOLD, "plain", title, said, "by write_back")


def _strongest(records: ChargeRecords, reference: str) -> OutcomeStatus | None:
    found = [OutcomeStatus(row["status"]) for row in records.outcomes if row["reference"] == reference]
    return max(found, key=STRENGTH.__getitem__, default=None)


def _some(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(line for line in lines if line)
