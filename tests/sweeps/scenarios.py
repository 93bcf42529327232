"""The days that are played again and again: each takes the flows along other paths."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import sqlalchemy as sa

from include.domain.errors import RemoteError
from tests.doku_simulator.config import LAYOUTS
from tests.stack.toml import changed
from tests.sweeps import acts, bill_acts, people
from tests.sweeps.acts import Stage

ORDINARY: Final[Mapping[str, Any]] = {"brakes": {"max_quarantined_share": 0.99}}
_A_BATCH: Final = (acts.claim, acts.seal, acts.deliver_all, acts.close, acts.reconcile)


@dataclass(frozen=True)
class Act:
    """One act: what is done, on which day (after the business date), at which local hour."""

    do: Callable[[Stage], None]
    day: int = 0
    hour: float = 7.0

    @property
    def name(self) -> str:
        return f"{self.do.__name__} on day {self.day}"


@dataclass(frozen=True)
class Scenario:
    """A day.

    Attributes:
        title: For the matrix.
        changes: Laid over the shipped profile.
        acts: In order.
        faults: What DOKU's simulator does wrong.
        charges: How many the billing database holds.
        merchant: Of `tests.merchants`.
        http: Settings of DOKU's HTTP side with a clock of its own, where it has bills or tokens.
        routine: What any run does, for runs that come after one that nobody restarts.
    """

    name: str
    title: str
    acts: tuple[Act, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Any, ...] = ()
    charges: int = 60
    merchant: str = "insurance"
    http: Mapping[str, Any] | None = None
    routine: tuple[Callable[[Stage], None], ...] = _A_BATCH

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that is laid over the shipped profile. So few charges have a large share of bad ones."""
        return changed(ORDINARY, self.changes)


def merchant_changes(stage: Stage) -> None:
    """After both were claimed one customer pays elsewhere, and one amount is corrected. Doing it again is nothing."""
    engine = stage.scene.billing.engine()
    with engine.begin() as connection:
        gone, other = "PRM-202611-0000001", "PRM-202611-0000002"
        connection.execute(
            sa.text("UPDATE insurer_premiums SET cancelled_on = '2026-11-20' WHERE premium_id = :id"), {"id": gone}
        )
        connection.execute(sa.text("UPDATE insurer_premiums SET amount = 123000 WHERE premium_id = :id"), {"id": other})
    engine.dispose()


def deliver_over_a_bad_line(stage: Stage) -> None:
    """A connection that broke ends this try of the task."""
    with suppress(RemoteError):
        acts.deliver_all(stage)


def _submit(day: int = 0, hour: float = 7.0) -> tuple[Act, ...]:
    return tuple(Act(do, day, hour) for do in (acts.claim, acts.seal, acts.deliver_all, acts.close))


LONG_AFTERWARDS: Final = 10_000
"""Days. Kept files bear the real time, so it must be later than that of any day on which this is played."""

TWO_BATCHES: Final = {"max_rows_per_batch": 20}

_BILLS_AT_DOKU: Final[Mapping[str, Any]] = {
    "start_at": datetime(2026, 11, 19, 6, tzinfo=timezone(timedelta(hours=7))), "charge_retry_days": (1,),
    "register_layout": LAYOUTS / "assumed-registration.toml",
}  # fmt: skip
_QUICKLY: Final = {"http": {"requests_per_second": 1000}}
_PROVIDER: Final[Mapping[str, Any]] = {"merchant": "internet", "charges": 24, "http": _BILLS_AT_DOKU}

