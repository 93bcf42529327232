"""The books always tie (promise 2): random views and ledgers, beside an independent recomputation in plain Python."""

from collections import Counter, defaultdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.domain.errors import BooksDoNotTie, LedgerError
from include.domain.states import BatchState
from include.ledger.books import (
    Line,
    batch_lines,
    keep_lines,
    kept_lines,
    refuse_unless_batch_ties,
    refuse_unless_run_ties,
    run_lines,
    totals,
)
from include.ledger.runs import open_run
from tests.flows_harness import BUSINESS_DATE
from tests.unit.ledger.lab import Lab, row

CHARGES = ("A", "B", "C", "D", "E")
_LEAVING = (BatchState.SEALED, BatchState.DELIVERING, BatchState.RENAMING, BatchState.DELIVERED)

_rows = st.builds(
    lambda charge, amount, **changes: row(
        charge, 0 if changes["reasons"] == "amount:unreadable" else amount, **changes
    ),
    st.sampled_from((*CHARGES, None)),
    st.sampled_from((1, 7, 1000, 10**12)),
    currency=st.sampled_from(("IDR", "IDR", "IDR", "XXX", None)),
    reasons=st.sampled_from((None, None, None, "amount:unreadable", "token:missing;amount:over_limit")),
    late=st.sampled_from((False, False, False, True)),
    attempt_no=st.sampled_from((None, None, 1, 2, 3)),
    due_date=st.sampled_from((BUSINESS_DATE, BUSINESS_DATE.replace(day=1), None)),
)


def _possible(one):
    """Validation rejects what has no id, no date, or a currency that the profile does not collect."""
    missing = one["charge_id"] is None or one["due_date"] is None or one["currency"] != "IDR"
    return {**one, "reasons": one["reasons"] or "row:missing"} if missing else one


_views = st.lists(_rows.map(_possible), max_size=12)
_outcomes = st.dictionaries(
    st.sampled_from(CHARGES),
    st.lists(st.sampled_from(("paid", "declined", "withdrawn", "unknown", "reversed")), unique=True, max_size=2),
)
_days = st.lists(st.tuples(_views, _outcomes, st.booleans()), min_size=1, max_size=4)


def _recomputed(lab: Lab, run_id: int) -> dict[tuple[str, str], list[int]]:
    """The terms of a run from the bare records, one by one."""
    found: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])

    def count(currency, term, amount) -> None:
        found[currency or "?", term][0] += 1
        found[currency or "?", term][1] += amount

    for one in lab.sql("SELECT * FROM run_charge WHERE run_id = :id", id=run_id):
        count(one["currency"], one["fate"], one["amount"])
    for one in lab.sql("SELECT * FROM quarantined_charge WHERE run_id = :id", id=run_id):
        count(one["currency"], "quarantined", one["amount"])
    states = {one["batch_id"]: one for one in lab.sql("SELECT * FROM batch")}
    for one in lab.sql("SELECT * FROM attempt"):
        batch = states[one["batch_id"]]
        if batch["run_id"] == run_id:
            term = "in_flight" if batch["state"] in ("claimed", "sealed", "delivering") else "sent"
            count(one["currency"], term, one["amount"])
    return dict(found)


def _strongest(lab: Lab) -> dict[str, str]:
    order = ("unknown", "withdrawn", "declined", "paid", "reversed")
    found: dict[str, str] = {}
    for one in lab.sql("SELECT invoice_number, status FROM outcome"):
        known = found.get(one["invoice_number"], "unknown")
        found[one["invoice_number"]] = max(known, one["status"], key=order.index)
    return found


def _check_run(lab: Lab, run_id: int, view) -> None:
    with lab.ledger.read() as connection:
        at_claim = [line for line in kept_lines(connection, run_id) if line.term in ("rows", "due")]
        lines = [*at_claim, *run_lines(connection, run_id)]
    refuse_unless_run_ties(lines)
    found = totals(lines)
    rows: Counter[str] = Counter()
    amounts: Counter[str] = Counter()
    for one in view:
        rows[one["currency"] or "?"] += 1
        amounts[one["currency"] or "?"] += one["amount"]
    assert {currency: found[currency, "rows"] for currency in rows} == {
        currency: (rows[currency], amounts[currency]) for currency in rows
    }
    recomputed = _recomputed(lab, run_id)
    terms = ("sent", "quarantined", "held", "deferred", "in_flight", "settled")
    assert {key: value for key, value in found.items() if key[1] in terms} == {
        key: tuple(value) for key, value in recomputed.items()
    }


