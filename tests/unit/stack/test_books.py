"""The demo believes no books that it cannot add up itself."""

import pytest

from tests.stack.books import balances_that_fail


def _books(**changes):
    def term(count, amount, **parts):
        return {"count": count, "amount": amount, **parts}

    books = {
        "currency": "IDR",
        "rows": term(10, 1000),
        "settled": term(1, 100),
        "due": term(9, 900),
        "quarantined": term(2, 150, by_reason={"token:missing": term(2, 150)}),
        "held": term(0, 0),
        "deferred": term(1, 50),
        "in_flight": term(0, 0),
        "sent": term(6, 700),
        "paid": term(4, 500),
        "declined": term(1, 100, by_code={"0051": term(1, 100)}),
        "withdrawn": term(0, 0),
        "unknown": term(1, 100),
        "awaiting": term(0, 0),
    }
    return {**books, **changes}


def test_books_that_tie():
    assert balances_that_fail(_books()) == []


@pytest.mark.parametrize("term", ["rows", "settled", "due", "sent", "paid", "quarantined", "awaiting"])
@pytest.mark.parametrize("unit", ["count", "amount"])
def test_one_off_anywhere_is_seen(term, unit):
    books = _books()
    books[term] = {**books[term], unit: books[term][unit] + 1}
    assert any(unit in sentence for sentence in balances_that_fail(books))