SCENARIOS: Final = {
    one.name: one
    for one in (
        Scenario(
            "day",
            "An ordinary day: two batches, their reports, deleted once written back",
            (*_submit(), Act(acts.reconcile)),
            {"limits": TWO_BATCHES, "report": {"delete_after": True}},
        ),
        Scenario(
            "direct",
            "A server without rename",
            (*_submit(), Act(acts.reconcile)),
            {"batch": {"delivery": "direct"}},
        ),
        Scenario(
            "late",
            "The cut-off passes before delivery: withdrawn, and claimed anew the next day",
            (
                Act(acts.claim), Act(acts.seal), Act(acts.deliver_all, hour=22), Act(acts.close, hour=22),
                *_submit(day=1), Act(acts.reconcile, day=1),
            ),
        ),
        Scenario(
            "overdue",
            "Nobody delivers: the next day's run withdraws the batch and claims its charges anew",
            (Act(acts.claim), Act(acts.seal), *_submit(day=1), Act(acts.reconcile, day=1)),
        ),
        Scenario(
            "watched",
            "A batch is late, the watchdog tells; it leaves after all, and the watchdog tells that this is over",
            (
                Act(acts.claim), Act(acts.seal), Act(acts.look, hour=11), Act(acts.deliver_all, hour=12),
                Act(acts.close, hour=12), Act(acts.look, hour=12.5), Act(acts.reconcile, hour=13),
                Act(acts.look, hour=14),
            ),
            {"watch": {"notify": ["ops"]}},
        ),
        Scenario(
            "approved",
            "A brake stops the run until a person approves it",
            (
                Act(acts.claim), Act(acts.seal), Act(acts.deliver_all), Act(acts.approve, hour=8),
                Act(acts.deliver_all, hour=8), Act(acts.close, hour=8), Act(acts.reconcile, hour=9),
            ),
            {"limits": TWO_BATCHES, "brakes": {"max_count": 5}},
        ),
        Scenario(
            "refused",
            "A person refuses the run: withdrawn",
            (
                Act(acts.claim), Act(acts.seal), Act(acts.judge), Act(acts.refuse, hour=8),
                Act(acts.deliver_all, hour=8), Act(acts.close, hour=8), Act(acts.reconcile, hour=9),
            ),
            {"limits": TWO_BATCHES, "brakes": {"max_count": 5}},
        ),
        Scenario(
            "changed",
            "The server refuses the first rename; meanwhile a charge is cancelled and an amount corrected",
            (
                *_submit()[:-1], Act(merchant_changes, hour=8), Act(acts.seal, hour=8), Act(acts.deliver_all, hour=8),
                Act(acts.close, hour=8), Act(acts.reconcile, hour=9),
            ),
            faults=("rename_refused",),
        ),
        Scenario(
            "bad line",
            "The connection breaks while the file is written, and again before the rename is answered",
            (
                Act(acts.claim), Act(acts.seal), Act(deliver_over_a_bad_line), Act(deliver_over_a_bad_line, hour=7.1),
                Act(acts.deliver_all, hour=7.2), Act(acts.close, hour=7.2), Act(acts.reconcile, hour=8),
            ),
            faults=({"name": "upload_cut", "params": {"at": 700}}, "rename_answer_lost"),
        ),
        Scenario(
            "operated",
            "Codes that nobody listed and other amounts: a person settles, closes, explains and resolves them",
            (*_submit(), Act(acts.reconcile), Act(people.operate, day=2), Act(acts.reconcile, day=2, hour=8)),
            faults=({"name": "lines_code_unlisted", "params": {"count": 2}}, "lines_amount_changed"),
        ),
        Scenario(
            "read again",
            "A code that nobody listed is listed by now: a person has the report read again",
            (
                *_submit(), Act(acts.reconcile), Act(people.list_the_code, day=2), Act(people.read_again, day=2),
                Act(acts.reconcile, day=2, hour=8),
            ),
            faults=("lines_code_unlisted",),
        ),
        Scenario(
            "lost by DOKU",
            "DOKU loses the file and says so: a person withdraws it, and the next run claims its charges anew",
            (
                *_submit(), Act(acts.reconcile), Act(people.say_refused, day=3), *_submit(day=3, hour=8),
                Act(acts.reconcile, day=3, hour=9),
            ),
            faults=({"name": "file_ignored", "match": "*_20261120_0001.TXT"},),
        ),
        Scenario(
            "set-up mended",
            "Lines are declined for the merchant's set-up: a person has it mended, and they are tried again",
            (
                *_submit(), Act(acts.reconcile), Act(people.say_mended, day=3), *_submit(day=4),
                Act(acts.reconcile, day=4, hour=8),
            ),
            faults=({"name": "line_rejected", "params": {"count": 2}},),
        ),
        Scenario(
            "told and asked",
            "DOKU is told of the file, and asked about attempts whose code nobody listed",
            (
                *_submit(), Act(acts.notify), Act(acts.reconcile), Act(acts.ask, day=1),
                Act(acts.reconcile, day=1, hour=8),
            ),
            {"connections": {"doku": "doku_api"}, "http": {"notify_after_delivery": True, "ask_status": True}},
            ({"name": "lines_code_unlisted", "params": {"count": 2}},),
        ),
        Scenario(
            "summarised",
            "A summary for people is made of the day",
            (*_submit(), Act(acts.reconcile), Act(acts.summarise_day, hour=9)),
        ),
        Scenario(
            "tidied",
            "Long afterwards the kept files and the tokens go, as the profile says, and what a killed try left behind",
            (*_submit(), Act(acts.keep_what_nobody_names), Act(acts.reconcile), Act(acts.tidy_up, day=LONG_AFTERWARDS)),
            {"housekeeping": {"files_days": 60, "tokens_days": 30}},
        ),
        Scenario(
            "odd reports",
            "A report cut off and repaired later, one twice, one with lines that conflict",
            (*_submit(), Act(acts.reconcile)),
            {"limits": TWO_BATCHES},
            (
                {"name": "report_truncated", "params": {"repair_after_seconds": 0}},
                "report_duplicated",
                "lines_conflicting",
            ),
        ),
        Scenario(
            "bills",
            "Bills by link and by file; DOKU asks for amounts, charges and tells; some is lost, some changes",
            (
                Act(bill_acts.recurring, day=-1), Act(bill_acts.recurring, day=-1, hour=20),
                Act(bill_acts.merchant_wants_otherwise, day=-1, hour=21), Act(bill_acts.recurring, day=-1, hour=22),
                Act(bill_acts.doku_asks_for_amounts, hour=5.5), Act(bill_acts.recurring, hour=8),
                Act(bill_acts.merchant_corrects_an_amount, hour=9), Act(bill_acts.recurring, day=1, hour=20),
                Act(bill_acts.settle_what_is_missing, day=1, hour=21), Act(bill_acts.recurring, day=1, hour=22),
            ),
            _QUICKLY,
            (
                {"name": "notification_lost", "match": f"payment:{bill_acts.TOLD_OF_IN_VAIN}/*"},
                {"name": "charge_missed", "match": f"{bill_acts.NEVER_CHARGED}/*"},
            ),
            routine=(bill_acts.recurring,),
            **_PROVIDER,
        ),
        Scenario(
            "amounts sent",
            "The amounts of bills that vary are sent to DOKU before it charges",
            (
                Act(bill_acts.recurring, day=-1), Act(bill_acts.recurring, day=-1, hour=20),
                Act(bill_acts.recurring, hour=8),
            ),
            {**_QUICKLY, "recurring": {"amounts": "pushed"}},
            routine=(bill_acts.recurring,),
            **{**_PROVIDER, "http": {**_BILLS_AT_DOKU, "amount_supply": "push"}},
        ),
        Scenario(
            "tokens",
            "Customers' tokens are asked for; the next day unusually many are gone, and a person accepts that",
            (
                Act(bill_acts.tokens, hour=3), Act(bill_acts.cards_die, hour=9), Act(bill_acts.tokens, day=1, hour=3),
                Act(bill_acts.accept_the_losses, day=1, hour=8), Act(bill_acts.tokens, day=1, hour=9),
            ),
            {**_QUICKLY, "tokens": {"lost_least": 2}},
            routine=(bill_acts.tokens,),
            **_PROVIDER,
        ),
    )
}  # fmt: skip