def _check_batches(lab: Lab) -> None:
    strongest = _strongest(lab)
    for batch in lab.sql("SELECT * FROM batch"):
        with lab.ledger.read() as connection:
            lines = batch_lines(connection, batch["batch_id"])
        refuse_unless_batch_ties(batch["file_name"], lines)
        expected: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for one in lab.sql("SELECT * FROM attempt WHERE batch_id = :id", id=batch["batch_id"]):
            status = strongest.get(one["invoice_number"], "awaiting")
            term = "paid" if status == "reversed" else status
            expected[term][0] += 1
            expected[term][1] += one["amount"]
        found = {term: value for (_, term), value in totals(lines).items() if term != "sent"}
        assert found == {term: tuple(value) for term, value in expected.items()}


def _live(lab: Lab) -> None:
    """At most one attempt of a charge is live, and none follows a paid one that was known."""
    strongest = _strongest(lab)
    attempts = defaultdict(list)
    for one in lab.sql("SELECT * FROM attempt ORDER BY attempt_no"):
        attempts[one["charge_id"]].append(one["invoice_number"])
    for numbers in attempts.values():
        assert all(strongest.get(number) is not None for number in numbers[:-1])


def _wipe(lab: Lab) -> None:
    from include.ledger import tables

    with lab.ledger.write() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        for table in reversed(tables.metadata.sorted_tables):
            if table.name not in ("ledger", "layout"):
                connection.execute(table.delete())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=_days)
def test_random_days_tie_and_equal_a_plain_recomputation(sqlite_lab, days):
    _wipe(sqlite_lab)
    for view, outcomes, leaves in days:
        run, batch_ids = sqlite_lab.claim(*view)
        if leaves:
            for batch_id in batch_ids:
                sqlite_lab.move(batch_id, *_LEAVING)
        _check_run(sqlite_lab, run.run_id, view)
        known = {
            one["charge_id"]: one["invoice_number"]
            for one in sqlite_lab.sql("SELECT * FROM attempt ORDER BY attempt_no")
        }
        have = {(one["invoice_number"], one["status"]) for one in sqlite_lab.sql("SELECT * FROM outcome")}
        for charge_id, statuses in outcomes.items():
            for status in statuses:
                if charge_id in known and (known[charge_id], status) not in have:
                    sqlite_lab.outcome(known[charge_id], status)
        _check_run(sqlite_lab, run.run_id, view)
        _check_batches(sqlite_lab)
        _live(sqlite_lab)


@pytest.mark.parametrize("seed", range(3))
def test_both_databases_decide_alike(lab, seed):
    """The same random days, deterministic by their seed, give the same fates on either; see `_EXPECTED`."""
    from random import Random

    chance = Random(seed)
    fates = []
    for _ in range(3):
        view = [
            _possible(
                row(
                    chance.choice(CHARGES),
                    chance.choice((1, 7, 1000)),
                    attempt_no=chance.choice((None, None, 2)),
                    late=chance.random() < 0.1,
                    reasons=chance.choice((None, None, None, "token:missing")),
                )
            )
            for _ in range(8)
        ]
        run, _ = lab.claim(*view)
        _check_run(lab, run.run_id, view)
        fates.append(sorted(map(str, lab.fates(run).items())))
        for one in lab.sql(
            "SELECT a.* FROM attempt a LEFT JOIN outcome o USING (invoice_number) WHERE o.status IS NULL"
        ):
            lab.outcome(one["invoice_number"], chance.choice(("paid", "declined", "withdrawn", "unknown")))
        _check_batches(lab)
    expected = _decided.setdefault(seed, fates)
    assert fates == expected


_decided: dict[int, list[list[str]]] = {}


# --- what does not tie ---


def _line(term: str, count: int, amount: int, currency: str = "IDR") -> Line:
    return Line(0, currency, term, "", count, amount)


@pytest.mark.parametrize(
    "lines",
    [
        [_line("rows", 2, 20), _line("due", 1, 10)],
        [_line("rows", 1, 10), _line("due", 1, 11)],
        [_line("rows", 1, 10), _line("due", 1, 10), _line("sent", 1, 9)],
        [_line("rows", 1, 10), _line("due", 1, 10), _line("sent", 1, 10), _line("held", 1, 0)],
        [_line("rows", 1, 10), _line("due", 1, 10), _line("sent", 1, 10, "USD")],
        [_line("settled", 1, 10)],
    ],
)
def test_books_that_do_not_tie_are_refused_with_both_sides(lines):
    with pytest.raises(BooksDoNotTie, match=r"do not tie: .* but "):
        refuse_unless_run_ties(lines)


def test_books_that_tie():
    refuse_unless_run_ties([])
    refuse_unless_run_ties(
        [
            _line("rows", 4, 40),
            _line("settled", 1, 10),
            _line("due", 3, 30),
            _line("sent", 1, 10),
            _line("held", 1, 10),
            _line("quarantined", 1, 10),
        ]
    )
    refuse_unless_batch_ties("f", [_line("sent", 2, 5), _line("paid", 1, 2), _line("awaiting", 1, 3)])


