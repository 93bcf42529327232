"""Whole histories of declined charges, on a real ledger: what no day, answer or collapse of days may lead to."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from include.doku.codes import ResponseCodes
from include.domain.calendar import AllowedDays, AttemptDays
from include.domain.networks import network_of_name
from include.domain.retry import ClaimTerms, Limits, Rules
from include.domain.states import BatchState
from include.flows.plan_next import Planner, _decide_page
from include.ledger.plans import cancel_plans, declines_by_word
from include.ledger.store import Ledger, ledger_engine
from include.schemas.profile import SHIPPED_CONFIG
from include.schemas.retry_rules import load_retry_rules
from tests.flows_harness import without_fsync
from tests.unit.ledger.lab import Lab, row

FIRST_DAY = date(2026, 12, 18)
"""A Friday before Christmas."""

DAYS = 24
LATE = timedelta(days=20)
CODES = ResponseCodes.load(SHIPPED_CONFIG / "codes.toml")
FEW = load_retry_rules(SHIPPED_CONFIG / "retry_rules.toml").rules(
    {"visa_30_days": 4, "mastercard_24_hours": 2, "mastercard_30_days": 6}
)
"""The shipped rules, with caps that so few charges can reach."""

answers = st.sampled_from(["0000", "0091", "0091", "0051", "0051", "0005", "0054", "0041", "00R1", None])
chosen_days = st.builds(
    AttemptDays,
    days=st.builds(
        AllowedDays,
        weekdays=st.frozensets(st.integers(0, 6), min_size=1),
        holidays=st.frozensets(st.dates(FIRST_DAY, FIRST_DAY + timedelta(days=DAYS)), max_size=6),
        on_holidays=st.booleans(),
    ),
    pay_days=st.frozensets(st.sampled_from((1, 19, 20, 21, 25, 28, 31)), max_size=3),
)
chosen_limits = st.builds(
    Limits, enabled=st.just(True), spacing=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    max_per_charge=st.integers(1, 8), max_per_period=st.integers(1, 12), few=st.integers(0, 2), days=chosen_days,
)  # fmt: skip


@dataclass
class History:
    """A merchant whose charges are declined again and again; a run each day."""

    lab: Lab
    limits: Limits
    rules: Rules
    charges: list[dict[str, Any]]
    sent: list[tuple[date, dict[str, Any]]] = field(default_factory=list)

    def play(self, day: date, data: Any) -> None:
        """The run of a day, DOKU's answers to it, and the planning after them."""
        self.lab.now = datetime.combine(day, time(6), tzinfo=UTC)
        days = self.limits.days
        terms = ClaimTerms(
            enabled=True, day_allowed=days.allows(day), pay_day=days.allows(day, pay_day=True),
            max_per_period=self.limits.max_per_period, rules=self.rules,
        )  # fmt: skip
        due = self._due(day)
        listed = [one for one in self.charges if one["charge_id"] not in self._paid()]
        listed = [{**one, "late": one["due_date"] + LATE < day} for one in listed]
        run, batch_ids = self.lab.claim(
            *listed, run=self.lab.run(business_date=day, today=day), execute_date=day, again=terms
        )
        fates = self.lab.fates(run)
        self._nothing_is_lost_or_doubled(fates, listed)
        self._what_was_due_went_or_is_named(fates, due, terms)
        for batch_id in batch_ids:
            self.lab.move(batch_id, BatchState.SEALED, BatchState.DELIVERING, BatchState.RENAMING, BatchState.DELIVERED)
            for attempt in self.lab.sql("SELECT * FROM attempt WHERE batch_id = :id ORDER BY line_no", id=batch_id):
                self._judge(day, attempt)
                self.sent.append((day, attempt))
                self._answer(attempt["invoice_number"], data.draw(answers, label=f"{day} {attempt['charge_id']}"))
        self._plan(day)

    def _answer(self, invoice: str, code: str | None) -> None:
        if code is None:
            self.lab.outcome(invoice, "withdrawn", proof="a test")
        else:
            status = CODES.look_up(code).outcome
            self.lab.outcome(invoice, status, response_code=code, proof="a test")

    def _plan(self, day: date) -> None:
        planner = Planner(self.rules, self.limits, CODES, day + timedelta(days=1), LATE)
        with self.lab.ledger.write() as connection:
            page = declines_by_word(connection, "insurance", "")
            _decide_page(connection, planner, page, None, self.lab.now)
            cancel_plans(connection, "insurance", None, self.lab.now)

    def _paid(self) -> set[str]:
        rows = self.lab.sql(
            "SELECT a.charge_id FROM outcome o JOIN attempt a USING (invoice_number) WHERE status = 'paid'"
        )
        return {one["charge_id"] for one in rows}

    def _due(self, day: date) -> dict[str, Any]:
        """Charges with a plan for that day or before that was not carried out."""
        rows = self.lab.sql(
            "SELECT a.charge_id, p.pay_day FROM next_attempt p JOIN attempt a USING (invoice_number)"
            " WHERE p.action = 'retry' AND p.planned_on <= :day"
            " AND NOT EXISTS (SELECT 1 FROM next_attempt x WHERE x.invoice_number = p.invoice_number"
            "                 AND x.version > p.version)"
            " AND NOT EXISTS (SELECT 1 FROM attempt n WHERE n.previous_invoice_number = p.invoice_number)",
            day=day.isoformat(),
        )
        return {one["charge_id"]: one["pay_day"] for one in rows}

    # --- what must hold ---

    def _nothing_is_lost_or_doubled(self, fates: Any, listed: list[dict[str, Any]]) -> None:
        assert sorted(name for name, _, _ in fates.elements()) == sorted(one["charge_id"] for one in listed)

    def _what_was_due_went_or_is_named(self, fates: Any, due: dict[str, Any], terms: ClaimTerms) -> None:
        became = {name: (term, reason) for name, term, reason in fates}
        excused = {"network_cap", "instrument_stopped", "mandate_ended", "exhausted", "late"}
        for name, on_pay_day in due.items():
            may_go = terms.day_allowed and (terms.pay_day or not on_pay_day)
            term, reason = became[name]
            assert (term == "claimed") or not may_go or reason in excused, (name, term, reason)

    def _judge(self, day: date, attempt: dict[str, Any]) -> None:
        before = [(on, one) for on, one in self.sent if one["charge_id"] == attempt["charge_id"]]
        answers_of = {one["invoice_number"]: self._code(one["invoice_number"]) for _, one in self.sent}
        declined = [one for _, one in before if answers_of[one["invoice_number"]] is not None]
        if declined:
            assert self.limits.days.days.allows(day), "tried again on a day that is not allowed"
            if answers_of[declined[-1]["invoice_number"]] == "0051":
                assert self.limits.days.allows(day, pay_day=True), "tried again on no pay day"
            assert len(declined) < self.limits.max_per_charge, "tried again too often"
        for on, one in self.sent:
            if on < day and one["token_fingerprint"] == attempt["token_fingerprint"]:
                assert answers_of[one["invoice_number"]] not in ("0041", "00R1"), "tried again after never again"
        self._caps_hold(day, attempt, answers_of)

    def _caps_hold(self, day: date, attempt: dict[str, Any], answers_of: dict[str, str | None]) -> None:
        same = ("token_fingerprint", "amount", "currency")
        tries = [
            on
            for on, one in self.sent
            if all(one[name] == attempt[name] for name in same) and answers_of[one["invoice_number"]] is not None
        ]
        for cap in self.rules.caps_of(network_of_name(attempt["network"])):
            within = [on for on in tries if on >= day - timedelta(days=cap.days)]
            assert len(within) + 1 <= cap.most, f"more than {cap.cap_id}"

    def _code(self, invoice: str) -> str | None:
        """What DOKU answered; None for an attempt that was withdrawn."""
        (found,) = self.lab.sql("SELECT response_code FROM outcome WHERE invoice_number = :i", i=invoice)
        return found["response_code"]


