"""Asking DOKU about attempts that stay unknown: a second witness that decides little and overrides nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from include.doku.api import ApiAnswer, DokuApi
from include.domain.errors import ApiRefused, ApiUnauthorised, ApiUnreachable, DokuError, NotAllowed
from include.flows.ask_status import ask_and_conclude, ask_status, look_up_status
from include.flows.context import FlowContext
from include.flows.due_questions import has_questions, questions
from include.flows.explain import explain
from include.flows.plan_next import plan_next_attempts
from include.flows.reconcile import conclude_batches, has_pending_work
from include.flows.verify import findings
from tests.doku_simulator import HttpConfig
from tests.flows_harness import CUTOFF, Merchant, charge
from tests.unit.flows.test_notify import api_of

ON: dict[str, Any] = {"connections": {"doku": "doku_api"}, "http": {"ask_status": True}}
NEXT_DAY = CUTOFF + timedelta(hours=12)


class Doku:
    """DOKU's status call, as `DokuApi` has it: answers by invoice number, and counts."""

    clock_problem = None

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.on_ask: Callable[[], None] = lambda: None

    def status(self, reference: str) -> ApiAnswer:
        self.asked.append(reference)
        self.on_ask()
        answer = self.answers.get(reference)
        if isinstance(answer, DokuError):
            raise answer
        if answer is None:
            raise ApiRefused("DOKU's API refused it with 404", 404)
        return ApiAnswer(200, answer, "r")

    def says(self, invoice: str, word: str, code: str | None = None, amount: int = 150_000, **order: Any) -> None:
        self.answers[invoice] = {
            "order": {"invoice_number": invoice, "amount": amount, "currency": "IDR", **order},
            "transaction": {"status": word},
            "card_payment": {"response_code": code, "type": "MOTO"},
        }


@pytest.fixture
def doku() -> Doku:
    return Doku()


@pytest.fixture
def unknown(make_merchant: Callable[..., Merchant], doku: Doku) -> Merchant:
    """A merchant of whose attempts A and B a report says 0068; the day after."""
    return _unknown(make_merchant(changes=ON), doku)


def _unknown(merchant: Merchant, doku: Doku, code: str = "0068", names: str = "AB") -> Merchant:
    merchant.list_charges(*map(charge, names))
    merchant.submit()
    merchant.report(*((number, 150_000, code) for number in merchant.invoices().values()))
    merchant.reconcile()
    merchant.now = NEXT_DAY
    merchant.context = replace(merchant.context, api=lambda: doku)  # type: ignore[arg-type, return-value]
    return merchant


def final(merchant: Merchant, doku: Doku) -> FlowContext:
    merchant.context = replace(merchant.changed({"http": {"failed_is_final": True}}), api=lambda: doku)  # type: ignore[arg-type, return-value]
    return merchant.context


def outcome(merchant: Merchant, charge_id: str) -> str:
    number = merchant.invoices()[charge_id]
    return str(
        merchant.sql("SELECT status FROM outcome WHERE invoice_number = :n ORDER BY strength DESC", n=number)[0][
            "status"
        ]
    )


def breaks(merchant: Merchant) -> list[str]:
    return [row["kind"] for row in merchant.sql("SELECT kind FROM recon_break WHERE state = 'open' ORDER BY kind")]


ANSWERS = {
    "A": ("SUCCESS", "00", "paid"), "B": ("VOIDED", None, "reversed"), "C": ("REFUNDED", "00", "reversed"),
    "D": ("FAILED", "05", None), "E": ("PENDING", None, None), "F": ("SUCCESS", "05", None), "G": ("NEW", None, None),
    "H": (None, None, None),
}  # fmt: skip


def test_what_an_answer_decides(make_merchant: Callable[..., Merchant], doku: Doku) -> None:
    merchant = _unknown(make_merchant(changes=ON), doku, names="".join(ANSWERS))
    numbers = merchant.invoices()
    for name, (word, code, _) in ANSWERS.items():
        if word is not None:
            doku.says(numbers[name], word, code)
    found = {one.invoice_number: one.outcome for one in ask_status(merchant.context).answers}
    assert found == {numbers[name]: decides for name, (*_, decides) in ANSWERS.items()}
    kept = {row["subject"]: row for row in merchant.sql("SELECT * FROM status_question")}
    assert {numbers[name]: word for name, (word, *_) in ANSWERS.items()} == {
        subject: row["answer"] for subject, row in kept.items()
    }
    assert kept[numbers["H"]]["http_status"] == 404
    merchant.reconcile()
    for name, (*_, decides) in ANSWERS.items():
        assert outcome(merchant, name) == merchant.told()[name, 1]["status"] == (decides or "unknown")
    assert list(findings(merchant.context)) == []
    assert "DOKU was asked about attempt 1" in str(explain(merchant.context, "A"))
    with merchant.ledger.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM status_question WHERE answer = 'SUCCESS'")
    assert [str(finding) for finding in findings(merchant.context)] == [
        f"Outcome paid of {numbers['A']} has no witness (status)."
    ]


