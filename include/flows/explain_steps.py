"""From records to what happened, a step each. Pure: rows in, sentences out."""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, Final

from include.doku.codes import ResponseCodes
from include.domain.days_in_words import day, weekday
from include.domain.masking import token_ending, without_card_numbers
from include.domain.money import for_people
from include.domain.states import STRENGTH, BatchState, NextAction, OutcomeStatus, ProposalState
from include.flows import explain_words as words
from include.ledger.breaks import RULE as BY_RULE
from include.ledger.stories import Records, Row


class Order(IntEnum):
    """Which comes first of what has the same moment."""

    LISTED = 1
    DECIDED = 2
    CLAIMED = 3
    BATCH = 4
    BRAKE = 5
    APPROVED = 6
    REPORTED = 7
    BREAK = 8
    PLANNED = 9
    TOLD = 10


@dataclass(frozen=True)
class Step:
    """Something that happened to a charge.

    Attributes:
        at: The moment.
        order: Among steps of the same moment.
        kind: For the page: stopped, waits, sent, paid, declined, person or plain.
        title: In a few words.
        words: More of it, in sentences.
        why: The rule, the file or the person behind it.
        again: Steps that follow each other with the same value are told once, from the first to the last.
        until: The last moment, where it happened several times.
        times: How many times.
    """

    at: datetime
    order: Order
    kind: str
    title: str
    words: tuple[str, ...]
    why: str
    again: tuple[str, ...] = ()
    until: datetime | None = None
    times: int = 1


_SHOWN_STATES: Final = {
    BatchState.SEALED: ("plain", "Written into a batch file", "The file {name} was written and sealed for DOKU."),
    BatchState.DELIVERED: ("sent", "Delivered to DOKU", "DOKU has the file {name}."),
    BatchState.UNKNOWN: (
        "stopped",
        "Delivery unknown",
        "Nobody could say whether {name} arrived. It is not sent again until that is known.",
    ),
    BatchState.WITHDRAWN: ("stopped", "Batch withdrawn", "The file {name} was withdrawn: nothing of it was charged."),
}


_TOLD_ELSEWHERE: Final = ("hold", "lift", "cancel", "close", "settle")
"""Decisions that have records of their own, which say more than their event."""


def facts(records: Records) -> Iterator[tuple[str, str]]:
    """Customer, amount, due date, ... as they were last seen."""
    seen = [*records.attempts, *sorted((*records.rejected, *records.passed), key=lambda row: int(row["run_id"]))]
    last: dict[str, Any] = {}
    for row in seen:
        last |= {name: value for name, value in row.items() if value not in (None, "")}
    if last.get("customer_id"):
        yield "customer", str(last["customer_id"])
    if last.get("billing_number"):
        yield "billing number", str(last["billing_number"])
    if last.get("amount"):
        yield "amount", for_people(int(last["amount"]), last.get("currency"))
    if last.get("due_date"):
        yield "due", day(last["due_date"])
    if last.get("channel"):
        yield "channel", str(last["channel"])
    if records.attempts:
        yield "token", token_ending(str(records.attempts[-1]["token"]))


def where_it_stands(records: Records) -> str:
    """Where a charge stands now, in a sentence."""
    status = {row["invoice_number"]: _strongest(records, row["invoice_number"]) for row in records.attempts}
    paid = [row for row in records.attempts if status[row["invoice_number"]] in ("paid", "reversed")]
    if len(paid) > 1:
        return f"PAID {len(paid)} TIMES, with attempts {_numbers(paid)}. One of them must be given back."
    if paid:
        kind = status[paid[0]["invoice_number"]]
        what = "It was paid and given back later" if kind == "reversed" else "It is paid"
        return f"{what}, with attempt {paid[0]['attempt_no']}: {_amount(paid[0])}. Nothing more is charged."
    if records.closed is not None:
        return f"It is closed ({records.closed['reason']}): no further attempt is made."
    if records.attempts:
        return _of_last_attempt(records, status[records.attempts[-1]["invoice_number"]])
    if records.quarantine is not None and records.quarantine["state"] == "open":
        return "It is quarantined: nothing is sent until what is wrong with it is mended."
    return "No attempt has been made yet."


def steps(records: Records, codes: ResponseCodes, pay_days: Collection[int]) -> Iterator[Step]:
    """Everything that happened, in no particular order.

    Args:
        records: What the ledger knows.
        codes: What response codes mean to the profile.
        pay_days: The profile's, as days of the month.
    """
    yield from _rejections(records)
    yield from _passed(records)
    yield from _holds(records)
    yield from _decisions(records)
    yield from _attempts(records)
    yield from _batch_events(records)
    yield from _brakes(records)
    yield from _lines(records, codes)
    yield from _other_outcomes(records)
    yield from _questions(records)
    yield from _notices(records)
    yield from _testimonies(records)
    yield from _plans(records, pay_days)
    yield from steps_of_proposals(records.proposals)
    yield from steps_of_breaks(records.breaks)
    if records.closed is not None:
        yield _closing(records.closed)


