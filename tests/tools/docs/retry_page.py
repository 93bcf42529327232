"""`docs/retry.md`: what becomes of a charge after each answer, as the shipped codes, rules and profile decide.

Every row is the decision itself: the pure function is asked about a charge that was tried once.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from include.doku.codes import ResponseCode, ResponseCodes
from include.domain.calendar import AttemptDays
from include.domain.retry import Declined, Limits, decide
from include.domain.states import NextAction
from include.flows.plan_next import as_code
from include.schemas.profile import SHIPPED_CONFIG, load_profile
from include.schemas.retry_rules import RetryRules, load_retry_rules
from tests.tools.docs.markdown import code, table

_DAY: Final = date(2026, 11, 3)
"""A Tuesday with no holiday near it; only the days between count here."""

_HEAD: Final = """\
# After a decline

Written by `make docs` from `include/config/codes.toml`, `include/config/retry_rules.toml` and the shipped insurer's
profile; do not edit. A test fails when they differ.

When reconciliation has matched a report, `plan_next_attempts` decides what becomes of each charge that was declined,
and keeps the decision with its rule and its words (`next_attempt`). Of several answers to one attempt the strictest
counts, in whichever order they come. `next_attempt_on` of
`doku_charge_outcomes` has the day, if there is one. The submit run whose execute date has come to that day sends it,
with the amount and the token that the view then has.

Whatever asks for an attempt, a plan or the merchant's view by `attempt_no`, these hold at every claim: never again with
an instrument that a network stopped, nothing under an agreement that the customer revoked, and the networks' caps over
all attempts on one token and amount. With `retry.enabled = false` nothing is planned, and only the view asks.

| action | what it means | in the books of a later run |
|---|---|---|
| retry | tried again on the planned day, or the first allowed day after it on which a run works | deferred, `planned` |
| after change | goes on when the view lists another token, amount, due date or customer | held, `after_change` |
| merchant set-up | the next run stops; it goes on when a person says `setup-mended` | held, `merchant_setup` |
| only when asked | no rule says more: the view may ask by `attempt_no` | deferred, `declined` |
| never | closed; another token opens it again | settled, `never_again` |
| mandate ended | closed, and what else comes under its billing number is held | settled or held, `mandate_ended` |
| in flight | nobody knows yet whether money moved; never tried again by itself | in_flight, `unknown` |

