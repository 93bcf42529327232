"""What the package has in its books of a history, and what must stand there."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Final

from include.domain.states import BatchState
from include.flows.explain import as_text, explain
from include.flows.explain_words import PLANS
from include.ledger.batches import Batch, batches_in
from include.ledger.books import batch_lines
from tests.history.books import Books, Break, never_left, read, sent_by
from tests.history.doku import read_files, read_reports
from tests.history.play import History, House
from tests.history.retries import Ends, Side

WHAT_NEXT: Final = tuple(PLANS.values())
"""Titles of the steps that say what comes after a decline."""

_ATTEMPTS: Final = """
    SELECT a.invoice_number, a.charge_id, a.attempt_no, a.amount, a.token, a.execute_date, a.rule, b.file_name,
           b.business_date, b.state, o.status, o.response_code
    FROM attempt a JOIN batch b ON b.batch_id = a.batch_id
    LEFT JOIN outcome o ON o.invoice_number = a.invoice_number AND NOT EXISTS (
        SELECT 1 FROM outcome s WHERE s.invoice_number = o.invoice_number AND s.strength > o.strength)
    WHERE a.profile = :profile
"""


def booked_again(history: History) -> dict[str, Books]:
    """The books by profile, worked out from the files at the server and the journals."""
    doku = history.doku
    sent = {
        name: sent_by(read_files(house.desk.root, history.keys, doku.batch_form))
        for name, house in history.houses.items()
    }
    found = {}
    for name, house in history.houses.items():
        journal = house.people.journal
        amounts = {charge_id: one.amount for charge_id, one in house.world.charges.items()}
        books = Books(
            sent[name], never_left(sent[name].values(), amounts),
            frozenset(invoice for other, theirs in sent.items() if other != name for invoice in theirs),
            journal.settled, journal.refused,
        )  # fmt: skip
        read_on = {
            name: next(one for one in journal.reconciles if one >= day) for name, day in house.desk.arrived.items()
        }
        read(read_reports(house.desk.root, history.keys), read_on, doku.report_form, books)
        found[name] = books
    _vanished(sides(history, found))
    return found


def _vanished(both: Sequence[Side]) -> None:
    """Charges that went off the view once they were claimed; those of a stopped card had not been."""
    ends = Ends.of(both)
    for side in both:
        for day, gone in side.journal.vanished.items():
            for charge_id in gone:
                charge = side.world.charges[charge_id]
                if not ends.stop(side, charge_id, charge.customer.token, day):
                    side.books.withdrawn[charge_id, 1] = charge.amount


def sides(history: History, books: dict[str, Books]) -> list[Side]:
    """What the rules are checked against."""
    return [
        Side(house.world, house.people.journal, books[name], house.context.profile.retry.model_dump())
        for name, house in history.houses.items()
    ]


def differences(house: House, books: Books) -> Iterator[str]:
    """Everything in which the package's books differ from those; a sentence each."""
    attempts = house.harness.sql(_ATTEMPTS, profile=house.world.name)
    yield from _of_attempts(house, books, attempts)
    yield from _of_batches(house, books)
    yield from _of_breaks(house, books)
    yield from _of_the_merchant(house, books, attempts)
    yield from _of_reports(house, books)


def gaps(house: House, side: Side) -> Iterator[str]:
    """Charges that were listed on more days, or fewer, than the ledger can say what became of them on."""
    query = """
        SELECT charge_id, count(*) AS days FROM (
            SELECT charge_id FROM run_charge x JOIN run r ON r.run_id = x.run_id WHERE r.profile = :profile
            UNION ALL
            SELECT charge_id FROM quarantined_charge x JOIN run r ON r.run_id = x.run_id WHERE r.profile = :profile
            UNION ALL
            SELECT charge_id FROM attempt WHERE profile = :profile
        ) y GROUP BY charge_id
    """
    told = {row["charge_id"]: row["days"] for row in house.harness.sql(query, profile=house.world.name)}
    for charge_id in house.world.charges:
        listed = len(listed_on(side, charge_id))
        if listed != told.get(charge_id, 0):
            yield f"{charge_id} was listed on {listed} days, the ledger tells of {told.get(charge_id, 0)}"


def listed_on(side: Side, charge_id: str) -> list[date]:
    """The days on which a run saw a charge in the view."""
    charge = side.world.charges[charge_id]
    since = max(charge.due, charge.listed)
    off = min(
        (day for day, acts in side.journal.acts.items() for act in acts
         if (act.what, act.charge_id) == ("delist", charge_id)),
        default=date.max,
    )  # fmt: skip
    gone = (day for day, charge_ids in side.journal.vanished.items() if charge_id in charge_ids)
    off = min(off, next((day + timedelta(days=1) for day in gone), date.max))
    seen = [day for day in side.journal.submits if since <= day < off]
    return seen if charge.lingers else [day for day in seen if not side.is_told_paid(charge_id, day)]


def untold(house: House, side: Side, charge_ids: Iterable[str]) -> Iterator[str]:
    """What `explain` leaves out of the story of some charges."""
    for charge_id in charge_ids:
        story = explain(house.context, charge_id)
        titles = [step.title for step in story.steps]
        seen = sum(step.times for step in story.steps if step.again) + sum(one.endswith(" made") for one in titles)
        if seen != len(listed_on(side, charge_id)):
            yield f"{charge_id}: the story tells of {seen} days, it was listed on {len(listed_on(side, charge_id))}"
        for one in side.attempts.get(charge_id, ()):
            if f"Attempt {one.number} made" not in titles:
                yield f"{charge_id}: nothing is said of attempt {one.number}"
            for _, line in side.lines.get(one.invoice, ()):
                if f"{line.status.capitalize()}, says DOKU of attempt {one.number}" not in titles:
                    yield f"{charge_id}: nothing is said of the answer {line.code} to attempt {one.number}"
            known = side.declined(one)
            undecided = known and not side.is_paid(charge_id, known[0] + timedelta(days=1))
            if undecided and not any(title.startswith(WHAT_NEXT) for title in titles):
                yield f"{charge_id}: nothing is said of what comes after attempt {one.number}"
        yield from (f"{charge_id}: {step.title} without a reason" for step in story.steps if not step.why.strip())
        if any(one.token in text for one in side.attempts.get(charge_id, ()) for text in (as_text(story),)):
            yield f"{charge_id}: the story shows a token"


