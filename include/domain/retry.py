"""The next attempt: what becomes of a charge after one was declined, by which rule. Pure: figures in, a decision out.

Rules say what a code allows, the profile how often and on which days, the networks' caps how often one token may be
tried at all. Whatever is not allowed by one of them is not done.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from include.domain.calendar import AttemptDays
from include.domain.invoice_numbers import MAX_ATTEMPT_NO
from include.domain.states import NextAction

SWITCHED_OFF: Final = "switched_off"
NO_RULE: Final = "no_rule"
LATE_WINDOW: Final = "billing.late_window_days"


@dataclass(frozen=True)
class Rule:
    """What a code, a class of codes or an advice code allows.

    Attributes:
        rule_id: Its name in `retry_rules.toml`.
        action: What becomes of the charge.
        words: Why, for a person.
        at_least_days: Days from one execute date to the next, at least.
        pay_day: Only on pay days, where the profile has any.
    """

    rule_id: str
    action: NextAction
    words: str
    at_least_days: int = 1
    pay_day: bool = False


@dataclass(frozen=True)
class Cap:
    """Most tries on one token within some days, by a network's rules.

    Attributes:
        network: Whose rule it is.
        most: Tries, whoever made them; withdrawn ones do not count.
        days: So many days back count, the day itself and the one that far back too: an execute date has no hour.
        per_amount: Whether only tries of the same amount count.
    """

    cap_id: str
    network: str
    most: int
    days: int
    per_amount: bool = True

    def is_full(self, day: date, tries: Iterable[date]) -> bool:
        """Whether one more on that day would be one too many, after tries on those days."""
        first = day - timedelta(days=self.days)
        return sum(one >= first for one in tries) >= self.most


@dataclass(frozen=True)
class Code:
    """A response code as the rules see it; see `include.doku.codes.ResponseCode`."""

    code: str
    class_: str
    meaning: str = ""
    few: bool = False
    ends_mandate: bool = False
    by_advice_code: bool = False


@dataclass(frozen=True)
class Rules:
    """The rules: by code, by class of codes, by the network's advice code; and the caps."""

    by_code: Mapping[str, Rule] = field(default_factory=dict)
    by_class: Mapping[str, Rule] = field(default_factory=dict)
    by_advice: Mapping[str, Rule] = field(default_factory=dict)
    mandate: Rule | None = None
    caps: tuple[Cap, ...] = ()

    def after(self, code: Code, advice_code: str | None = None) -> Rule:
        """The rule for an answer.

        An advice code makes a rule stricter; it decides alone where the code asks for it. What no rule names is not
        tried again.
        """
        found = self._by_code(code)
        advice = self.by_advice.get((advice_code or "").strip().upper().zfill(2)) if advice_code else None
        if advice is None:
            return found
        if code.by_advice_code or STRICTNESS[advice.action] > STRICTNESS[found.action]:
            return advice
        if advice.action is found.action is NextAction.RETRY and advice.at_least_days > found.at_least_days:
            return advice
        return found

    def caps_of(self, network: str | None) -> tuple[Cap, ...]:
        """The caps of a network; all of them where it is not known or has none: the strictest counts."""
        own = tuple(cap for cap in self.caps if cap.network == network)
        return own or self.caps

    def _by_code(self, code: Code) -> Rule:
        if code.ends_mandate and self.mandate is not None:
            return self.mandate
        no_rule = Rule(NO_RULE, NextAction.ASK, "no rule says what to do after this answer")
        return self.by_code.get(code.code) or self.by_class.get(code.class_) or no_rule


STRICTNESS: Final[Mapping[NextAction, int]] = {
    NextAction.RETRY: 0,
    NextAction.WITHDRAWN: 0,
    NextAction.ASK: 1,
    NextAction.AFTER_CHANGE: 2,
    NextAction.MERCHANT_SETUP: 3,
    NextAction.EXHAUSTED: 4,
    NextAction.CANCELLED: 4,
    NextAction.NEVER: 5,
    NextAction.MANDATE_ENDED: 6,
}
"""An attempt may be declined several times, for several reasons; the strictest action is the one that counts. So the
order in which reports come does not matter."""