Three more ends come from counting, not from a code: `exhausted` (the profile's limits, a cap, the late window),
`withdrawn` (a planned day came and the view did not list the charge; it goes on when it does again) and `cancelled`
(paid after all, or closed by a person).
"""


def render() -> str:
    """The page."""
    rules = load_retry_rules(SHIPPED_CONFIG / "retry_rules.toml")
    lines = [_HEAD, *_codes(rules), *_advice(rules), *_caps(rules), *_days()]
    return "\n".join(lines).rstrip() + "\n"


def _codes(file: RetryRules) -> Iterator[str]:
    yield "## By response code\n"
    yield (
        "*Days* is the least from one execute date to the next after a first try; weekends, holidays, pay days and "
        "caps may make it more.\n"
    )
    codes = ResponseCodes.load(SHIPPED_CONFIG / "codes.toml")
    unlisted = codes.look_up("ZZZZ")
    rows = (_code_row(file, one) for one in (*codes.listed, unlisted))
    yield from table(["code", "meaning", "class", "what becomes of the charge", "days", "rule", "how sure"], rows)


def _code_row(file: RetryRules, found: ResponseCode) -> list[str]:
    name = code(found.code) if found.listed else "any other"
    meaning = found.meaning if found.listed else "nobody listed it"
    head = [name, meaning, found.class_.replace("_", " ")]
    if found.outcome == "paid":
        return [*head, "paid: nothing more", "", "", ""]
    if found.outcome != "declined":
        words = "in flight until somebody knows" if found.outcome == "unknown" else "reversed: nothing more"
        return [*head, words, "", "", ""]
    decided = decide(_declined(found), file.rules(), _LIMITS, first=_DAY, last=_DAY + timedelta(days=60))
    more = [words for words, true in (("few times", found.few), ("or by advice code", found.by_advice_code)) if true]
    action = _action(decided.action) + (", on pay days" if decided.pay_day else "")
    days = str((decided.on - _DAY).days) if decided.on else ""
    sure = {entry.id: entry.certainty for entry in file.entries}[decided.rule]
    return [*head, ", ".join([action, *more]), days, code(decided.rule), sure]


_LIMITS: Final = Limits(enabled=True, spacing=(1,), max_per_charge=9, max_per_period=9, few=9, days=AttemptDays())


def _declined(found: ResponseCode, advice: str | None = None) -> Declined:
    return Declined(
        code=as_code(found), execute_date=_DAY, attempt_no=1, tries_of_charge=1, tries_in_period=1, advice_code=advice
    )


def _action(action: NextAction) -> str:
    words = {"ask": "only when asked", "merchant_setup": "merchant set-up"}
    return words.get(action, str(action).replace("_", " "))


def _advice(file: RetryRules) -> Iterator[str]:
    yield "## By the network's advice code\n"
    yield (
        "Where the report's layout has one. An advice makes a rule stricter, never kinder; for the codes marked *or by "
        "advice code* it decides alone. One that is not here changes nothing.\n"
    )
    rows = (
        [
            code(one),
            rule.words,
            _action(NextAction(rule.action)),
            _least(rule.action, rule.at_least_days),
            code(rule.id),
        ]
        for rule in file.advice
        for one in rule.codes
    )
    yield from table(["advice", "meaning", "what becomes of the charge", "days", "rule"], rows)


def _least(action: str, days: int) -> str:
    return str(days) if action == "retry" else ""


def _caps(file: RetryRules) -> Iterator[str]:
    yield "## The networks' caps\n"
    yield (
        "Counted over all attempts on one token (by its fingerprint) that were not withdrawn, of whatever charge and "
        "profile, first attempts too; one too many is deferred as `network_cap`. The network is the view's, or that of "
        "the masked card in an earlier report; a network that is not known or not here has all caps at once. An "
        "execute date has no hour, so the day that far back counts as well.\n"
    )
    rows = (
        [code(one.id), one.network, str(one.most), str(one.up_to), str(one.days), one.per.replace("_", " "), one.source]
        for one in file.cap
    )
    yield from table(["cap", "network", "tries", "may be set to", "days", "counted by", "source"], rows)
    yield f"Edition {file.edition}, to be looked at again by {file.review_by}; the watchdog says when.\n"


def _days() -> Iterator[str]:
    profile = load_profile(Path(SHIPPED_CONFIG) / "profiles" / "insurance.toml")
    retry = profile.retry
    yield "## How often and when, in the shipped insurer's profile\n"
    rows = [
        ["`retry.spacing_days`", ", ".join(map(str, retry.spacing_days))],
        ["`retry.max_per_charge`", f"{retry.max_per_charge} tries, the first one too"],
        ["`retry.max_per_period`", f"{retry.max_per_period} tries under one billing number in a billing period"],
        ["`retry.few`", f"{retry.few} tries again after a code marked *few times*"],
        ["`retry.pay_days`", ", ".join(map(str, retry.pay_days)) + " of the month, or the next allowed day"],
        ["`retry.weekdays`", ", ".join(retry.weekdays)],
        ["`retry.on_holidays`", "yes" if retry.on_holidays else "no"],
    ]
    yield from table(["setting", "value"], rows)
    yield (
        "Holidays come from `calendars/<country>-<year>.toml` beside the profiles, from a shipped file, or from the "
        "library `holidays`, in that order. A file may also hold another cut-off for single days. The merchant's own "
        "`retry_rules.toml` stands in a folder `rules` beside the profiles.\n"
    )