def _charges(tokens: list[int], networks: list[str | None], amounts: list[int]) -> list[dict[str, Any]]:
    return [
        row(
            f"C{number}",
            amounts[number],
            token=f"token-number-{token}",
            network=networks[token],
            due_date=FIRST_DAY,
            customer_id=f"K{token}",
            billing_number=f"B{token}",
        )
        for number, token in enumerate(tokens)
    ]


@contextmanager
def _lab(ledger_file: Path) -> Iterator[Lab]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "ledger.db"
        copy.write_bytes(ledger_file.read_bytes())
        from include.domain.connection import ConnectionSettings

        engine = ledger_engine(ConnectionSettings("ledger", "sqlite", host=str(copy)))
        yield Lab(without_fsync(Ledger.open(engine)))
        engine.dispose()


@settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    data=st.data(), limits=chosen_limits,
    tokens=st.lists(st.integers(0, 2), min_size=3, max_size=6),
    networks=st.lists(st.sampled_from(["VISA", "MASTERCARD", None]), min_size=3, max_size=3),
    amounts=st.lists(st.sampled_from([1000, 1000, 2000]), min_size=6, max_size=6),
)  # fmt: skip
def test_whatever_the_answers_and_the_days_no_rule_is_broken(ledger_file, data, limits, tokens, networks, amounts):
    with _lab(ledger_file) as lab:
        history = History(lab, limits, FEW, _charges(tokens, networks, amounts))
        for number in range(DAYS):
            history.play(FIRST_DAY + timedelta(days=number), data)