def test_failed_is_a_decline_only_where_the_profile_says_so_and_then_the_rules_decide(
    unknown: Merchant, doku: Doku
) -> None:
    numbers = unknown.invoices()
    doku.says(numbers["A"], "FAILED", "51")
    doku.says(numbers["B"], "FAILED", "14")
    assert {one.outcome for one in ask_status(final(unknown, doku)).answers} == {"declined"}
    unknown.reconcile()
    plans = {row["invoice_number"]: row["action"] for row in unknown.sql("SELECT * FROM next_attempt")}
    assert plans == {numbers["A"]: "retry", numbers["B"]: "never"}
    assert unknown.told()["A", 1]["response_code"] == "0051"


def test_a_decline_waits_for_the_end_of_the_execute_date(unknown: Merchant, doku: Doku) -> None:
    doku.says(unknown.invoices()["A"], "FAILED", "51")
    context = final(unknown, doku)
    unknown.now = CUTOFF + timedelta(minutes=1)
    assert (
        "is not over" in {one.invoice_number: one.words for one in ask_status(context).answers}[unknown.invoices()["A"]]
    )
    assert outcome(unknown, "A") == "unknown"


def test_a_report_that_agrees_and_one_that_does_not(unknown: Merchant, doku: Doku) -> None:
    numbers = unknown.invoices()
    for number in numbers.values():
        doku.says(number, "SUCCESS", "00")
    ask_status(unknown.context)
    unknown.report((numbers["A"], 150_000, "0000"), (numbers["B"], 150_000, "0051"), name="RPT_2.TXT")
    unknown.reconcile()
    assert (outcome(unknown, "A"), outcome(unknown, "B")) == ("paid", "paid")
    assert breaks(unknown) == ["witnesses_disagree"]


def test_an_answer_never_overrides_a_report_that_was_quicker(unknown: Merchant, doku: Doku) -> None:
    numbers = unknown.invoices()
    doku.says(numbers["A"], "SUCCESS", "00")

    def report_comes() -> None:
        doku.on_ask = lambda: None
        unknown.report(*((number, 150_000, "0051") for number in numbers.values()), name="RPT_2.TXT")
        unknown.reconcile()

    doku.on_ask = report_comes
    found = {one.invoice_number: one for one in ask_status(unknown.context).answers}[numbers["A"]]
    assert (found.outcome, outcome(unknown, "A")) == (None, "declined")
    assert "it was declined by then" in found.words
    assert unknown.sql("SELECT * FROM testimony") == []


def test_another_amount_is_a_break(unknown: Merchant, doku: Doku) -> None:
    number = unknown.invoices()["A"]
    doku.says(number, "SUCCESS", "00", amount=149_000)
    ask_status(unknown.context)
    assert outcome(unknown, "A") == "paid"
    found = unknown.sql("SELECT * FROM recon_break WHERE state = 'open'")
    assert [(row["kind"], row["amount"], row["subject"]) for row in found] == [
        ("amount_differs", -1_000, f"{number}:149000:IDR")
    ]
    unknown.report((number, 149_000, "0000"), name="RPT_2.TXT")
    unknown.reconcile()
    assert breaks(unknown) == ["amount_differs"]


def test_an_answer_about_another_transaction_decides_nothing(unknown: Merchant, doku: Doku) -> None:
    numbers = unknown.invoices()
    doku.says(numbers["A"], "SUCCESS", "00", invoice_number=numbers["B"])
    doku.says(numbers["B"], "SUCCESS", "00", amount="many")  # type: ignore[arg-type]
    assert {one.outcome for one in ask_status(unknown.context).answers} == {None}


def test_a_part_that_was_approved_is_a_person_s(make_merchant: Callable[..., Merchant], doku: Doku) -> None:
    merchant = _unknown(make_merchant(changes=ON), doku, "0010")
    assert not has_questions(merchant.context)


def test_it_is_asked_at_growing_distances_and_not_at_once(unknown: Merchant, doku: Doku) -> None:
    for number in unknown.invoices().values():
        doku.says(number, "PENDING")
    decided = unknown.sql("SELECT decided_at FROM outcome")[0]["decided_at"]
    unknown.now = CUTOFF - timedelta(hours=15) + timedelta(seconds=59)
    assert str(decided).startswith("2026-11-19 23:00")
    assert not has_questions(unknown.context)
    unknown.later(seconds=1)
    assert has_pending_work(unknown.context)
    for minutes in (15, 30, 60, 120, 240, 480, 960, 1440, 1440):
        ask_status(unknown.context)
        unknown.later(minutes=minutes - 1)
        assert not has_questions(unknown.context)
        unknown.later(minutes=1)
        assert has_questions(unknown.context)