def _rejections(records: Records) -> Iterator[Step]:
    for row in records.rejected:
        reasons = tuple(without_card_numbers(sentence) for sentence in words.rejected(row["reasons"]))
        if row["dry_run"]:
            title, kind, done = "Would be quarantined", "plain", "A dry run looked at it and decided nothing."
        else:
            title, kind, done = "Quarantined", "stopped", "Nothing was sent."
        listed = f"The merchant's view listed it for {day(row['business_date'])}, but it failed the checks. {done}"
        yield Step(
            row["opened_at"], Order.LISTED, kind, title, (listed, *reasons), f"run {row['run_id']}; {row['reasons']}",
            ("rejected", row["reasons"], title),
        )  # fmt: skip
    matter = records.quarantine
    if matter is not None and matter["released_by"] == "mended":
        said = "The merchant's view lists it without fault now, so it is free again."
        yield Step(
            matter["released_at"], Order.DECIDED, "plain", "Mended", (said,),
            f"by rule: {matter['release_reason']}",
        )  # fmt: skip


def _passed(records: Records) -> Iterator[Step]:
    for row in records.passed:
        title, said = words.PASSED.get(
            (row["fate"], row["reason"]),
            (str(row["fate"]).replace("_", " ").capitalize(), f"Because: {row['reason']}."),
        )
        dry = ("A dry run looked at it and decided nothing.",) if row["dry_run"] and row["reason"] != "dry_run" else ()
        why = f"run {row['run_id']} for {day(row['business_date'])}; {row['fate']}: {row['reason']}"
        yield Step(
            row["opened_at"], Order.LISTED, "waits", title, (said, *dry), why, ("passed", row["fate"], row["reason"])
        )


def _holds(records: Records) -> Iterator[Step]:
    for row in records.holds:
        subject = f"{row['scope']} {row['subject']}"
        said = (f"“{foreign(row['reason'])}”", "Nothing of it is claimed or sent until the hold is lifted.")
        placed = f"decided by {row['placed_by']}"
        yield Step(row["placed_at"], Order.DECIDED, "person", f"Hold placed on {subject}", said, placed)
        if row["released_at"] is not None:
            lifted = (f"“{foreign(row['release_reason'] or '')}”",)
            by = f"decided by {row['released_by']}"
            yield Step(row["released_at"], Order.DECIDED, "person", f"Hold lifted from {subject}", lifted, by)


def _decisions(records: Records) -> Iterator[Step]:
    for row in records.events:
        if row["batch_id"] is not None or row["kind"] in _TOLD_ELSEWHERE:
            continue
        title, effect = words.DECISIONS.get(row["kind"], (str(row["kind"]).replace("_", " ").capitalize(), ""))
        why = json.loads(row["details"]).get("why")
        said = (*((f"“{foreign(str(why))}”",) if why else ()), *((effect,) if effect else ()))
        yield Step(row["at"], Order.DECIDED, "person", title, said, f"decided by {row['actor']}")


def _closing(row: Row) -> Step:
    title = "Cancelled" if row["reason"] == "cancelled" else f"Closed: {str(row['reason']).replace('_', ' ')}"
    said = (f"“{foreign(row['words'])}”", "No further attempt is made.")
    return Step(row["closed_at"], Order.DECIDED, "person", title, said, f"decided by {row['closed_by']}")


def _attempts(records: Records) -> Iterator[Step]:
    for row in records.attempts:
        rule = words.RULES.get(row["rule"], f"By the rule {row['rule']}.")
        means = f"with the token {token_ending(str(row['token']))}, under invoice number {row['invoice_number']}"
        said = (f"{_amount(row)}, to be charged on {day(row['execute_date'])} {means}.", rule)
        why = f"run {row['run_id']}; rule {row['rule']}; line {row['line_no']} of {row['file_name']}"
        yield Step(row["created_at"], Order.CLAIMED, "plain", f"Attempt {row['attempt_no']} made", said, why)


def _batch_events(records: Records) -> Iterator[Step]:
    sealed: set[int] = set()
    for row in records.events:
        if row["state"] not in _SHOWN_STATES or (row["state"] == BatchState.SEALED and row["batch_id"] in sealed):
            continue
        sealed |= {row["batch_id"]} if row["state"] == BatchState.SEALED else set()
        kind, title, said = _SHOWN_STATES[BatchState(row["state"])]
        details = json.loads(row["details"])
        told = [f"{name.capitalize()}: {foreign(details[name])}." for name in ("proof", "why") if details.get(name)]
        yield Step(row["at"], Order.BATCH, kind, title, (said.format(name=row["subject"]), *told), f"by {row['actor']}")


