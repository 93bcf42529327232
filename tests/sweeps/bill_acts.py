"""Days of bills and of tokens as acts: what the tasks of `doku_recurring` and `doku_tokens` do, and people beside them.

Each is safe to do again, as those of `tests.sweeps.acts` are.
"""

from dataclasses import replace
from typing import Any, Final

import httpx
import sqlalchemy as sa

from include.domain.errors import DeliveryUnknown, TokensVanished
from include.domain.states import RunKind
from include.flows.operate import carry_out
from include.flows.recurring.amounts import answer_amount, compare_answers
from include.flows.recurring.ask import ask_for_charges
from include.flows.recurring.books import close_recurring_run
from include.flows.recurring.expect import expect_charges
from include.flows.recurring.push_amounts import push_amounts
from include.flows.recurring.run import register
from include.flows.recurring.take_in import take_in
from include.flows.recurring.tell import tell_charges
from include.flows.tokens.accept import accept_token_losses
from include.flows.tokens.ask import ask_for_tokens
from include.flows.tokens.customers import list_token_customers
from include.flows.tokens.settle import settle_tokens
from include.flows.tokens.tell import tell_tokens
from tests.stack.scene import Scene
from tests.sweeps.acts import Stage

FIXED: Final = "NET00000024"
"""A bill of a fixed amount, registered by link."""

NOT_WANTED: Final = "NET00000022"
"""A bill that was registered by file, and is cancelled."""

VARYING: Final = "NET00000002"
TOLD_OF_IN_VAIN: Final = "NET00000003"
NEVER_CHARGED: Final = "NET00000009"

WITHOUT_TOKENS: Final = ("S00000005", "S00000006", "S00000014")
"""Customers whose cards die."""

_MISSING: Final = "SELECT subject FROM recon_break WHERE kind = 'missing_charge' AND state = 'open' ORDER BY subject"

_TO_BE_ASKED: Final = """
    SELECT billing_number, customer_id FROM bill WHERE amount IS NULL AND state IN ('asked', 'active')
    ORDER BY billing_number
"""


def recurring(stage: Stage) -> None:
    """DOKU goes on to this moment, then one whole run; that a file's delivery is unknown stops only `register`."""
    stage.doku()
    with stage.context() as context:
        run = replace(stage, run=f"{stage.run}-{stage.hour}").open(context, RunKind.RECURRING)
        take_in(context, run.run_id)
        try:
            register(context, run)
        except DeliveryUnknown as caught:
            stage.ended.append(f"DeliveryUnknown: {caught.message}")
        expect_charges(context)
        push_amounts(context)
        compare_answers(context)
        ask_for_charges(context)
        tell_charges(context)
        close_recurring_run(context, run)


def doku_asks_for_amounts(stage: Stage) -> None:
    """DOKU asks for the amount of each varying bill; it asks again when it charges."""
    with stage.context() as context:
        with context.ledger.read() as connection:
            asked = connection.execute(sa.text(_TO_BE_ASKED)).all()
        for one in asked:
            answer_amount(context, one.billing_number, one.customer_id)


def merchant_wants_otherwise(stage: Stage) -> None:
    """A fixed amount is another one, and a bill is not wanted any more."""
    _in_billing(stage, "UPDATE subscriptions SET monthly_fee = 300000", FIXED)
    _in_billing(stage, "UPDATE subscriptions SET cancelled_on = '2026-11-19'", NOT_WANTED)


def merchant_corrects_an_amount(stage: Stage) -> None:
    """After it was answered: DOKU is given the first answer for ever, and a break shows the difference."""
    _in_billing(stage, "UPDATE metered_months SET gigabytes = 1", VARYING)


def settle_what_is_missing(stage: Stage) -> None:
    """A person has asked DOKU about charges that never came."""
    with stage.context() as context:
        with context.ledger.read() as connection:
            missing = connection.execute(sa.text(_MISSING)).scalars().all()
        for charge_id in missing:
            about = {"invoice_number": charge_id, "outcome": "withdrawn", "evidence": "DOKU's mail"}
            carry_out(context, "settle", about, by="Siti", why="asked DOKU")


def file_never_arrived(stage: Stage) -> None:
    """DOKU has nothing of the files of which nobody can say whether they arrived."""
    with stage.context() as context:
        for name in open_files(stage.scene):
            carry_out(context, "registration_never_arrived", {"file_name": name}, by="Siti", why="asked DOKU")


def open_files(scene: Scene) -> list[str]:
    """Files that register bills of which nobody can say whether they were delivered."""
    query = "SELECT file_name FROM registration_file WHERE state IN ('renaming', 'unknown') ORDER BY file_name"
    engine = scene.ledger.engine()
    with engine.connect() as connection:
        found = list(connection.execute(sa.text(query)).scalars())
    engine.dispose()
    return found


# --- tokens --------------------


def tokens(stage: Stage) -> None:
    """One whole run; it ends where unusually many tokens are gone."""
    with stage.context() as context:
        run = stage.open(context, RunKind.TOKENS)
        list_token_customers(context, run)
        ask_for_tokens(context, run)
        try:
            settle_tokens(context, run)
        except TokensVanished as caught:
            stage.ended.append(f"TokensVanished: {caught.message}")
            return
        tell_tokens(context, run)


def cards_die(stage: Stage) -> None:
    """DOKU gives no tokens of some customers any more."""
    assert stage.scene.remote.doku is not None
    for customer_id in WITHOUT_TOKENS:
        body: dict[str, Any] = {"customer_id": customer_id, "tokens": []}
        httpx.post(f"{stage.scene.remote.doku['host']}/_simulator/tokens", json=body).raise_for_status()


def accept_the_losses(stage: Stage) -> None:
    """A person has asked DOKU: it is right that the tokens are gone."""
    with stage.context() as context:
        accept_token_losses(context, customers=len(WITHOUT_TOKENS), by="Siti", why="DOKU has ended them")


def _in_billing(stage: Stage, change: str, number: str) -> None:
    engine = stage.scene.billing.engine()
    with engine.begin() as connection:
        connection.execute(sa.text(f"{change} WHERE subscription_number = :number"), {"number": number})
    engine.dispose()