def _of_attempts(house: House, books: Books, attempts: list[dict[str, Any]]) -> Iterator[str]:
    """Each attempt: that there is it, its figures, and its outcome."""
    down = {day.isoformat() for day in house.world.down}
    vanished = {day.isoformat() for day in house.people.journal.vanished}
    unseen = set(books.sent)
    left_behind = dict(books.withdrawn)
    for row in attempts:
        key = (row["charge_id"], row["attempt_no"])
        one = books.sent.get(row["invoice_number"])
        if one is None:
            amount = left_behind.pop(key, None)
            explained = str(row["business_date"]) in down | vanished
            if row["status"] != "withdrawn" or not explained or amount not in (None, row["amount"]):
                yield f"{key} never left on {row['business_date']} and is {row['status']}"
            continue
        unseen.discard(one.invoice)
        said = (one.charge_id, one.number, one.amount, one.token, one.batch, one.day.isoformat())
        kept = (*key, row["amount"], row["token"], row["file_name"], str(row["execute_date"]))
        if said != kept:
            yield f"{one.invoice} was sent as {said}, the ledger has {kept}"
        fate = books.fates[one.invoice]
        code = row["response_code"] or "" if row["status"] == fate.status != "withdrawn" else ""
        if (row["status"] or "awaiting", code) != (fate.status, fate.code if fate.status != "withdrawn" else ""):
            yield f"{one.invoice} is {fate}, the ledger has {row['status']} {row['response_code']}"
        if not row["rule"]:
            yield f"{one.invoice} was made by no rule"
    yield from (f"{invoice} was sent and the ledger does not know it" for invoice in unseen)
    yield from (f"{key} must have been withdrawn and is not there" for key in left_behind)


def _of_batches(house: House, books: Books) -> Iterator[str]:
    """Each batch file: its terms in count and rupiah."""
    expected = books.of_batches()
    with house.context.ledger.read() as connection:
        batches: list[Batch] = batches_in(connection, house.world.name, list(BatchState))
        found = {one.file_name: batch_lines(connection, one.batch_id) for one in batches}
    for one in batches:
        terms = {
            (line.term, line.detail): (line.count, line.amount)
            for line in found[one.file_name] if line.term != "sent"
        }  # fmt: skip
        left_before = (one.withdrawn_count, one.withdrawn_amount)
        mine = dict(expected.pop(one.file_name, {}))
        if not mine:  # it never left
            left_before = (one.line_count, one.total_amount)
        if left_before[0]:
            count, amount = mine.get(("withdrawn", ""), (0, 0))
            mine["withdrawn", ""] = (count + left_before[0], amount + left_before[1])
        if terms != mine:
            yield f"{one.file_name}: {mine} is right, the ledger has {terms}"
    yield from (f"the ledger knows no batch {name}" for name in expected)


def _of_breaks(house: House, books: Books) -> Iterator[str]:
    rows = house.harness.sql("SELECT * FROM recon_break WHERE profile = :profile", profile=house.world.name)
    found = Counter(
        Break(row["kind"], row["invoice_number"] or "", row["amount"], row["state"] == "resolved") for row in rows
        if row["kind"] != "witnesses_disagree" or row["state"] != "resolved"
    )  # fmt: skip
    expected = books.breaks()
    yield from (f"break {one} is lacking" for one in expected - found)
    yield from (f"break {one} is too many" for one in found - expected)
    yield from (f"break {row['break_id']} says nothing" for row in rows if not row["details"])


def _of_the_merchant(house: House, books: Books, attempts: list[dict[str, Any]]) -> Iterator[str]:
    """What doku_charge_outcomes says of each attempt."""
    told = house.people.told()
    for row in attempts:
        one = books.sent.get(row["invoice_number"])
        fate = books.fates[one.invoice] if one else None
        expected = fate.status if fate else "withdrawn"
        status, code, amount = told.pop((row["charge_id"], row["attempt_no"]), ("nothing", "", 0))
        if one is None and status == "nothing":
            continue  # it was never told: it was claimed and withdrawn before anything was said
        code = code or "" if fate and status not in ("withdrawn", "in_flight") else ""
        right = ("in_flight" if expected == "awaiting" else expected, fate.code if fate else "", row["amount"])
        if (status, code, amount) != right:
            said = (status, code, amount)
            yield f"the merchant was told {said} of {row['charge_id']} {row['attempt_no']}, not {right}"
    yield from (f"the merchant was told of {key}, which there is not" for key in told)


def _of_reports(house: House, books: Books) -> Iterator[str]:
    """Each file that can be taken in was, and none of the others; those that were replaced were refused before."""
    found = defaultdict(set)
    query = "SELECT file_name, state FROM report_file WHERE profile = :profile"
    for row in house.harness.sql(query, profile=house.world.name):
        found[row["file_name"]].add(row["state"])
    for name in books.refused:
        if found[name] != {"refused"}:
            yield f"report {name} cannot be taken in, and is {found[name]}"
    for report in books.reports:
        states = found.get(report.name)  # a copy under another name is known under the first one
        if states is not None and "written_back" not in states:
            yield f"report {report.name} is {states}"
