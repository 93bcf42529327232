"""The rules for the next attempt as a file: what it must hold, how it ages, what a profile may set."""

from datetime import date
from pathlib import Path

import pytest

from include.domain.errors import ConfigError
from include.schemas import retry_settings
from include.schemas.codes import CodeTable
from include.schemas.profile import SHIPPED_CONFIG, load_profile
from include.schemas.retry_rules import RetryRules, load_retry_rules, rules_of, rules_warnings
from include.schemas.retry_settings import Caps

SHIPPED = SHIPPED_CONFIG / "retry_rules.toml"
TEXT = SHIPPED.read_text(encoding="utf-8")


def test_every_code_that_declines_has_a_rule():
    rules = load_retry_rules(SHIPPED).rules()
    for entry in CodeTable.from_toml_file(SHIPPED_CONFIG / "codes.toml").codes:
        if entry.class_ in ("retry_later", "after_change", "never", "merchant_setup"):
            assert entry.code in rules.by_code or entry.class_ in rules.by_class, entry.code


def test_a_rule_by_code_is_no_kinder_than_the_class_of_its_codes():
    """A code of class never stays never, whatever somebody writes beside it."""
    known = {entry.code: entry for entry in CodeTable.from_toml_file(SHIPPED_CONFIG / "codes.toml").codes}
    for rule in load_retry_rules(SHIPPED).after:
        for code in rule.codes:
            assert known[code].class_ == "retry_later", code


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('codes = ["0075"]', 'codes = ["0051"]'), "named twice: 0051"),
        (('id = "retry_later"', 'id = "after_change"'), "named twice: id after_change"),
        (('class = "never"\n', ""), "give either codes or a class"),
        (('action = "mandate_ended"', 'action = "stop"'), ""),
        (("review_by = 2027-05-31", ""), "missing"),
        (('source = "ours"\n', ""), "missing"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(change, reason):
    with pytest.raises(ConfigError) as caught:
        RetryRules.from_toml(TEXT.replace(*change, 1), "retry_rules.toml")
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("today", "words"),
    [
        (date(2026, 11, 20), None),
        (date(2027, 4, 30), None),
        (date(2027, 5, 1), "by 2027-05-31, in 30 days"),
        (date(2027, 6, 2), "by 2027-05-31, 2 days ago"),
    ],
)
def test_rules_that_age_are_named(today, words):
    found = rules_warnings(today, SHIPPED)
    assert len(found) == (words is not None)
    assert all(words in one and "stay in force" in one for one in found)


def test_one_rule_may_have_a_day_of_its_own(tmp_path):
    path = tmp_path / "retry_rules.toml"
    path.write_text(TEXT.replace('id = "visa_30_days"', 'id = "visa_30_days"\nreview_by = 2026-12-01', 1))
    (one,) = rules_warnings(date(2026, 11, 20), path)
    assert "visa_30_days were to be looked at again by 2026-12-01, in 11 days" in one


def test_a_profile_sets_caps_no_higher_than_the_network(tmp_path):
    file = load_retry_rules(SHIPPED)
    for entry in file.cap:
        limit = Caps.model_json_schema()["properties"][entry.id]["anyOf"][0]["maximum"]
        assert limit == entry.up_to
    assert {cap.cap_id: cap.most for cap in file.rules({"visa_30_days": 20}).caps}["visa_30_days"] == 20
    with pytest.raises(ValueError, match="more than the network allows"):
        file.rules({"visa_30_days": 21})
    with pytest.raises(ValueError, match="no cap visa_31_days"):
        file.rules({"visa_31_days": 1})


def _profile(folder: Path, more: str):
    shipped = (SHIPPED_CONFIG / "profiles" / "insurance.toml").read_text(encoding="utf-8")
    (folder / "insurance.toml").write_text(f"{shipped}\n{more}", encoding="utf-8")
    return load_profile(folder / "insurance.toml")


def test_the_merchants_own_rules_stand_beside_the_profiles(tmp_path):
    (tmp_path / "rules").mkdir()
    own = TEXT.replace("up_to = 20 ", "up_to = 15 ").replace("most = 15", "most = 5")
    (tmp_path / "rules" / "retry_rules.toml").write_text(own, encoding="utf-8")
    profile = _profile(tmp_path, "")
    assert rules_of(profile).caps[0].most == 5
    (tmp_path / "rules" / "retry_rules.toml").write_text("edition = 2026-01-01", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"retry_rules\.toml"):
        rules_of(profile)


def test_a_day_is_named_once():
    with pytest.raises(ValueError, match="names a day twice"):
        retry_settings.Retry(pay_days=(25, 25))
