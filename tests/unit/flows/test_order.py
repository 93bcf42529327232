"""Conservation under reordering: reports taken in in any order, and split in any way, give the same final tables.

The one thing that a split can change is a file of its own in which no line ties: promise 5 refuses it as not ours. So
each file here has at least one line that ties.
"""

import shutil
import threading
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from include.flows.books import books_of_day
from include.flows.ingest import ingest_fetched
from include.flows.plan_next import plan_next_attempts
from include.flows.reconcile import conclude_batches, write_back
from tests.flows_harness import BUSINESS_DATE, Merchant, charge

CHARGES = ("C1", "C2", "C3", "C4", "C5")
AGAIN = ("C1", "C2")
"""Charges with a second attempt at DOKU, after the first was declined."""


@pytest.fixture(scope="module")
def base(tmp_path_factory, ledger_file, doku_keys):
    """A merchant with one attempt of each charge at DOKU, and a second one of two that were declined."""
    root = tmp_path_factory.mktemp("base")
    shutil.copyfile(ledger_file, root / "ledger.db")
    merchant = _merchant(root, doku_keys)
    _send(merchant)
    merchant.ledger.engine.dispose()
    return root, doku_keys


def _send(merchant):
    merchant.list_charges(*(charge(name, 100_000) for name in CHARGES))
    merchant.submit()
    first = merchant.invoices()
    merchant.report(*((first[name], 100_000, "0051") for name in AGAIN), name="RPT_0.TXT")
    merchant.reconcile()
    merchant.change_charges("attempt_no = 2 WHERE charge_id IN ('C1', 'C2')")
    merchant.submit()
    assert len(merchant.sql("SELECT * FROM attempt WHERE attempt_no = 2")) == len(AGAIN)


def _merchant(root, keys):
    from include.domain.connection import ConnectionSettings

    return Merchant(
        root=root, ledger_settings=ConnectionSettings("l", "sqlite", host=str(root / "ledger.db")), keys=keys
    )


_CODES = st.sampled_from(["0000", "0000", "0011", "0051", "0005", "0004", "0010", "5536", "9999", "ZZZZ"])
_ATTEMPTS = st.sampled_from([*((name, 1) for name in CHARGES), *((name, 2) for name in AGAIN)])
_LINE = st.tuples(
    _ATTEMPTS, _CODES, st.sampled_from([100_000, 100_000, 100_000, 90_000]), st.sampled_from(["", "A1", "A2"]),
    st.sampled_from(["", "", "", "REFUNDED"]),
)  # fmt: skip
_STRANGE = st.tuples(st.just(("NOBODY", 1)), _CODES, st.just(5_000), st.just(""), st.just(""))


@st.composite
def _reports(draw):
    """Lines; and the same lines in another order, cut into files."""
    lines = draw(st.lists(_LINE, min_size=1, max_size=9)) + draw(st.lists(_STRANGE, max_size=2))
    shuffled = draw(st.permutations(lines))
    files = [[]]
    for line in shuffled:
        if files[-1] and draw(st.booleans()):
            files.append([])
        files[-1].append(line)
    tied = [file for file in files if any(line[0][0] != "NOBODY" for line in file)]
    for file in files:  # strangers go along with others
        if file not in tied:
            tied[0].extend(file)
    return lines, tied


def _text(numbers, lines, part, parts):
    rows = []
    for key, code, amount, approval, word in lines:
        invoice = numbers.get(key, "NOBODYSINVOICE000001")
        rows.append(f"D|{invoice}|||{amount}.00|IDR|{word}|{code}||{approval}|||")
    total = sum(amount for _, _, amount, _, _ in lines)
    paid = sum(code in ("0000", "0011") and not word for _, code, _, _, word in lines)
    sums = f"{len(lines)}|{total}.00|{paid}|{len(lines) - paid}"
    header = f"H|TKN_MCH0001_20261120_0001.TXT|20261120|{sums}|{part}|{parts}"
    return "".join(f"{row}\r\n" for row in [header, *rows]).encode()