def test_a_batch_that_does_not_tie_is_named():
    with pytest.raises(BooksDoNotTie, match=r"TKN_1\.TXT: sent"):
        refuse_unless_batch_ties("TKN_1.TXT", [_line("sent", 2, 5), _line("paid", 1, 2)])


def test_rows_that_were_read_but_not_staged_stop_the_claim(lab):
    run = lab.run()
    with lab.ledger.workspace() as workspace:
        from include.ledger.claims import claim

        with pytest.raises(LedgerError, match="1 rows were read but 0 are staged"):
            claim(workspace, run, lab.plan(), {"IDR": (1, 10)}, lab.now)
    assert lab.sql("SELECT state FROM run") == [{"state": "open"}]


def test_an_amount_that_was_counted_otherwise_stops_the_claim(lab):
    run = lab.run()
    with lab.ledger.workspace() as workspace:
        from include.ledger.bulk import insert_frame
        from include.ledger.claims import claim
        from include.ledger.work_tables import staged_charge
        from tests.unit.ledger.lab import frame_of

        with workspace.stage() as connection:
            insert_frame(connection, staged_charge, frame_of([row("A", 10)]))
        with pytest.raises(BooksDoNotTie):
            claim(workspace, run, lab.plan(), {"IDR": (1, 11)}, lab.now)
    assert lab.sql("SELECT * FROM attempt") == []
    assert lab.sql("SELECT state FROM run") == [{"state": "open"}]


def test_books_are_stored_once(lab):
    run, _ = lab.claim(row("A"), row("B", reasons="token:missing"), row("B2", reasons="x" * 500))
    with lab.ledger.write() as connection:
        keep_lines(connection, run.run_id, run_lines(connection, run.run_id))
        first = kept_lines(connection, run.run_id)
        keep_lines(connection, run.run_id, run_lines(connection, run.run_id))
        assert kept_lines(connection, run.run_id) == first
    refuse_unless_run_ties(first)


# --- runs and batches ---


def test_a_run_keeps_its_terms(lab):
    first = lab.run(external_id="one")
    again = lab.run(external_id="one", business_date=BUSINESS_DATE.replace(day=1), dry_run=True)
    assert again == first
    assert not first.past
    assert lab.run(external_id="two", business_date=BUSINESS_DATE.replace(day=19)).past
    assert open_run.__doc__


def test_claiming_again_finds_the_first_claim(lab):
    run, batch_ids = lab.claim(row("A"), row("B"))
    before = lab.dump()
    assert lab.claim(row("A"), row("B"), row("C"), run=run) == (run, batch_ids)
    assert lab.dump() == before


def test_batches_are_split_by_rows_by_amount_and_by_currency(lab):
    _, batch_ids = lab.claim(*(row(f"C{number}", 100) for number in range(7)), max_rows=3)
    assert [one["line_count"] for one in lab.sql("SELECT * FROM batch ORDER BY batch_id")] == [3, 3, 1]
    _, more = lab.claim(*(row(f"D{number}", 100) for number in range(5)), max_total=250)
    found = lab.sql("SELECT * FROM batch WHERE batch_id > :id ORDER BY batch_id", id=batch_ids[-1])
    assert [(one["line_count"], one["total_amount"], one["sequence"]) for one in found] == [
        (2, 200, 4), (2, 200, 5), (1, 100, 6),
    ]  # fmt: skip
    for batch_id in (*batch_ids, *more):
        lines = lab.sql("SELECT line_no FROM attempt WHERE batch_id = :id ORDER BY line_no", id=batch_id)
        assert [one["line_no"] for one in lines] == list(range(1, len(lines) + 1))


@pytest.mark.parametrize(
    ("request_", "reason"),
    [({"dry_run": True}, "dry_run"), ({"business_date": BUSINESS_DATE.replace(day=19)}, "past_date")],
)
def test_what_may_not_go_out_is_held_and_shown(lab, request_, reason):
    run, batch_ids = lab.claim(row("A"), row("B", reasons="token:missing"), run=lab.run(**request_))
    assert batch_ids == []
    assert lab.fates(run) == Counter({("A", "held", reason): 1, ("B", "quarantined", "token:missing"): 1})
    assert lab.sql("SELECT * FROM attempt") == []


def test_a_past_date_goes_out_when_its_total_is_named(lab):
    past = BUSINESS_DATE.replace(day=19)
    wrong = lab.run(business_date=past, send_past_total=2001)
    assert lab.claim(row("A"), row("B"), run=wrong)[1] == []
    right = lab.run(business_date=past, send_past_total=2000)
    assert len(lab.claim(row("A"), row("B"), run=right)[1]) == 1
