"""The next attempt: never more than the caps, never after a never-again code, never on a day that is not allowed."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.calendar import EVERY_DAY, AllowedDays, AttemptDays
from include.domain.networks import network_of_card, network_of_name
from include.domain.retry import Cap, Code, Declined, Limits, Rule, Rules, decide, full_caps
from include.domain.states import NextAction

FRIDAY = date(2026, 11, 20)
LAST = FRIDAY + timedelta(days=30)

VISA = Cap("visa_30_days", "VISA", 15, 30)
MASTERCARD = (Cap("mastercard_24_hours", "MASTERCARD", 10, 1), Cap("mastercard_30_days", "MASTERCARD", 35, 30))
RULES = Rules(
    by_code={"0051": Rule("insufficient_funds", NextAction.RETRY, "no money", pay_day=True)},
    by_class={
        "retry_later": Rule("retry_later", NextAction.RETRY, "later"),
        "after_change": Rule("after_change", NextAction.AFTER_CHANGE, "change"),
        "never": Rule("never_again", NextAction.NEVER, "never"),
        "merchant_setup": Rule("merchant_setup", NextAction.MERCHANT_SETUP, "setup"),
    },
    by_advice={
        "02": Rule("advice_later", NextAction.RETRY, "72 hours", at_least_days=4),
        "03": Rule("advice_never", NextAction.NEVER, "never"),
        "21": Rule("advice_stop", NextAction.MANDATE_ENDED, "stop"),
    },
    mandate=Rule("mandate_ended", NextAction.MANDATE_ENDED, "revoked"),
    caps=(VISA, *MASTERCARD),
)
LIMITS = Limits(enabled=True, spacing=(1, 3, 5, 7), max_per_charge=4, max_per_period=4, few=2)
LATER = Code("0005", "retry_later")


def declined(code: Code = LATER, **changes) -> Declined:
    values = {
        "code": code, "execute_date": FRIDAY, "attempt_no": 1, "tries_of_charge": 1, "tries_in_period": 1,
        "on_token": (FRIDAY,), "on_token_and_amount": (FRIDAY,), "network": "VISA",
    }  # fmt: skip
    return Declined(**{**values, **changes})


def decided(one: Declined, limits: Limits = LIMITS, first: date = FRIDAY, last: date = LAST):
    return decide(one, RULES, limits, first=first, last=last)


@pytest.mark.parametrize(
    ("code", "action", "rule"),
    [
        (Code("0005", "retry_later"), "retry", "retry_later"),
        (Code("0051", "retry_later"), "retry", "insufficient_funds"),
        (Code("0054", "after_change"), "after_change", "after_change"),
        (Code("0004", "never"), "never", "never_again"),
        (Code("00R1", "never", ends_mandate=True), "mandate_ended", "mandate_ended"),
        (Code("0003", "merchant_setup"), "merchant_setup", "merchant_setup"),
        (Code("XYZ1", "unknown"), "ask", "no_rule"),
        (Code("", "unknown"), "ask", "no_rule"),
    ],
)
def test_the_code_decides(code, action, rule):
    found = decided(declined(code))
    assert (found.action, found.rule) == (action, rule)
    assert (found.on is None) == (action != "retry")


@pytest.mark.parametrize(
    ("code", "action"),
    [(LATER, "ask"), (Code("0054", "after_change"), "ask"), (Code("0003", "merchant_setup"), "merchant_setup"),
     (Code("0004", "never"), "never"), (Code("00R0", "never", ends_mandate=True), "mandate_ended")],
)  # fmt: skip
def test_switched_off_nothing_is_planned_but_never_stays_never(code, action):
    assert decided(declined(code), Limits()).action == action


@pytest.mark.parametrize(
    ("tries", "on"), [(1, FRIDAY + timedelta(days=1)), (2, FRIDAY + timedelta(days=3)), (3, FRIDAY + timedelta(days=5))]
)
def test_the_spacing_grows(tries, on):
    assert decided(declined(tries_of_charge=tries)).on == on


def test_the_last_spacing_goes_on():
    many = Limits(enabled=True, spacing=(1, 3), max_per_charge=9, max_per_period=9)
    assert decided(declined(tries_of_charge=7), many).on == FRIDAY + timedelta(days=3)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"tries_of_charge": 4}, "retry.max_per_charge"),
        ({"tries_in_period": 4}, "retry.max_per_period"),
        ({"attempt_no": 99}, "invoice_numbers"),
        ({"code": Code("0005", "retry_later", few=True), "tries_of_charge": 3}, "retry.few"),
        ({"on_token_and_amount": (FRIDAY,) * 15}, "visa_30_days"),
        ({"execute_date": LAST}, "billing.late_window_days"),
    ],
)
def test_what_is_used_up_is_the_end(changes, rule):
    found = decided(declined(**changes))
    assert (found.action, found.rule, found.on) == (NextAction.EXHAUSTED, rule, None)


@pytest.mark.parametrize(
    ("code", "action"),
    [(Code("0054", "after_change"), "exhausted"), (Code("0003", "merchant_setup"), "merchant_setup"),
     (Code("QQQQ", "unknown"), "ask"), (Code("0004", "never"), "never")],
)  # fmt: skip
def test_a_change_of_the_view_allows_no_more_tries_than_a_charge_has(code, action):
    assert decided(declined(code, tries_of_charge=4)).action == action


def test_few_allows_few():
    assert decided(declined(Code("0005", "retry_later", few=True), tries_of_charge=2)).action == "retry"


def test_a_full_cap_moves_the_day_until_a_try_is_old_enough():
    tries = (FRIDAY - timedelta(days=25), *(FRIDAY,) * 14)
    assert decided(declined(on_token_and_amount=tries)).on == FRIDAY + timedelta(days=6)


@pytest.mark.parametrize(("network", "tries", "action"), [
    ("VISA", 14, "retry"), ("VISA", 15, "exhausted"), ("MASTERCARD", 15, "retry"), ("MASTERCARD", 34, "retry"),
    ("MASTERCARD", 35, "exhausted"), (None, 14, "retry"), (None, 15, "exhausted"), ("JCB", 15, "exhausted"),
])  # fmt: skip
def test_each_network_has_its_caps_and_an_unknown_one_the_strictest(network, tries, action):
    found = decided(declined(network=network, on_token_and_amount=(FRIDAY,) * tries))
    assert found.action == action


def test_a_day_is_longer_than_24_hours_where_nobody_knows_the_hour():
    ten = (FRIDAY,) * 10
    assert decided(declined(network="MASTERCARD", on_token_and_amount=ten)).on == FRIDAY + timedelta(days=2)


@pytest.mark.parametrize(
    ("code", "advice", "action", "rule"),
    [
        (LATER, "03", "never", "advice_never"),
        (LATER, "3", "never", "advice_never"),
        (LATER, "21", "mandate_ended", "advice_stop"),
        (LATER, "02", "retry", "advice_later"),
        (LATER, "99", "retry", "retry_later"),
        (Code("0004", "never"), "02", "never", "never_again"),
        (Code("0054", "after_change"), "02", "after_change", "after_change"),
        (Code("0083", "after_change", by_advice_code=True), "02", "retry", "advice_later"),
        (Code("0083", "after_change", by_advice_code=True), None, "after_change", "after_change"),
    ],
)
def test_an_advice_code_makes_stricter_and_decides_where_it_is_asked(code, advice, action, rule):
    found = decided(declined(code, advice_code=advice))
    assert (found.action, found.rule) == (action, rule)


def test_advice_to_wait_is_waited_for():
    assert decided(declined(advice_code="02")).on == FRIDAY + timedelta(days=4)


def test_words_name_the_code_the_rule_and_the_day():
    words = decided(declined(Code("0005", "retry_later", "Do not honour"))).words
    assert words == "0005 (Do not honour): later. Try 2 of at most 4 is for 2026-11-21"


# --- days ---

WEEK = AllowedDays(weekdays=frozenset(range(5)), holidays=frozenset({date(2026, 12, 25)}), on_holidays=False)


def test_weekends_and_holidays_are_passed_over():
    limits = Limits(True, (1,), 9, 9, days=AttemptDays(WEEK))
    assert decided(declined(), limits).on == date(2026, 11, 23)
    assert decided(declined(execute_date=date(2026, 12, 24)), limits, last=date(2027, 1, 20)).on == date(2026, 12, 28)


@pytest.mark.parametrize(
    ("pay_days", "after", "on"),
    [
        ((25,), "2026-11-20", "2026-11-25"),
        ((21,), "2026-11-20", "2026-11-23"),  # a Saturday: moves to Monday
        ((21, 22, 23), "2026-11-20", "2026-11-23"),  # three become one
        ((31,), "2026-11-20", "2026-11-30"),  # November has 30
        ((25,), "2026-12-21", "2026-12-28"),  # a holiday before a weekend
    ],
)
def test_pay_days(pay_days, after, on):
    limits = Limits(True, (1,), 9, 9, days=AttemptDays(WEEK, pay_days))
    one = declined(Code("0051", "retry_later"), execute_date=date.fromisoformat(after))
    assert decided(one, limits, last=date(2027, 2, 1)).on == date.fromisoformat(on)


def test_pay_days_are_for_the_codes_that_ask_for_them():
    limits = Limits(True, (1,), 9, 9, days=AttemptDays(pay_days=(25,)))
    assert decided(declined(), limits).on == date(2026, 11, 21)


# --- properties ---

days = st.dates(date(2026, 10, 1), date(2027, 3, 31))
allowed = st.builds(
    AllowedDays,
    weekdays=st.frozensets(st.integers(0, 6), min_size=1),
    holidays=st.frozensets(days, max_size=20),
    on_holidays=st.booleans(),
)
attempt_days = st.builds(AttemptDays, days=allowed, pay_days=st.frozensets(st.integers(1, 31), max_size=4))
codes = st.builds(
    Code,
    code=st.sampled_from(["0051", "0005", "0004", "00R1", "0054", "0003", "QQQQ"]),
    class_=st.sampled_from(["retry_later", "after_change", "never", "merchant_setup", "unknown", "check_first"]),
    few=st.booleans(), ends_mandate=st.booleans(), by_advice_code=st.booleans(),
)  # fmt: skip
limits_of = st.builds(
    Limits,
    enabled=st.booleans(),
    spacing=st.lists(st.integers(1, 20), min_size=1, max_size=5).map(tuple),
    max_per_charge=st.integers(1, 20), max_per_period=st.integers(1, 20), few=st.integers(0, 5), days=attempt_days,
)  # fmt: skip


@given(
    code=codes, limits=limits_of, execute=days, tries=st.lists(days, max_size=40), of_charge=st.integers(1, 20),
    in_period=st.integers(1, 20), network=st.sampled_from(["VISA", "MASTERCARD", "JCB", None]),
    advice=st.sampled_from([None, "02", "03", "21", "77"]), first=days, span=st.integers(0, 60),
)  # fmt: skip
def test_nothing_is_planned_that_any_rule_forbids(
    code, limits, execute, tries, of_charge, in_period, network, advice, first, span
):
    one = Declined(
        code, execute, of_charge, of_charge, in_period, tuple(tries), tuple(tries), network, advice
    )  # fmt: skip
    found = decide(one, RULES, limits, first=first, last=first + timedelta(days=span))
    assert found.words
    assert found.rule
    if found.action is not NextAction.RETRY:
        assert found.on is None
        return
    assert limits.enabled
    assert not code.ends_mandate or code.by_advice_code
    assert code.class_ != "never" or code.by_advice_code or code.code == "0051"
    assert advice not in ("03", "21")
    assert of_charge < limits.max_per_charge
    assert in_period < limits.max_per_period
    assert first <= found.on <= first + timedelta(days=span)
    assert found.on > execute
    assert limits.days.allows(found.on, pay_day=found.pay_day)
    for cap in RULES.caps_of(network):
        within = [day for day in tries if day >= found.on - timedelta(days=cap.days)]
        assert len(within) + 1 <= cap.most


@given(attempt_days, days, st.booleans())
def test_an_allowed_day_is_allowed_by_every_rule(found, day, pay_day):
    if found.allows(day, pay_day=pay_day):
        assert day.weekday() in found.days.weekdays
        assert found.days.on_holidays or day not in found.days.holidays
        assert not (pay_day and found.pay_days) or found.is_pay_day(day)


@given(attempt_days, st.integers(2026, 2027), st.integers(1, 12))
def test_no_pay_day_is_lost_when_days_collapse(found, year, month):
    """Each pay day of a month has a day on which it is kept: itself, or the next allowed one."""
    month_ends = (date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day
    for pay_day in found.pay_days:
        kept = found.days.first_from(date(year, month, min(pay_day, month_ends)))
        if kept - date(year, month, min(pay_day, month_ends)) <= timedelta(days=31):
            assert found.is_pay_day(kept)


@given(st.lists(st.integers(0, 20), max_size=70), days)
def test_a_sequence_of_tries_never_breaks_a_cap(wanted, start):
    """However often one token is to be tried each day, it stays within each cap in every window."""
    made: list[date] = []
    for number, tries in enumerate(wanted):
        day = start + timedelta(days=number)
        for _ in range(tries):
            if not full_caps(RULES.caps_of(None), day, made, made):
                made.append(day)
    for cap in RULES.caps:
        for end in made:
            assert sum(end - timedelta(days=cap.days) <= one <= end for one in made) <= cap.most


# --- networks ---


@pytest.mark.parametrize(
    ("masked", "network"),
    [
        ("411111******1111", "VISA"), ("4XXXXXXXXXXX1111", None), ("555555******4444", "MASTERCARD"),
        ("222100******0000", "MASTERCARD"), ("272099******0000", "MASTERCARD"), ("272100******0000", None),
        ("27**", None), ("356600******0505", None), ("", None), (None, None), ("****1111", None),
    ],
)  # fmt: skip
def test_the_network_of_a_masked_card(masked, network):
    assert network_of_card(masked) == network


@pytest.mark.parametrize(
    ("name", "network"),
    [("visa", "VISA"), ("Master Card", "MASTERCARD"), ("MC", "MASTERCARD"), ("JCB", "JCB"), (" ", None), (None, None)],
)
def test_the_network_by_its_name(name, network):
    assert network_of_name(name) == network


def test_every_weekday_by_default():
    assert all(AllowedDays().allows(FRIDAY + timedelta(days=n)) for n in EVERY_DAY)