def _final(root, keys, tmp_path, files):
    """Every table as it is in the end, without what tells when and in which file something came."""
    shutil.copytree(root, tmp_path)
    merchant = _merchant(tmp_path, keys)
    numbers = _numbers(merchant)
    for part, lines in enumerate(files, 1):
        merchant.server.put(f"/outbound/RPT_{part}.TXT", _text(numbers, lines, part, len(files)))
        merchant.later(minutes=15)
        merchant.fetch()
        (ingested,) = ingest_fetched(merchant.context)
        assert ingested.refused_reason is None
        conclude_batches(merchant.context, 1)
        write_back(merchant.context)
    found = _tables(merchant)
    merchant.ledger.engine.dispose()
    return found


def _numbers(merchant):
    rows = merchant.sql("SELECT charge_id, attempt_no, invoice_number FROM attempt")
    return {(row["charge_id"], row["attempt_no"]): row["invoice_number"] for row in rows}


def _tables(merchant):
    tables = {
        "outcome": "SELECT invoice_number, status, response_code, approval_code, amount, witness FROM outcome",
        "lines": "SELECT invoice_number, status, response_code, approval_code, amount, line_class FROM report_line",
        "breaks": "SELECT kind, subject, invoice_number, amount, details, state, closed_by, closed_reason, booked "
        "FROM recon_break",
        "batch": "SELECT file_name, state FROM batch",
    }
    found = {name: Counter(tuple(row.values()) for row in merchant.sql(query)) for name, query in tables.items()}
    books = books_of_day(merchant.context, BUSINESS_DATE)
    found["books"] = {name: value for name, value in books.items() if name not in ("reports", "files")}
    differ = ("updated_at", "decided_at", "ledger_id")
    found["told"] = {
        key: {name: value for name, value in row.items() if name not in differ} for key, row in merchant.told().items()
    }
    assert books["ties"]
    return found


def _told(key, code, approval=""):
    return (key, code, 100_000, approval, "")


@example(
    case=(
        [_told(("C2", 1), "0051", "A2"), _told(("C2", 2), "0000")],
        [[_told(("C2", 1), "0051", "A2")], [_told(("C2", 2), "0000")]],
    )
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=_reports())
def test_reports_in_any_order_and_split_in_any_way_give_the_same_final_tables(base, tmp_path_factory, case):
    root, keys = base
    lines, files = case
    folder = tmp_path_factory.mktemp("order")
    whole = _final(root, keys, folder / "whole", [lines])
    assert _final(root, keys, folder / "split", files) == whole
    shutil.rmtree(folder)


SIDE_BY_SIDE = (
    [("0000", "A1"), ("0000", "A1")],
    [("0000", "A1"), ("0051", "")],
    [("0051", ""), ("0010", "")],
)
"""What two reports say of the same attempts: the same; a contradiction; two declines, one stricter than the other."""


@pytest.mark.services
@pytest.mark.xdist_group("ledger")
@pytest.mark.parametrize("said", SIDE_BY_SIDE)
def test_reports_that_are_taken_in_side_by_side_end_as_one_after_the_other(
    base, tmp_path, make_merchant, postgresql_ledger, said
):
    files = [[((name, 1), code, 100_000, approval, "") for name in ("C3", "C4", "C5")] for code, approval in said]
    files[0].append(_told(("C1", 2), "0000"))
    files[1].append(_told(("C2", 2), "0051"))
    expected = _final(*base, tmp_path / "one after the other", files)
    merchant = make_merchant(postgresql_ledger)
    _send(merchant)
    numbers = _numbers(merchant)
    for part, lines in enumerate(files, 1):
        merchant.server.put(f"/outbound/RPT_{part}.TXT", _text(numbers, lines, part, len(files)))
    merchant.later(minutes=15)
    merchant.fetch()
    both = threading.Barrier(2, timeout=60)
    met = Counter()

    def step(name):
        if name in ("ingest: everything staged", "write back: before the merchant is told"):
            met[name] += 1
            both.wait()

    context = replace(merchant.context, step=step)
    assert [one.refused_reason for one in ingest_fetched(context)] == [None, None]
    conclude_batches(context, 1)
    plan_next_attempts(context, None)
    write_back(context)
    assert set(met.values()) == {2}
    assert _tables(merchant) == expected
