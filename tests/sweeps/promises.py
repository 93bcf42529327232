"""What must hold after any day, whatever happened in it: between DOKU's own books, the ledger and the merchant."""

from collections import Counter
from collections.abc import Collection, Iterator

from include.doku.codes import ResponseCodes
from include.flows.verify import findings
from include.schemas.profile import SHIPPED_CONFIG
from tests.flows_harness import TOKEN
from tests.sweeps.office import Office

_AN_ANSWER = {"paid", "declined", "unknown"}


def broken(office: Office, *, lied_about: Collection[str] = ()) -> list[str]:
    """Every promise that does not hold, a sentence each.

    Args:
        lied_about: Invoice numbers of which a report of DOKU said something else than what happened.
    """
    return [
        *_charged_once(office),
        *_sent_once(office),
        *_none_lost(office),
        *_told_what_doku_said(office, lied_about),
        *_no_secret_said(office),
        *findings(office.context),
    ]


def broken_so_far(office: Office) -> Iterator[str]:
    """The promises about money, which hold at every moment; cheap to ask."""
    yield from _charged_once(office)
    yield from _sent_once(office)


def lies(office: Office) -> set[str]:
    """Invoice numbers of which a report said another code than DOKU's own books have."""
    answered = {one["invoice_number"]: one["response_code"] for one in office.doku.processed}
    rows = office.merchant.sql("SELECT invoice_number, response_code FROM report_line")
    return {row["invoice_number"] for row in rows if answered.get(row["invoice_number"]) != row["response_code"]}


def _charged_once(office: Office) -> Iterator[str]:
    """Promise 1, by the truth about money."""
    charges = {row["invoice_number"]: row["charge_id"] for row in office.merchant.sql("SELECT * FROM attempt")}
    charged = [one["invoice_number"] for one in office.doku.charged]
    for invoice, times in Counter(charged).items():
        if times > 1:
            yield f"DOKU charged invoice {invoice} {times} times."
        if invoice not in charges:
            yield f"DOKU charged invoice {invoice}, which the ledger does not know."
    for charge, times in Counter(charges.get(invoice) for invoice in set(charged)).items():
        if times > 1:
            yield f"Charge {charge} was charged under {times} invoice numbers."


def _sent_once(office: Office) -> Iterator[str]:
    """Promise 3: a name never carries another content, and no file comes twice."""
    for record in office.doku.files:
        if record["event"] == "again":
            yield f"{record['name']} came to DOKU twice."
        if "another file came under this name" in record.get("reason", ""):
            yield f"{record['name']} came to DOKU with another content."


def _none_lost(office: Office) -> Iterator[str]:
    """Promise 2: every listed charge is an attempt, or the ledger can say why it is not."""
    known = {row["charge_id"] for row in office.merchant.sql("SELECT charge_id FROM attempt")}
    for table in ("run_charge", "quarantined_charge"):
        known |= {row["charge_id"] for row in office.merchant.sql(f"SELECT charge_id FROM {table}")}
    claimed = office.merchant.sql("SELECT 1 FROM run WHERE kind = 'submit' AND state <> 'open'")
    if claimed:
        for charge in office.charges:
            if charge not in known:
                yield f"Charge {charge} was listed and is nowhere."


def _told_what_doku_said(office: Office, lied_about: Collection[str]) -> Iterator[str]:
    """Promise 6: what the merchant was told of an attempt is what DOKU answered."""
    codes = ResponseCodes.load(SHIPPED_CONFIG / "codes.toml")
    answered = {
        one["invoice_number"]: str(codes.look_up(one["response_code"]).outcome) for one in office.doku.processed
    }
    moved = {one["invoice_number"] for one in office.doku.charged}
    told = {row["invoice_number"]: row for row in office.merchant.told().values()}
    for invoice, row in told.items():
        if row["status"] not in _AN_ANSWER or invoice in lied_about:
            continue
        if row["status"] != answered.get(invoice):
            yield f"The merchant was told {row['status']} of {invoice}; DOKU answered {answered.get(invoice)}."
        if row["status"] == "paid" and invoice not in moved:
            yield f"The merchant was told paid of {invoice}; no money moved."
    for row in office.merchant.sql("SELECT invoice_number FROM attempt a JOIN batch b ON b.batch_id = a.batch_id "
                                   "WHERE b.state IN ('delivered', 'renaming', 'unknown', 'reconciled')"):  # fmt: skip
        if row["invoice_number"] not in told:
            yield f"{row['invoice_number']} may be at DOKU, and doku_charge_outcomes knows nothing of it."
    withdrawn = {invoice for invoice, row in told.items() if row["status"] == "withdrawn"}
    for invoice in withdrawn & moved:
        yield f"{invoice} was withdrawn, but DOKU charged it."


def _no_secret_said(office: Office) -> Iterator[str]:
    """Promise 10."""
    for said in office.said:
        if TOKEN in said.words or office.doku.password in said.words:
            yield f"{said.task} showed a secret."