def _brakes(records: Records) -> Iterator[Step]:
    for row in records.brakes:
        said = f"What its run would have sent looked unusual: {row['words']}. A person was asked before anything left."
        yield Step(
            row["pulled_at"], Order.BRAKE, "stopped", "Stopped by a brake", (said,),
            f"run {row['run_id']}; brake {row['kind']}",
        )  # fmt: skip
    for row in records.approvals:
        title = "Approved by a person" if row["answer"] == "approved" else "Refused by a person"
        said = f"“{foreign(row['words'])}”"
        why = f"run {row['run_id']}; decided by {row['answered_by']}"
        yield Step(row["answered_at"], Order.APPROVED, "person", title, (said,), why)


def _lines(records: Records, codes: ResponseCodes) -> Iterator[Step]:
    attempt_no = {row["invoice_number"]: row["attempt_no"] for row in records.attempts}
    for row in records.lines:
        if row["ingested_at"] is None:
            continue
        code = codes.look_up(row["response_code"])
        title = f"{str(row['status']).capitalize()}, says DOKU of attempt {attempt_no[row['invoice_number']]}"
        details = [f"Code {code.code}: {words.answer(code)}"]
        if row["amount"] is not None:
            details[0] = f"{for_people(int(row['amount']), row['currency'])}. {details[0]}"
        details += [f"DOKU's words: “{foreign(row['response_message'])}”."] if row["response_message"] else []
        details += [f"Approval code {foreign(row['approval_code'])}."] if row["approval_code"] else []
        details += [f"Card {foreign(row['masked_card'])}."] if row["masked_card"] else []
        details += [words.LINES[row["line_class"]]] if words.LINES.get(row["line_class"]) else []
        yield Step(
            row["ingested_at"], Order.REPORTED, str(row["status"]), title, tuple(details),
            f"line {row['line_no']} of report {row['file_name']}",
        )  # fmt: skip
        if row["written_back_at"] is not None and row["line_class"] not in ("unexpected", "other_profile"):
            told = (f"Their table of outcomes has the answer to attempt {attempt_no[row['invoice_number']]}.",)
            yield Step(row["written_back_at"], Order.TOLD, "plain", "The merchant was told", told, "by write_back")


def _other_outcomes(records: Records) -> Iterator[Step]:
    attempt_no = {row["invoice_number"]: row["attempt_no"] for row in records.attempts}
    said = {(row["invoice_number"], row["witness"]) for row in records.testimonies}
    for row in records.outcomes:
        if row["witness"] == "report" or (row["invoice_number"], row["witness"]) in said:
            continue
        title = f"Attempt {attempt_no[row['invoice_number']]} {row['status']}"
        proof = (f"{foreign(row['proof'])}.",) if row["proof"] else ()
        kind = {"withdrawn": "stopped"}.get(row["status"], str(row["status"]))
        yield Step(row["decided_at"], Order.REPORTED, kind, title, proof, f"witness: {row['witness']}")


def _questions(records: Records) -> Iterator[Step]:
    attempt_no = {row["invoice_number"]: row["attempt_no"] for row in records.attempts}
    for row in records.questions:
        title = f"DOKU was asked about attempt {attempt_no[row['subject']]}"
        said = (f"{foreign(row['words'])}.",)
        yield Step(
            row["asked_at"], Order.REPORTED, "plain", title, said, f"status call, HTTP {row['http_status'] or '-'}"
        )


def _notices(records: Records) -> Iterator[Step]:
    for row in records.notices:
        told = row["answered_at"] is not None
        title = "DOKU was told of the batch file" if told else "DOKU could not be told of the batch file"
        said = (f"{row['file_name']}: {foreign(row['words'] or 'no answer was noted')}.",)
        yield Step(row["answered_at"] or row["tried_at"], Order.BATCH, "plain", title, said, f"{row['tries']} tries")


def _testimonies(records: Records) -> Iterator[Step]:
    attempt_no = {row["invoice_number"]: row["attempt_no"] for row in records.attempts}
    for row in records.testimonies:
        by_person = row["witness"] == "person"
        who = "settled by a person" if by_person else f"says DOKU's {row['witness']}"
        title = f"Attempt {attempt_no[row['invoice_number']]} {row['status']}: {who}"
        said = [f"Evidence: “{foreign(row['evidence'])}”."]
        said += [f"Confirmed by {row['confirmed_by']}."] if row["confirmed_by"] else []
        kind = "person" if by_person else str(row["status"])
        yield Step(row["said_at"], Order.REPORTED, kind, title, tuple(said), f"decided by {row['said_by']}")