STOPS: Final = (NextAction.NEVER, NextAction.MANDATE_ENDED)
"""Actions that hold for other charges too: of the card or account, of the agreement."""


@dataclass(frozen=True)
class Limits:
    """How often and when, by the profile.

    Attributes:
        enabled: Off: nothing is planned; a charge is tried again when the merchant's view asks for it.
        spacing: Days from one execute date to the next, after the first, second, ... try; the last one goes on.
        max_per_charge, max_per_period: Most tries, the first one too.
        few: Most tries again after an answer for which another seldom helps.
        days: Days on which a charge may be tried again.
    """

    enabled: bool = False
    spacing: Sequence[int] = (1,)
    max_per_charge: int = 1
    max_per_period: int = 1
    few: int = 0
    days: AttemptDays = field(default_factory=AttemptDays)


@dataclass(frozen=True)
class Declined:
    """A declined attempt.

    Attributes:
        tries_of_charge, tries_in_period: Attempts so far, this one too; withdrawn ones do not count.
        on_token, on_token_and_amount: Execute dates of all tries on its token, whatever the charge, this one too.
        network: As far as it is known.
    """

    code: Code
    execute_date: date
    attempt_no: int
    tries_of_charge: int
    tries_in_period: int
    on_token: Sequence[date] = ()
    on_token_and_amount: Sequence[date] = ()
    network: str | None = None
    advice_code: str | None = None


@dataclass(frozen=True)
class Decision:
    """What becomes of a charge.

    Attributes:
        on: retry: the execute date, not before it.
        pay_day: retry: only on a pay day.
        rule: Which rule, setting or cap decided.
        words: Why, for a person.
    """

    action: NextAction
    rule: str
    words: str
    on: date | None = None
    pay_day: bool = False

    def is_stricter_than(self, other: "Decision") -> bool:
        """Whether it counts, and not the other one; of two tries again the later one does."""
        mine, its = STRICTNESS[self.action], STRICTNESS[other.action]
        return mine > its or (mine == its and (self.on or date.min) > (other.on or date.min))


def decide(declined: Declined, rules: Rules, limits: Limits, *, first: date, last: date) -> Decision:
    """What becomes of a charge after an attempt of it was declined.

    Args:
        first: The first day on which it can be tried again at all.
        last: The last one: after it the charge is too late to be sent.
    """
    rule = rules.after(declined.code, declined.advice_code)
    said = _said(declined)
    if rule.action in STOPS or rule.action is NextAction.MERCHANT_SETUP:
        return Decision(rule.action, rule.rule_id, f"{said}: {rule.words}")
    if not limits.enabled:
        words = f"{said}. Re-attempts are switched off: it waits until the merchant's view asks for the next one"
        return Decision(NextAction.ASK, SWITCHED_OFF, words)
    spent = None if rule.action is NextAction.ASK else _spent(declined, limits)
    if spent is not None:
        setting, words = spent
        return Decision(NextAction.EXHAUSTED, setting, f"{said}. {words}")
    if rule.action is not NextAction.RETRY:
        return Decision(rule.action, rule.rule_id, f"{said}: {rule.words}")
    return _planned(declined, rule, rules.caps_of(declined.network), limits, first, last)


def _spent(declined: Declined, limits: Limits) -> tuple[str, str] | None:
    """The setting that allows no further try, and why; None if there may be one."""
    counted = (
        ("retry.max_per_charge", declined.tries_of_charge, limits.max_per_charge, "of this charge"),
        ("retry.max_per_period", declined.tries_in_period, limits.max_per_period, "in its billing period"),
        ("invoice_numbers", declined.attempt_no, MAX_ATTEMPT_NO, "by number"),
    )
    for setting, tries, most, what in counted:
        if tries >= most:
            return setting, f"{tries} of at most {most} tries {what} are used up"
    if declined.code.few and declined.tries_of_charge > limits.few:
        again = declined.tries_of_charge - 1
        return "retry.few", f"After such an answer it is tried again at most {limits.few} times; it was {again} times"
    return None


