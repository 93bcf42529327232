"""By which settings of a profile DOKU's charges are judged."""

from collections.abc import Callable
from functools import partial

from include.doku.codes import ResponseCodes
from include.doku.payment_words import meaning_of
from include.domain.bill_judgement import Meaning
from include.flows.context import FlowContext
from include.ledger.bill_charges import Terms


def terms_of(context: FlowContext) -> Terms:
    """Whose bills, and how a charge finds its day; now."""
    profile, settings = context.profile, context.profile.recurring
    return Terms(
        profile=profile.name,
        billing_source=profile.billing_source,
        zone=profile.zone,
        match_days=settings.match_days,
        same_day_until=settings.same_day_until,
        at=context.clock(),
    )


def reader_of(context: FlowContext) -> Callable[[str | None, bool | None, str | None], Meaning]:
    """What DOKU's word and code mean, by today's codes of the profile."""
    return partial(meaning_of, ResponseCodes.of(context.profile))
