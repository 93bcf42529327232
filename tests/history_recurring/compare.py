"""What the package has in its books of a month, and what must stand there."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from include.flows.recurring.books import books_of_charges
from tests.history_recurring.books import Books, Break, Rules, last_day
from tests.history_recurring.play import ASK_AGAIN_MINUTES, EXPECTED_HOURS, MATCH_DAYS, House
from tests.history_recurring.truth import read
from tests.history_recurring.world import FIRST_DAY


def booked_again(house: House) -> Books:
    """The books of a merchant, worked out from the simulator's journals."""
    older = house.dialect == "onecheckout"
    truth = read(house.doku.simulator.config.root, house.world, older=older)
    return Books(house.world, Rules(older, MATCH_DAYS, EXPECTED_HOURS, ASK_AGAIN_MINUTES), truth).walk()


def differences(house: House, books: Books) -> Iterator[str]:
    """Everything in which the package's books differ from those; a sentence each."""
    yield from books.truth.wrongly
    yield from books.wrong_answers
    yield from _of_bills(house, books)
    yield from _of_charges(house, books)
    yield from _of_attempts(house, books)
    yield from _of_breaks(house, books)
    yield from _of_the_merchant(house, books)
    yield from _of_questions(books)
    yield from _of_days(house, books)


def _of_bills(house: House, books: Books) -> Iterator[str]:
    """The register, in the ledger and as the merchant was told of it."""
    told = {row["billing_number"]: row for row in house.people.told("doku_bill_status")}
    rows = {
        row["billing_number"]: row for row in house.sql("SELECT * FROM bill WHERE profile = :p", p=house.world.name)
    }
    for number, bill in books.bills.items():
        right = {
            "state": bill.state, "masked_card": bill.masked_card, "registered_at": _second(bill.registered),
            "over_at": _second(bill.over), "customer_id": bill.wish.customer_id,
        }  # fmt: skip
        for where, found in (("the ledger", rows.pop(number, None)), ("the merchant's table", told.pop(number, None))):
            has = found and {**{name: found[name] for name in right}, **{
                name: _second(found[name]) for name in ("registered_at", "over_at")}}  # fmt: skip
            if has != right:
                yield f"bill {number} is {right}, {where} has {has}"
        asked, cancelled = books.truth.requested[number], books.truth.ended.get(number)
        if [_second(one) for one in bill.taken] != asked:
            yield f"DOKU was asked for bill {number} at {asked}, and not at {bill.taken}"
        if _second(bill.cancelled) != cancelled:
            yield f"DOKU was asked to end bill {number} at {cancelled}, and not at {bill.cancelled}"
    yield from (f"there is no bill {number}" for number in {**rows, **told})


def _of_charges(house: House, books: Books) -> Iterator[str]:
    """What is expected."""
    query = "SELECT charge_id, billing_number, expected_on, amount FROM bill_charge WHERE profile = :p"
    found = {
        (row["billing_number"], _day(row["expected_on"])): row["amount"] for row in house.sql(query, p=house.world.name)
    }
    yield from _compared("charge", books.charges, found)


def _of_attempts(house: House, books: Books) -> Iterator[str]:
    """Each transaction that is known, once: of which charge it is, and what became of it."""
    query = """
        SELECT a.reference, a.billing_number, a.expected_on, a.attempt_no, a.amount, o.status, o.response_code
        FROM bill_attempt a LEFT JOIN bill_outcome o ON o.profile = a.profile AND o.reference = a.reference
          AND NOT EXISTS (SELECT 1 FROM bill_outcome s WHERE s.profile = o.profile AND s.reference = o.reference
                          AND s.strength > o.strength)
        WHERE a.profile = :p
    """
    found = {
        row["reference"]: (
            (row["billing_number"], _day(row["expected_on"])) if row["expected_on"] else None, row["status"],
            row["response_code"] or "", row["amount"],
        )
        for row in house.sql(query, p=house.world.name) if "/" not in row["reference"]
    }  # fmt: skip
    right = {name: (one.charge, one.status, one.code, one.amount) for name, one in books.attempts.items()}
    yield from _compared("transaction", right, found)


def _of_breaks(house: House, books: Books) -> Iterator[str]:
    rows = house.sql("SELECT * FROM recon_break WHERE profile = :p", p=house.world.name)
    found = Counter(Break(row["kind"], row["subject"], row["amount"]) for row in rows if row["state"] != "resolved")
    expected = books.breaks()
    yield from (f"break {one} is lacking" for one in expected - found)
    yield from (f"break {one} is too many" for one in found - expected)
    yield from (f"break {row['break_id']} says nothing" for row in rows if not row["details"])
    came = {row["subject"] for row in rows if (row["kind"], row["state"]) == ("missing_charge", "resolved")}
    yield from _compared(
        "missing charge that came", dict.fromkeys(f"{bill}/{day}" for bill, day in books.came), dict.fromkeys(came)
    )


def _of_the_merchant(house: House, books: Books) -> Iterator[str]:
    """What doku_charge_outcomes says: a row for each transaction of a charge, numbered without a gap."""
    rows = house.people.told("doku_charge_outcomes")
    found = {
        (row["charge_id"], row["invoice_number"]): (row["status"], row["response_code"] or "", int(row["amount"]))
        for row in rows
    }
    if len(found) != len(rows):
        yield f"the merchant was told of {len(rows) - len(found)} transactions twice"
    yield from _compared("outcome", books.told(), found)
    numbers: dict[str, list[int]] = {}
    for row in rows:
        numbers.setdefault(row["charge_id"], []).append(row["attempt_no"])
    for charge_id, listed in numbers.items():
        if sorted(listed) != list(range(1, len(listed) + 1)):
            yield f"charge {charge_id} has the attempts {sorted(listed)}"


def _of_questions(books: Books) -> Iterator[str]:
    """What DOKU was asked for, and when."""
    right = Counter((_second(moment), name) for name, moments in books.asked.items() for moment in moments)
    found = Counter((_second(moment), name) for moment, name in books.truth.asked)
    yield from (f"{name} must have been asked for at {moment}" for moment, name in sorted(right - found, key=str))
    yield from (f"{name} must not have been asked for at {moment}" for moment, name in sorted(found - right, key=str))


def _of_days(house: House, books: Books) -> Iterator[str]:
    """The books of each day, count and rupiah by term; and that they tie."""
    told = books_of_charges(house.context, FIRST_DAY, last_day())
    if not told["ties"]:
        yield told["why_not"]
    found = {
        date.fromisoformat(day["day"]): {
            term: (one["count"], one["amount"])
            for term, one in day.items() if isinstance(one, Mapping) and one["count"]
        }
        for day in told["days"]
    }  # fmt: skip
    yield from _compared("the books of", books.by_day(), found)


def _compared(what: str, right: Mapping[Any, Any], found: Mapping[Any, Any]) -> Iterator[str]:
    for key in sorted({*right, *found}, key=str):
        if key not in found:
            yield f"{what} {key}: {right[key]} is lacking"
        elif key not in right:
            yield f"{what} {key}: {found[key]} is too many"
        elif right[key] != found[key]:
            yield f"{what} {key}: {right[key]} is right, the package has {found[key]}"


def _second(moment: Any) -> datetime | None:
    """A moment in whole seconds, UTC; databases and journals write it in several ways."""
    if moment is None:
        return None
    read_ = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    aware = read_ if read_.tzinfo else read_.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(microsecond=0)


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)
