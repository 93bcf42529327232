"""The sentences of `explain`: what each rule, reason and class of code means to a person who talks to the customer."""

from collections.abc import Iterator
from typing import Final

from include.doku.codes import ResponseCode
from include.schemas.codes import ResponseClass
from include.schemas.due_charges import describe

RULES: Final = {
    "first": "It is the charge's first attempt.",
    "merchant_asked": "The attempt before was declined, and the merchant's view asks for this one by its number.",
    "planned": "The attempt before was declined, and its planned day had come.",
    "listed_again": "Its planned day had passed while the merchant's view did not list it; the view lists it again.",
    "after_change": "The attempt before was declined until something changes, and the merchant's view changed.",
    "new_instrument": "The card or account of the attempt before may never be charged again; this is another one.",
    "after_withdrawal": "The attempt before was withdrawn: it never reached DOKU's customer, so the charge was free.",
}

PASSED: Final = {
    ("held", "charge_hold"): ("Held", "A hold on this charge kept it back."),
    ("held", "customer_hold"): ("Held", "A hold on its customer kept it back."),
    ("held", "profile_hold"): ("Held", "A hold on the whole profile kept everything back."),
    ("held", "billed_by_doku"): (
        "Held: DOKU charges this bill itself",
        (
            "Its billing number is an active bill at DOKU, or may be: DOKU's word on a registration waits to be taken "
            "in, or DOKU has charged it (see the breaks). In a batch as well the customer would pay twice."
        ),
    ),
    ("held", "charge_of_a_bill"): (
        "Held: this is a charge of a bill",
        "DOKU charged it, or was to; in a batch it could be collected twice. List it under a charge id of its own.",
    ),
    ("held", "late"): (
        "Held as too late",
        "It fell due longer ago than the profile's late window allows, so it waits for a person.",
    ),
    ("held", "attempt_no_ahead"): (
        "Held",
        "The merchant's view asks for an attempt that does not follow the last one here.",
    ),
    ("held", "past_date"): ("Shown, not sent", "The run worked for a day that was over; such a run sends nothing."),
    ("held", "earlier_date"): ("Left to an earlier date", "Another date of the same backfill sends it."),
    ("held", "dry_run"): ("Shown in a dry run", "It would have been sent. A dry run sends nothing."),
    ("deferred", "declined"): (
        "Left alone after its decline",
        "Its last attempt was declined, and nobody has asked for another one yet.",
    ),
    ("deferred", "planned"): ("Left for its planned day", "Its last attempt was declined; the next one has its day."),
    ("deferred", "not_today"): (
        "Left for another day",
        "It was declined before, and this is no day on which the profile allows another try.",
    ),
    ("deferred", "network_cap"): (
        "Put off: tried too often",
        "Its card was tried for this amount as often as the card network allows within some days.",
    ),
    ("held", "after_change"): (
        "Held until something changes",
        "Another try would not help as it is. It goes on when the view shows another token, amount or customer.",
    ),
    ("held", "merchant_setup"): (
        "Held: the set-up is wrong",
        "It was declined for the merchant's set-up at DOKU. It goes on when a person says that this is mended.",
    ),
    ("held", "token_lost"): (
        "Held: its token is gone",
        "DOKU does not give this token any more, so another try could only fail. It goes on with a newer token.",
    ),
    ("held", "instrument_stopped"): (
        "Held: this card is never charged again",
        "An answer said never again of its card or account, for this charge or another. It goes on with another token.",
    ),
    ("held", "mandate_ended"): (
        "Held: the agreement was revoked",
        "The customer revoked the agreement under this billing number. It goes on under another one.",
    ),
    ("held", "retry.max_per_charge"): (
        "Held: tried often enough",
        "The merchant's view asks for another try; the profile allows no more of one charge.",
    ),
    ("in_flight", "awaiting"): (
        "Left alone: in flight",
        "Its attempt is on its way or at DOKU and has no answer yet; another one could charge twice.",
    ),
    ("in_flight", "unknown"): (
        "Left alone: unknown",
        "Nobody can say yet what became of its attempt; another one could charge twice.",
    ),
    ("settled", "never_again"): (
        "Closed: never again with this card",
        "Its last attempt was declined with never again. It goes on only with another token.",
    ),
    ("settled", "mandate_ended"): (
        "Closed: the agreement was revoked",
        "The customer revoked it; nothing more is tried.",
    ),
    ("settled", "exhausted"): (
        "Closed: tried often enough",
        "All tries that the profile or the network allows are used up.",
    ),
    ("settled", "paid"): ("Listed though paid", "It is paid. The merchant's view still lists it; nothing is sent."),
}
"""(fate, reason) -> (title, sentence) for a run that neither sent nor quarantined a charge."""

