"""Every operation: shown without a trace, then done as it was shown, and refused where it would break a promise."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from include.billing.tokens_table import create_tokens_table
from include.domain.errors import ConfigError, DeliveryUnknown, NotAllowed
from include.domain.operations import OPERATIONS
from include.domain.states import NotificationKind, NotificationState, RunKind
from include.domain.tokens import TokenSeen, Wish
from include.flows import decisions, operate
from include.flows.approve import answer_run
from include.flows.books import books_of_day
from include.flows.deliver import deliver
from include.flows.operate import carry_out, rehearse
from include.flows.tokens.customers import account_of
from include.flows.tokens.settle import settle_tokens
from include.flows.verify import findings
from include.ledger.inbox import Arrived, store
from include.ledger.runs import last_run
from include.ledger.tokens import Asked, keep_asked, list_customers
from tests.flows_harness import BUSINESS_DATE, charge, lost
from tests.register_harness import Register, wanted

NAME = "TKN_MCH0001_20261120_0001.TXT"
BY = {"by": "ani", "why": "a test"}


def _listed(merchant) -> None:
    merchant.list_charges(charge("C1", 100_000), charge("C2", 250_000))


def _sealed(merchant) -> None:
    _listed(merchant)
    merchant.seal()


def _sent(merchant, *codes: str) -> dict[str, str]:
    _listed(merchant)
    merchant.submit()
    numbers = merchant.invoices()
    lines = [(numbers[f"C{n}"], {1: 100_000, 2: 250_000}[n], code) for n, code in enumerate(codes, 1) if code]
    if lines:
        merchant.report(*lines)
        merchant.reconcile()
    return numbers


def _unknown(merchant) -> None:
    _listed(merchant)
    run, (batch_id,) = merchant.seal()

    def taken() -> None:
        (merchant.remote_root / "inbound" / NAME).unlink()
        raise lost()

    merchant.server.plan("rename", after=taken)
    with pytest.raises(DeliveryUnknown):
        deliver(merchant.context, batch_id, run.run_id)


def _braked(merchant) -> int:
    merchant.changed({"brakes": {"max_count": 1}})
    _listed(merchant)
    run, _ = merchant.seal()
    return run.run_id


def _taken_away(merchant) -> None:
    (merchant.remote_root / "inbound" / NAME).unlink()


def _break_of(merchant, kind: str) -> int:
    return merchant.sql("SELECT break_id FROM recon_break WHERE kind = :kind", kind=kind)[0]["break_id"]


def _proposed(merchant) -> int:
    merchant.changed({"decisions": {"four_eyes": True}})
    numbers = _sent(merchant, "5536")
    about = {"invoice_number": numbers["C1"], "outcome": "paid", "evidence": "DOKU's mail of 21 November"}
    assert "Proposed as number 1" in carry_out(merchant.context, "settle", about, by="budi", why="the customer asked")
    return 1


def _answered(merchant, *codes: str) -> dict[str, str]:
    numbers = _sent(merchant, *codes)
    merchant.later(days=2)
    return numbers


@dataclass
class Case:
    """An operation in its scene.

    Attributes:
        scene: Makes it; returns what the operation needs to know.
        says: A part of what it says.
        then: What is true afterwards.
        refused: Scenes in which it is refused, and a part of why.
    """

    scene: Any
    says: str
    then: Any
    refused: dict[str, tuple[Any, str]] = field(default_factory=dict)


def _state(merchant) -> str:
    return merchant.sql("SELECT state FROM batch ORDER BY batch_id")[0]["state"]


def _status(merchant, charge_id: str = "C1") -> str:
    return merchant.told()[charge_id, 1]["status"]


def _settle(outcome: str, *codes: str, charge_id: str = "C1", evidence: str = "DOKU's mail of 21 November"):
    def scene(merchant):
        numbers = _answered(merchant, *codes)
        return {"invoice_number": numbers[charge_id], "outcome": outcome, "evidence": evidence}

    return scene


def _file(make, *more):
    def scene(merchant):
        made = make(merchant)
        for step in more:
            step(merchant)
        return {"file_name": made if isinstance(made, str) else NAME}

    return scene


def _charge(make, charge_id="C1", **about):
    def scene(merchant):
        make(merchant)
        return {"charge_id": charge_id, **about}

    return scene


def _on(make, name, **about):
    def scene(merchant):
        return {name: make(merchant), **about}

    return scene


def _broken(kind, *codes, amount=100_000):
    def make(merchant):
        numbers = _sent(merchant)
        for number, code in enumerate(codes):
            merchant.report((numbers["C1"], amount, code), name=f"RPT_{number}.TXT")
        merchant.reconcile()
        return _break_of(merchant, kind)

    return make


def _quarantined(merchant) -> None:
    merchant.list_charges(charge("C1", token=None))
    merchant.submit()


def _held(merchant) -> dict[str, str]:
    _listed(merchant)
    decisions.hold(merchant.context, scope="charge", subject="C1", **BY)
    return {"scope": "charge", "subject": "C1"}


def _refused_report(merchant) -> str:
    _listed(merchant)
    merchant.submit()
    return merchant.report((merchant.invoices()["C1"], 100_000, "0000"), total="1.00", name="RPT_9.TXT")


def _unlisted(merchant) -> str:
    """A code that the profile lists only after its report was taken in."""
    _sent(merchant, "ZZ9Z")
    codes = [{"code": "ZZ9Z", "class": "never", "meaning": "Gone", "source": "DOKU", "certainty": "certain"}]
    merchant.changed({"codes": codes})
    return "RPT_1.TXT"


def _again_at_doku(merchant) -> int:
    """C1 was declined, tried again, and then the first attempt turns out to be paid."""
    numbers = _sent(merchant, "0051")
    merchant.later(days=3)  # a Monday
    merchant.change_charges("attempt_no = 2 WHERE charge_id = 'C1'")
    merchant.submit(business_date=merchant.context.today)
    merchant.report((numbers["C1"], 100_000, "0000"), name="RPT_LATE.TXT")
    merchant.reconcile()
    return _break_of(merchant, "paid_while_in_flight")


def _notified(merchant, state: NotificationState) -> dict[str, object]:
    arrived = Arrived("insurance", NotificationKind.PAYMENT, "d" * 64, b"{}", merchant.now, state=state)
    with merchant.ledger.write() as connection:
        return {"notification": store(connection, arrived)[0]}


def _run_of_tokens(merchant):
    with merchant.ledger.read() as connection:
        return last_run(connection, "insurance", RunKind.TOKENS)


def _ask_for_tokens(merchant, tokens: int) -> None:
    """A run that asks about three customers of whom the first so many have a token."""
    merchant.changed({"connections": {"doku": "doku_api"}, "tokens": {"lost_least": 1}})
    create_tokens_table(merchant.billing)
    run, account = merchant.run(RunKind.TOKENS), account_of(merchant.context)
    asked = [
        Asked(f"K{number}", merchant.now, {f"{number:032}": TokenSeen(f"token-{number}")} if number < tokens else {})
        for number in range(3)
    ]
    with merchant.ledger.write() as connection:
        list_customers(connection, account, run.run_id, dict.fromkeys(("K0", "K1", "K2"), Wish()))
        keep_asked(connection, account, asked)


def _tokens_gone(merchant) -> dict[str, int]:
    _ask_for_tokens(merchant, 3)
    merchant.later(hours=1)
    _ask_for_tokens(merchant, 1)
    return {"customers": 2}


def _bills(merchant, registration="link") -> Register:
    merchant.changed({"recurring": {"changes": "person", "bulk": {"sealed": False}}})
    made = Register(merchant)
    made.want(wanted(registration=registration))
    return made


def _asked_for(merchant) -> Register:
    made = _bills(merchant)
    made.register()
    return made


def _live(merchant) -> Register:
    made = _asked_for(merchant)
    merchant.later(minutes=5)
    made.hear(made.registered())
    made.take_in()
    return made


def _over(made: Register) -> None:
    made.want(wanted(status="cancelled"))
    made.register()


def _dearer(made: Register) -> None:
    made.want(wanted(amount="120000.00"))
    made.register()


def _bill(scene, *more, **about):
    def prepare(merchant):
        made = scene(merchant)
        for one in more:
            one(made)
        return {"billing_number": "B-1", **about}

    return prepare


def _bill_row(merchant) -> dict[str, Any]:
    return merchant.sql("SELECT * FROM bill")[0]


def _bill_state(merchant) -> str:
    return _bill_row(merchant)["state"]


def _sent_file(merchant) -> dict[str, Any]:
    (name,) = _bills(merchant, "bulk").register().files
    return {"file_name": name}


def _lost_file(merchant, *, there: bool = False) -> dict[str, Any]:
    made = _bills(merchant, "bulk")
    merchant.server.plan("rename", **({"after": lost()} if there else {"before": lost()}))
    with pytest.raises(DeliveryUnknown):
        made.register()
    return {"file_name": "REG_MCH0001_20261120_0001.TXT"}


CASES = {
    "take_in_again": Case(
        lambda merchant: _notified(merchant, NotificationState.FAILED), "(payment) waits again",
        lambda merchant: [row["state"] for row in merchant.sql("SELECT state FROM notification")] == ["received"],
        {
            "not failed": (lambda merchant: _notified(merchant, NotificationState.DONE), "is done"),
            "none": (lambda merchant: {"notification": 99}, "has no notification 99"),
        },
    ),
    "hold": Case(
        lambda merchant: _listed(merchant) or {"scope": "charge", "subject": "C1"}, "charge C1 is held",
        lambda merchant: merchant.submit() and list(merchant.invoices()) == ["C2"],
        {"another profile": (lambda merchant: {"scope": "profile", "subject": "other"}, "This is profile insurance")},
    ),
    "lift": Case(
        _held, "is held no longer", lambda merchant: merchant.submit() and sorted(merchant.invoices()) == ["C1", "C2"],
        {"no hold": (lambda merchant: {"scope": "charge", "subject": "C1"}, "no hold on charge C1")},
    ),
    "release": Case(
        _charge(_quarantined), "the next run checks it again",
        lambda merchant: merchant.sql("SELECT state FROM quarantine")[0]["state"] == "released",
        {"not quarantined": (_charge(_listed), "not in quarantine")},
    ),
    "cancel": Case(
        _charge(_listed), "is cancelled", lambda merchant: merchant.submit() and list(merchant.invoices()) == ["C2"],
        {"at DOKU": (_charge(_sent), "live attempt")},
    ),
    "close": Case(
        _charge(_listed, reason="paid_elsewhere"), "is closed (paid_elsewhere)",
        lambda merchant: merchant.submit() and list(merchant.invoices()) == ["C2"],
        {
            "at DOKU": (_charge(_sent, reason="written_off"), "live attempt"),
            "paid": (_charge(lambda merchant: _sent(merchant, "0000"), reason="written_off"), "is paid by attempt"),
        },
    ),
    "approve": Case(
        _on(_braked, "run_id"), "approved by ani",
        lambda merchant: deliver(merchant.context, 1, 1).state == "delivered",
    ),
    "refuse": Case(
        _on(_braked, "run_id"), "refused by ani",
        lambda merchant: _state(merchant) == "withdrawn" and deliver(merchant.context, 1, 1).state == "withdrawn",
    ),
    "withdraw": Case(
        _file(_sealed), "is withdrawn", lambda merchant: _state(merchant) == "withdrawn",
        {"at DOKU": (_file(_sent), "it may be at DOKU")},
    ),
    "resend": Case(
        _file(_sealed), "delivered", lambda merchant: list(merchant.server.files("/inbound")) == [NAME],
        {
            "delivered": (_file(_sent, _taken_away), "never sent again"),
            "unknown": (_file(_unknown), "never sent again"),
            "there": (_file(_sealed, lambda merchant: merchant.server.put(f"/inbound/{NAME}", b"x")), "The server has"),
            "held": (_file(_sealed, lambda merchant: decisions.hold(
                merchant.context, scope="customer", subject="K-C1", **BY)), "Lift the hold"),
        },
    ),
    "arrived": Case(
        _file(_unknown), "on ani's word", lambda merchant: _state(merchant) == "delivered",
        {"not unknown": (_file(_sealed), "not unknown")},
    ),
    "never_arrived": Case(
        _file(_unknown), "new invoice numbers", lambda merchant: _state(merchant) == "withdrawn",
        {"at the server": (_file(_unknown, lambda merchant: merchant.server.put(f"/inbound/{NAME}", b"x")), "arrive")},
    ),
    "file_refused": Case(
        _file(_sent, _taken_away), "in a new batch",
        lambda merchant: _state(merchant) == "withdrawn" and _status(merchant) == "withdrawn",
        {
            "still there": (_file(_sent), "DOKU may charge it yet"),
            "answered": (_file(lambda merchant: _sent(merchant, "0051"), _taken_away), "1 attempts"),
            "not sent": (_file(_sealed), "not delivered"),
        },
    ),
    "reopen": Case(
        _file(_refused_report, lambda merchant: merchant.reconcile()), "read again by the next run",
        lambda merchant: merchant.sql("SELECT state FROM report_file")[0]["state"] == "fetched",
        {"taken in": (_file(lambda merchant: _sent(merchant, "0000") and "RPT_1.TXT"), "is refused")},
    ),
    "reingest": Case(
        _file(_unlisted), "unknown to declined: 1",
        lambda merchant: merchant.reconcile() is not None and _status(merchant) == "declined"
        and merchant.sql("SELECT state FROM recon_break")[0]["state"] == "resolved",
        {"not taken in": (_file(_refused_report), "was taken in")},
    ),
    "setup_mended": Case(
        lambda merchant: _sent(merchant, "0030") and {}, "1 charges are tried again",
        lambda merchant: merchant.sql("SELECT action FROM next_attempt ORDER BY version DESC")[0]["action"] == "retry",
        {"nothing waits": (lambda merchant: _listed(merchant) or {}, "waits for the merchant's set-up")},
    ),
    "settle": Case(
        _settle("paid", "5536"), "moves from unknown to paid",
        lambda merchant: _status(merchant) == "paid" and books_of_day(merchant.context, BUSINESS_DATE)["ties"],
        {
            "no evidence": (_settle("paid", "5536", evidence=" "), "needs evidence"),
            "paid already": (_settle("declined", "0000"), "never taken back"),
            "nothing to reverse": (_settle("reversed", "0051"), "nothing to reverse"),
            "declined is not withdrawn": (_settle("withdrawn", "0051"), "never taken back"),
            "unknown attempt": (lambda merchant: {
                "invoice_number": "X" * 20, "outcome": "paid", "evidence": "x"}, "no attempt with invoice number"),
            "not left": (lambda merchant: _sealed(merchant) or {
                "invoice_number": merchant.invoices()["C1"], "outcome": "declined", "evidence": "x"}, "has not left"),
            "delivery unknown": (lambda merchant: _unknown(merchant) or {
                "invoice_number": merchant.invoices()["C1"], "outcome": "declined", "evidence": "x"}, "Settle the"),
            "DOKU may still charge": (lambda merchant: {
                "invoice_number": _sent(merchant)["C1"], "outcome": "declined", "evidence": "x"}, "customer twice"),
        },
    ),
    "accept_token_losses": Case(
        _tokens_gone, "of 2 customers all they had",
        lambda merchant: settle_tokens(merchant.context, _run_of_tokens(merchant))["lost"] == 2,
        {
            "another number": (lambda merchant: {**_tokens_gone(merchant), "customers": 3}, "2 customers lose"),
            "nothing is stopped": (lambda merchant: _ask_for_tokens(merchant, 1) or {"customers": 1}, "No loss"),
        },
    ),
    "cancel_bill": Case(
        _bill(_live), "asks DOKU to end it", lambda merchant: _bill_state(merchant) == "cancelling",
        {"ended already": (_bill(_live, _over), "is cancelled already")},
    ),
    "bill_ended": Case(
        _bill(_live, evidence="dashboard"), "on ani's word", lambda merchant: _bill_state(merchant) == "cancelled",
        {"not at DOKU": (_bill(_asked_for, evidence="dashboard"), "does not charge it anyway")},
    ),
    "bill_updated": Case(
        _bill(_live, _dearer), "has the terms", lambda merchant: _bill_row(merchant)["asked_terms"]
        == _bill_row(merchant)["terms_digest"],
        {"nothing to tell": (_bill(_live), "no terms that DOKU does not know")},
    ),
    "ask_again": Case(
        _bill(_asked_for), "asked for anew", lambda merchant: _bill_state(merchant) == "wanted",
        {"registered": (_bill(_live), "is active")},
    ),
    "registration_arrived": Case(
        _lost_file, "is delivered", lambda merchant: _bill_state(merchant) == "asked",
        {"not unknown": (_sent_file, "not unknown")},
    ),
    "registration_never_arrived": Case(
        _lost_file, "go into the next file", lambda merchant: merchant.sql(
            "SELECT state FROM registration_file")[0]["state"] == "withdrawn",
        {
            "not unknown": (_sent_file, "not unknown"),
            "at the server": (lambda merchant: _lost_file(merchant, there=True), "did arrive"),
        },
    ),
    "confirm": Case(
        _on(_proposed, "proposal"), "is paid", lambda merchant: _status(merchant) == "paid",
        {"nothing proposed": (lambda merchant: {"proposal": 7}, "no open proposal")},
    ),
    "drop": Case(
        _on(_proposed, "proposal"), "is dropped", lambda merchant: _status(merchant) == "unknown",
        {"nothing proposed": (lambda merchant: {"proposal": 7}, "no open proposal")},
    ),
    "explain_break": Case(
        _on(_broken("conflict", "0000", "0051"), "number"), "is explained",
        lambda merchant: merchant.sql("SELECT state FROM recon_break")[0]["state"] == "explained",
        {"no break": (lambda merchant: {"number": 7}, "no break 7")},
    ),
    "resolve_break": Case(
        _on(_broken("amount_differs", "0000", amount=90_000), "number", difference="stands"), "stays in the books",
        lambda merchant: books_of_day(merchant.context, BUSINESS_DATE)["difference"] == {"count": 1, "amount": -10_000},
        {
            "no word on the difference": (_on(_broken("amount_differs", "0000", amount=1), "number"), "stands"),
            "no difference": (_on(_broken("conflict", "0000", "0051"), "number", difference="void"), "no difference"),
            "partial approval": (_on(_broken("partial_approval", "0010", amount=60_000), "number"), "settle attempt"),
            "unlisted code": (_on(_broken("unlisted_code", "ZZ9Z"), "number"), "add it to codes.toml"),
            "paid while in flight": (_on(_again_at_doku, "number"), "ends with the later attempt"),
        },
    ),
}  # fmt: skip

_REFUSED = [(name, why) for name, case in CASES.items() for why in case.refused]


def test_every_operation_has_a_case_and_a_flow():
    assert set(CASES) == set(OPERATIONS) == set(operate.FLOWS)


def _refuse_nobody(merchant, name, about) -> None:
    for by, why in (("", "x"), ("Anonymous", "x"), ("ani", " ")):
        if by != "ani" or name not in ("approve", "refuse"):  # an answer to a brake may be without words
            with pytest.raises(NotAllowed, match=r"name of a person|needs a name|reason in words"):
                carry_out(merchant.context, name, about, by=by, why=why)


@pytest.mark.parametrize("name", CASES)
def test_shown_without_a_trace_then_done_as_shown(merchant, name):
    case = CASES[name]
    about = case.scene(merchant)
    before = merchant.dump()
    shown = rehearse(merchant.context, name, about, **BY)
    assert case.says in shown.says or name == "resend"
    assert shown.changes
    _refuse_nobody(merchant, name, about)
    assert merchant.dump() == before, "a rehearsal and a refusal leave nothing behind"
    asked = None if name == "resend" else shown.digest
    said = carry_out(merchant.context, name, about, shown=asked, request="run 1", **BY)
    assert case.says in said
    assert case.then(merchant)
    assert "nothing was done again" in carry_out(merchant.context, name, about, request="run 1", **BY)
    details = [json.loads(row["details"]) for row in merchant.sql("SELECT details FROM event WHERE actor = 'ani'")]
    assert any("a test" in str(one) for one in details)
    assert list(findings(merchant.context)) == []


@pytest.mark.parametrize(("name", "why"), _REFUSED, ids=[f"{name}-{why}" for name, why in _REFUSED])
def test_refused_where_it_would_break_a_promise(merchant, name, why):
    scene, words = CASES[name].refused[why]
    about = scene(merchant)
    before = merchant.dump()
    for ask in (rehearse, carry_out):
        with pytest.raises(NotAllowed, match=words):
            ask(merchant.context, name, about, **BY)
        assert merchant.dump() == before


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({}, "needs invoice_number, outcome, evidence"),
        ({"invoice_number": "X", "outcome": "lost", "evidence": "x"}, "none of paid, declined"),
        ({"invoice_number": "X", "outcome": "paid", "evidence": "x", "file_name": "Y"}, "takes no file_name"),
    ],
)
def test_what_an_operation_needs_to_know_is_asked_for(merchant, about, words):
    with pytest.raises(ConfigError, match=words):
        rehearse(merchant.context, "settle", about, **BY)


def test_what_would_be_done_has_changed_since_it_was_shown(merchant):
    about = _settle("paid", "5536")(merchant)
    shown = rehearse(merchant.context, "settle", about, **BY).digest
    merchant.report((about["invoice_number"], 100_000, "0051"), name="RPT_2.TXT")
    merchant.reconcile()
    before = merchant.dump()
    with pytest.raises(NotAllowed, match="has changed since it was shown"):
        carry_out(merchant.context, "settle", about, shown=shown, **BY)
    assert merchant.dump() == before


def test_the_effect_names_the_books(merchant):
    about = _settle("paid", "5536")(merchant)
    effect = rehearse(merchant.context, "settle", about, **BY)
    assert f"{NAME}: paid 0 to 1 attempts, IDR 0 to 100,000" in effect.changes
    assert f"{NAME}: unknown 1 to 0 attempts, IDR 100,000 to 0" in effect.changes


def test_settling_on_each_database(merchant_on_each):
    about = _settle("paid", "0010")(merchant_on_each)
    shown = rehearse(merchant_on_each.context, "settle", about, **BY)
    assert carry_out(merchant_on_each.context, "settle", about, shown=shown.digest, **BY) == shown.says
    (row,) = merchant_on_each.sql("SELECT kind, state, closed_by FROM recon_break")
    assert row == {"kind": "partial_approval", "state": "open", "closed_by": None}
    assert list(findings(merchant_on_each.context)) == []


def test_a_report_that_says_otherwise_than_a_person_is_a_break_and_agreement_closes_it(merchant_on_each):
    merchant = merchant_on_each
    about = _settle("declined", "5536")(merchant)
    carry_out(merchant.context, "settle", about, **BY)
    merchant.report((about["invoice_number"], 100_000, "0000"), name="RPT_2.TXT")
    merchant.reconcile()
    (row,) = merchant.sql("SELECT kind, state, details FROM recon_break")
    assert row == {
        "kind": "witnesses_disagree", "state": "open", "details": "person says declined; report says paid",
    }  # fmt: skip
    assert _status(merchant) == "paid"
    # The person looks again, and has to say the stronger thing: nothing that was witnessed is taken back.
    with pytest.raises(NotAllowed, match="does not outweigh"):
        carry_out(merchant.context, "settle", {**about, "outcome": "paid"}, **BY)
    number = _break_of(merchant, "witnesses_disagree")
    carry_out(merchant.context, "resolve_break", {"number": number}, **BY)
    assert list(findings(merchant.context)) == []


def test_paid_twice_ends_only_when_the_money_is_given_back(merchant):
    in_flight = _again_at_doku(merchant)
    second = merchant.invoices()["C1"]
    merchant.report((second, 100_000, "0000"), name="RPT_TWICE.TXT")
    merchant.reconcile()
    states = {row["kind"]: row["state"] for row in merchant.sql("SELECT kind, state FROM recon_break")}
    assert states == {"conflict": "open", "paid_while_in_flight": "resolved", "collected_twice": "open"}
    number = _break_of(merchant, "collected_twice")
    with pytest.raises(NotAllowed, match="given back"):
        carry_out(merchant.context, "resolve_break", {"number": number}, **BY)
    merchant.later(days=1)
    about = {"invoice_number": second, "outcome": "reversed", "evidence": "refund 77 in DOKU's back office"}
    carry_out(merchant.context, "settle", about, **BY)
    (row,) = merchant.sql("SELECT state, closed_by, amount FROM recon_break WHERE break_id = :id", id=number)
    assert row == {"state": "resolved", "closed_by": "rule", "amount": 100_000}
    assert merchant.told()["C1", 2]["status"] == "reversed"
    assert in_flight != number
    merchant.submit(business_date=merchant.context.today)
    assert merchant.invoices()["C1"] == second, "what was given back is not collected again"
    assert list(findings(merchant.context)) == []


# --- four eyes ---


def test_who_proposed_does_not_confirm(merchant):
    proposal = _proposed(merchant)
    for by in ("budi", " Budi "):
        with pytest.raises(NotAllowed, match="may not confirm it"):
            carry_out(merchant.context, "confirm", {"proposal": proposal}, by=by, why="x")
    assert _status(merchant) == "unknown"
    carry_out(merchant.context, "confirm", {"proposal": proposal}, **BY)
    (row,) = merchant.sql("SELECT said_by, confirmed_by FROM testimony")
    assert row == {"said_by": "budi", "confirmed_by": "ani"}
    with pytest.raises(NotAllowed, match="no open proposal"):
        carry_out(merchant.context, "confirm", {"proposal": proposal}, **BY)


def test_the_ledger_itself_refuses_two_eyes(merchant):
    _proposed(merchant)
    with pytest.raises(Exception, match=r"four_eyes|CHECK"), merchant.ledger.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE proposal SET state = 'confirmed', answered_by = 'budi', answered_at = '2026-11-21 00:00:00'"
        )


def test_a_proposal_that_would_do_something_else_by_now_is_not_confirmed(merchant):
    proposal = _proposed(merchant)
    merchant.report((merchant.invoices()["C1"], 100_000, "0051"), name="RPT_2.TXT")
    merchant.reconcile()
    with pytest.raises(NotAllowed, match="has changed since it was made"):
        carry_out(merchant.context, "confirm", {"proposal": proposal}, **BY)
    assert merchant.sql("SELECT * FROM testimony") == []


def test_the_same_is_proposed_once(merchant):
    _proposed(merchant)
    about = {"invoice_number": merchant.invoices()["C1"], "outcome": "declined", "evidence": "x"}
    merchant.later(days=2)
    with pytest.raises(NotAllowed, match="is proposed already"):
        carry_out(merchant.context, "settle", about, **BY)


def test_approving_by_operation_is_the_approval_itself(merchant):
    run_id = _braked(merchant)
    carry_out(merchant.context, "approve", {"run_id": run_id}, **BY)
    found = answer_run(merchant.context, run_id, by="ani", approve=True, words="again")
    assert found.may_go