def _planned(declined: Declined, rule: Rule, caps: Sequence[Cap], limits: Limits, first: date, last: date) -> Decision:
    spacing = limits.spacing[min(declined.tries_of_charge, len(limits.spacing)) - 1]
    day = max(first, declined.execute_date + timedelta(days=max(spacing, rule.at_least_days)))
    said, capped = _said(declined), None
    while day <= last:
        if limits.days.allows(day, pay_day=rule.pay_day):
            full = full_caps(caps, day, declined.on_token, declined.on_token_and_amount)
            if not full:
                next_try = declined.tries_of_charge + 1
                words = f"{said}: {rule.words}. Try {next_try} of at most {limits.max_per_charge} is for {day}"
                return Decision(NextAction.RETRY, rule.rule_id, words, day, rule.pay_day)
            capped = capped or full[0]
        day += timedelta(days=1)
    if capped is not None:
        words = f"{said}. {capped.network} allows {capped.most} tries in {capped.days} days, on any day up to {last}"
        return Decision(NextAction.EXHAUSTED, capped.cap_id, f"{words} one more would be too many")
    return Decision(
        NextAction.EXHAUSTED, LATE_WINDOW, f"{said}. No allowed day is left up to {last}, when it is too late"
    )


@dataclass(frozen=True)
class Wanted:
    """A row that a claim would send: its token by fingerprint, amounts in smallest units."""

    row_no: int
    fingerprint: str
    currency: str
    amount: int
    network: str | None = None


@dataclass(frozen=True)
class Tried:
    """An attempt on a token that was, or may have been, charged."""

    fingerprint: str
    currency: str
    amount: int
    execute_date: date


def one_too_many(wanted: Iterable[Wanted], tried: Iterable[Tried], rules: Rules, day: date) -> list[int]:
    """The rows that would break a cap if they were sent for that day: the later ones, each after those before it."""
    made: dict[str, list[Tried]] = {}
    for one in tried:
        made.setdefault(one.fingerprint, []).append(one)
    refused = []
    for row in wanted:
        before = made.setdefault(row.fingerprint, [])
        same = [one.execute_date for one in before if (one.currency, one.amount) == (row.currency, row.amount)]
        if full_caps(rules.caps_of(row.network), day, [one.execute_date for one in before], same):
            refused.append(row.row_no)
        else:
            before.append(Tried(row.fingerprint, row.currency, row.amount, day))
    return refused


@dataclass(frozen=True)
class ClaimTerms:
    """What a claim may try again.

    Attributes:
        enabled: Off: only what the merchant's view asks for.
        day_allowed: Whether a charge may be tried again on the execute date.
        pay_day: Whether that is a pay day (or there are none).
        max_per_charge: Most tries of a charge, whoever asks.
        max_per_period: Most tries under one billing number in a billing period, by what was planned.
        rules: With the caps, which hold for whatever is sent.
    """

    enabled: bool = False
    day_allowed: bool = True
    pay_day: bool = True
    max_per_charge: int = MAX_ATTEMPT_NO
    max_per_period: int = MAX_ATTEMPT_NO
    rules: Rules = field(default_factory=Rules)


def full_caps(
    caps: Iterable[Cap], day: date, on_token: Sequence[date], on_token_and_amount: Sequence[date]
) -> list[Cap]:
    """The caps that one more try on that day would break."""
    return [cap for cap in caps if cap.is_full(day, on_token_and_amount if cap.per_amount else on_token)]


def _said(declined: Declined) -> str:
    code = declined.code
    advice = f", advice {declined.advice_code}" if declined.advice_code else ""
    return f"{code.code or 'no code'}{advice} ({code.meaning})" if code.meaning else f"{code.code or 'no code'}{advice}"