ROWS: Final = {
    "repeated": "The same row stood in the view twice. The first one went on.",
    "conflicting": "The view listed it several times with different values. Nobody can say which is right, so none "
    "was sent. Correct the view.",
    "several_tokens": "The view listed it with several tokens, and nothing says which one to charge, so none was. Join "
    "the one that is chosen in doku_tokens.",
    "awaiting_release": "It was quarantined before, and this profile wants a person to release it.",
    "changed_after_settled": "It is settled here already, but the view now lists it with another amount, due date or "
    "customer. Check which is right.",
}

CLASSES: Final[dict[ResponseClass, str]] = {
    "approved": "The customer has paid.",
    "retry_later": "Another attempt may succeed later.",
    "after_change": "Another attempt helps only once the customer or the card has changed something.",
    "never": "It must never be tried again with this card or account.",
    "merchant_setup": "Something is wrong with the merchant's set-up at DOKU; no attempt helps until DOKU mends it.",
    "check_first": "It says neither yes nor no: find out whether the customer was charged before anything else.",
    "unknown": "Nobody has listed what this code means, so it counts neither as paid nor as declined.",
}

LINES: Final = {
    "answer": "",
    "repeat": "The same was known already; nothing changed.",
    "amount_differs": "The amount is not the one that was sent; a break was opened.",
    "other_profile": "The attempt was sent by another profile; a break was opened and nothing was concluded.",
    "unexpected": "Its batch had not left at that time; a break was opened and nothing was concluded.",
}
"""What each class of a report line adds."""

BREAKS: Final = {
    "amount_differs": "the amounts differ",
    "conflict": "two answers that differ",
    "unexpected": "a line for an attempt that was not sent",
    "other_profile": "a line for another profile's attempt",
    "missing_line": "the report is complete without it",
    "partial_approval": "only a part was approved",
    "partial_refund": "only a part was given back",
    "unlisted_code": "a code that nobody has listed",
    "witnesses_disagree": "two witnesses disagree",
    "paid_while_in_flight": "paid after all, while another attempt is in flight",
    "collected_twice": "collected twice",
    "unexpected_charge": "DOKU charged what nobody expected",
    "missing_charge": "DOKU has not said what became of it",
    "amount_changed": "the amount changed after DOKU was answered",
}

PLANS: Final = {
    "retry": "Next attempt planned",
    "after_change": "Waits until the customer or the card changes",
    "merchant_setup": "Waits until the merchant's set-up at DOKU is mended",
    "ask": "Waits until the merchant's view asks for it",
    "never": "Never again with this card or account",
    "mandate_ended": "The customer revoked the agreement",
    "exhausted": "Tried often enough",
    "withdrawn": "Put aside: no longer listed",
    "cancelled": "No further attempt needed",
}
"""What was decided after a declined attempt."""

DECISIONS: Final = {
    "resend": ("Delivery ordered by a person", "The file had not left; it is delivered under its own name."),
    "release": ("Released from quarantine", "The next run checks it again; it is not waved through."),
    "cancel": ("Cancelled", "No further attempt is made."),
    "brake": ("A brake stopped the run", ""),
}
"""Kind of a person's decision -> title and what it does."""


def rejected(reasons: str) -> Iterator[str]:
    """The reasons of a quarantine as sentences."""
    for column, code, sentence in describe(reasons):
        if column == "row":
            yield ROWS.get(code, f"By the rule {code}.")
        else:
            yield f"{column}: {sentence or code}"


def answer(code: ResponseCode) -> str:
    """What a code says, and what may be done."""
    return f"{code.meaning}. {CLASSES[code.class_]}".replace("..", ".")