def test_a_round_asks_for_so_many_and_those_that_wait_longest_first(unknown: Merchant, doku: Doku) -> None:
    context = unknown.context = replace(unknown.changed({"http": {"ask_most": 1}}), api=lambda: doku)  # type: ignore[arg-type, return-value]
    for _ in range(4):
        ask_status(context)
        unknown.later(days=2)
    first, second = sorted(unknown.invoices().values())
    assert doku.asked == [first, second, first, second]


def test_silence_ends_a_round_and_harms_nothing(make_merchant: Callable[..., Merchant], doku: Doku) -> None:
    merchant = _unknown(make_merchant(changes=ON), doku, names="ABCDE")
    for silent in (ApiUnreachable("down"), ApiUnauthorised("keys", 401)):
        doku.answers = dict.fromkeys(merchant.invoices().values(), silent)
        doku.asked.clear()
        found = ask_status(merchant.context)
        assert (len(doku.asked), found.problem) == (3, silent.message)
        merchant.later(days=1)
    assert {row["words"] for row in merchant.sql("SELECT * FROM status_question")} == {"down", "keys"}
    merchant.reconcile()
    assert outcome(merchant, "A") == "unknown"


def test_batches_without_a_report_are_asked_for_where_the_profile_says_so(
    make_merchant: Callable[..., Merchant], doku: Doku
) -> None:
    merchant = make_merchant(changes={**ON, "http": {"ask_status": True, "ask_status_overdue": True}})
    merchant.list_charges(charge("A"), charge("B"))
    merchant.submit()
    merchant.context = replace(merchant.context, api=lambda: doku)  # type: ignore[arg-type, return-value]
    merchant.now = CUTOFF + timedelta(hours=23)
    assert questions(merchant.context) == []
    merchant.later(hours=1)
    for number in merchant.invoices().values():
        doku.says(number, "SUCCESS", "00")
    ask_and_conclude(merchant.context)
    assert (outcome(merchant, "A"), merchant.batch(1)["state"]) == ("paid", "reconciled")
    assert merchant.told()["B", 1]["status"] == "paid"


def test_nothing_is_asked_by_itself_where_the_profile_does_not_ask(unknown: Merchant) -> None:
    context = unknown.changed({"http": {"ask_status": False}})
    assert not has_questions(context)
    assert not has_pending_work(context)


def test_kills_anywhere_and_the_end_is_the_same(unknown: Merchant, doku: Doku) -> None:
    class Killed(BaseException):
        pass

    def killed_at(at: str) -> Callable[[str], None]:
        def step(name: str) -> None:
            if name == at:
                raise Killed

        return step

    for number in unknown.invoices().values():
        doku.says(number, "SUCCESS", "00")
    for at in ("ask status: before the answer is kept", "ask status: answer kept"):
        with pytest.raises(Killed):
            ask_status(replace(unknown.context, step=killed_at(at)))
    ask_status(unknown.context)
    assert (outcome(unknown, "A"), outcome(unknown, "B")) == ("paid", "paid")
    assert len(unknown.sql("SELECT * FROM testimony")) == 2


def test_a_look_keeps_nothing(unknown: Merchant, doku: Doku) -> None:
    number = unknown.invoices()["A"]
    doku.says(number, "SUCCESS", "00")
    before = unknown.dump()
    assert "It would be paid (SUCCESS with code 0000). By our books it is unknown." in look_up_status(
        unknown.context, number
    )
    assert unknown.dump() == before
    with pytest.raises(NotAllowed, match="no attempt"):
        look_up_status(unknown.context, "X")


def test_with_the_simulator_and_on_each_database(merchant_on_each: Merchant) -> None:
    merchant = merchant_on_each
    merchant.changed(ON)
    amounts = {"P": 158_100, "C": 158_136, "D": 258_136, "E": 358_136, "F": 458_136}
    merchant.list_charges(*(charge(name, amount) for name, amount in amounts.items()))
    with merchant.doku(http=HttpConfig(), clock=lambda: merchant.now.timestamp()) as simulator:
        merchant.submit()
        simulator.process_once()
        merchant.reconcile()
        moved = {record["invoice_number"] for record in simulator.charged}
        merchant.now = NEXT_DAY
        api: Callable[[], DokuApi] = api_of(simulator, merchant)
        context = merchant.context = replace(merchant.context, api=api)
        numbers = merchant.invoices()
        before = {name: outcome(merchant, name) for name in amounts}
        assert "unknown" in before.values()
        found = {one.invoice_number: one.outcome for one in ask_status(context).answers}
        assert set(found) == {numbers[name] for name, status in before.items() if status == "unknown"}
        assert {number: "paid" if number in moved else None for number in found} == found
        conclude_batches(context, None)
        plan_next_attempts(context, None)
        merchant.reconcile()
        assert list(findings(context)) == []