def _plans(records: Records, pay_days: Collection[int]) -> Iterator[Step]:
    for row in records.plans:
        title = words.PLANS.get(row["action"], str(row["action"]).replace("_", " ").capitalize())
        if row["action"] == NextAction.RETRY:
            title = f"{title} for {weekday(row['planned_on'])}"
        reason = foreign(row["words"])
        why = f"decided by {row['decided_by']}" if row["decided_by"] else f"rule {row['rule']}"
        kind = "person" if row["decided_by"] else "plain"
        said = [f"{reason[:1].upper()}{reason[1:]}."]
        planned = row["action"] == NextAction.RETRY and row["pay_day"]
        said += ["That is a pay day."] if planned and row["planned_on"].day in pay_days else []
        yield Step(row["decided_at"], Order.PLANNED, kind, title, tuple(said), why)


def steps_of_proposals(rows: Iterable[Row]) -> Iterator[Step]:
    """What waited for a second person, and its answer."""
    for row in rows:
        said = (f"“{foreign(row['why'])}”", "It has no effect until another person confirms it.")
        title = f"Proposed: {str(row['operation']).replace('_', ' ')}"
        by = f"proposal {row['proposal_id']} by {row['proposed_by']}"
        yield Step(row["proposed_at"], Order.DECIDED, "person", title, said, by)
        if row["answered_at"] is not None:
            answer = "Proposal confirmed" if row["state"] == ProposalState.CONFIRMED else "Proposal dropped"
            by = f"proposal {row['proposal_id']}; decided by {row['answered_by']}"
            yield Step(row["answered_at"], Order.DECIDED, "person", answer, (), by)


def steps_of_breaks(rows: Iterable[Row]) -> Iterator[Step]:
    """The life of breaks."""
    for row in rows:
        what = words.BREAKS.get(row["kind"], str(row["kind"]).replace("_", " "))
        said = (f"{foreign(row['details'])}.", "A person looks into it.")
        yield Step(row["opened_at"], Order.BREAK, "stopped", f"Break opened: {what}", said, f"break {row['break_id']}")
        for state, by, at, text in (
            ("explained", row["explained_by"], row["explained_at"], row["explanation"]),
            ("resolved", row["closed_by"], row["closed_at"], row["closed_reason"]),
        ):
            if at is not None:
                why = f"break {row['break_id']}; decided by {'a rule' if by == BY_RULE else by}"
                kind = "plain" if by == BY_RULE else "person"
                yield Step(at, Order.DECIDED, kind, f"Break {state}: {what}", (f"“{foreign(text)}”",), why)


def _of_last_attempt(records: Records, status: OutcomeStatus | None) -> str:
    last = records.attempts[-1]
    name = f"attempt {last['attempt_no']}"
    if status is None:
        if last["batch_state"] in (BatchState.CLAIMED, BatchState.SEALED, BatchState.DELIVERING):
            return f"It is in flight: {name} stands in {last['file_name']}, which has not left yet."
        return f"It is in flight: {name} is at DOKU in {last['file_name']}, and its report is awaited."
    return {
        OutcomeStatus.UNKNOWN: f"Unknown: nobody can say what became of {name}. Nothing is tried until that is known.",
        OutcomeStatus.WITHDRAWN: f"Open: {name} was withdrawn and never charged; the next run takes the charge again.",
        OutcomeStatus.DECLINED: f"Not paid: {name} was declined. {_what_next(records, last)}".rstrip(),
    }[status]


def _what_next(records: Records, last: Row) -> str:
    plans = [row for row in records.plans if row["invoice_number"] == last["invoice_number"]]
    if not plans:
        return ""
    newest = plans[-1]
    if newest["action"] == NextAction.RETRY:
        return f"The next attempt is planned for {weekday(newest['planned_on'])}."
    return f"{words.PLANS.get(newest['action'], str(newest['action']))}."


def _strongest(records: Records, invoice_number: str) -> OutcomeStatus | None:
    found = [OutcomeStatus(row["status"]) for row in records.outcomes if row["invoice_number"] == invoice_number]
    return max(found, key=STRENGTH.__getitem__, default=None)


def _numbers(rows: list[Row]) -> str:
    return " and ".join(str(row["attempt_no"]) for row in rows)


def _amount(row: Row) -> str:
    return for_people(int(row["amount"]), row["currency"])


def foreign(text: str | None) -> str:
    """Words that are not ours, without card numbers."""
    return without_card_numbers(str(text or "")).strip().rstrip(".")
