"""Rules for the next attempt as data (`retry_rules.toml`): dated, each with its source and how sure that is."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from include.domain.errors import ConfigError
from include.domain.retry import Cap, Rule, Rules
from include.domain.states import NextAction
from include.schemas.codes import ResponseClass
from include.schemas.profile import Profile, profiles_dir, rules_path
from include.schemas.strict import StrictModel

FILE: Final = "retry_rules.toml"
_WARN_DAYS: Final = 30

RuleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
ResponseCodeText = Annotated[str, Field(pattern=r"^[0-9A-Z]{4}$")]
AdviceCode = Annotated[str, Field(pattern=r"^[0-9A-Z]{2}$")]
ByRule = Literal["retry", "ask", "after_change", "merchant_setup", "never", "mandate_ended"]


class Sourced(StrictModel):
    """What every rule carries."""

    id: RuleId
    source: Annotated[str, Field(min_length=1)]
    certainty: Literal["certain", "third-party", "inferred", "assumed"]
    review_by: date | None = Field(default=None, description="Day by which somebody looks at it again; else the file's")


class AfterEntry(Sourced):
    """What an answer allows."""

    action: ByRule
    words: Annotated[str, Field(min_length=1)]
    at_least_days: Annotated[int, Field(ge=1, le=90)] = 1
    pay_day: bool = False

    def rule(self) -> Rule:
        """As the decision takes it."""
        return Rule(self.id, NextAction(self.action), self.words, self.at_least_days, self.pay_day)


class CodeRule(AfterEntry):
    """By response codes, or by a class of them."""

    codes: tuple[ResponseCodeText, ...] = ()
    class_: ResponseClass | None = Field(default=None, alias="class")

    @model_validator(mode="after")
    def _codes_or_class(self) -> Self:
        if bool(self.codes) == bool(self.class_):
            raise ValueError(f"rule {self.id}: give either codes or a class")
        return self


class AdviceRule(AfterEntry):
    """By merchant advice codes."""

    codes: Annotated[tuple[AdviceCode, ...], Field(min_length=1)]


class CapEntry(Sourced):
    """Most tries on one token within some days."""

    network: str
    most: Annotated[int, Field(ge=1)]
    up_to: Annotated[int, Field(ge=1)] = Field(description="A profile may set it no higher")
    days: Annotated[int, Field(ge=1, le=366)]
    per: Literal["token", "token_and_amount"]


class RetryRules(StrictModel):
    """The file `retry_rules.toml`."""

    edition: date = Field(description="Day on which it was last changed")
    review_by: date = Field(description="Day by which somebody compares it with what the networks say then")
    after: Annotated[tuple[CodeRule, ...], Field(min_length=1)]
    mandate: AfterEntry
    advice: tuple[AdviceRule, ...] = ()
    cap: Annotated[tuple[CapEntry, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        keys = [code for rule in self.after for code in (*rule.codes, *filter(None, [rule.class_]))]
        keys += [f"advice {code}" for rule in self.advice for code in rule.codes]
        keys += [f"id {entry.id}" for entry in self.entries]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}; keep one of each")
        return self

    @property
    def entries(self) -> tuple[Sourced, ...]:
        """Every rule and cap."""
        return (*self.after, self.mandate, *self.advice, *self.cap)

    def rules(self, caps: Mapping[str, int] | None = None) -> Rules:
        """As the decision takes them.

        Args:
            caps: Other figures than the file's by cap id.

        Raises:
            ValueError: A figure above what the network allows, or for no cap.
        """
        chosen = dict(caps or {})
        for entry in self.cap:
            if chosen.get(entry.id, 0) > entry.up_to:
                raise ValueError(f"{entry.id} is {chosen[entry.id]}, more than the network allows ({entry.up_to})")
        if unknown := sorted(set(chosen) - {entry.id for entry in self.cap}):
            raise ValueError(f"there is no cap {', '.join(unknown)} in {FILE}")
        return Rules(
            by_code={code: rule.rule() for rule in self.after for code in rule.codes},
            by_class={rule.class_: rule.rule() for rule in self.after if rule.class_},
            by_advice={code: rule.rule() for rule in self.advice for code in rule.codes},
            mandate=self.mandate.rule(),
            caps=tuple(
                Cap(one.id, one.network, chosen.get(one.id, one.most), one.days, one.per == "token_and_amount")
                for one in self.cap
            ),
        )


def load_retry_rules(path: Path | None = None) -> RetryRules:
    """Read the rules: a file, by default the one of the folder of profiles. ConfigError when they cannot be used."""
    return RetryRules.from_toml_file(path or rules_path(profiles_dir()))


def rules_of(profile: Profile) -> Rules:
    """The rules with the profile's own caps. ConfigError: they cannot be used, or a cap is above the network's."""
    try:
        return load_retry_rules(rules_path(profile.file.parent)).rules(profile.retry.caps.figures())
    except ValueError as caught:
        raise ConfigError(str(profile.file), "retry.caps", f"{caught}. Lower it, or correct its name") from None


def rules_warnings(today: date, path: Path | None = None) -> list[str]:
    """What to say about rules whose review is due, or will be within 30 days; nothing while all are fresh."""
    file = load_retry_rules(path)
    late: dict[date, list[str]] = {}
    for entry in file.entries:
        due = entry.review_by or file.review_by
        if due - today <= timedelta(days=_WARN_DAYS):
            late.setdefault(due, []).append(entry.id)
    return [_warning(file, due, names, today) for due, names in sorted(late.items())]


def _warning(file: RetryRules, due: date, names: list[str], today: date) -> str:
    what = "All its rules were" if len(names) == len(file.entries) else f"{', '.join(names)} were"
    when = f"{(today - due).days} days ago" if due < today else f"in {(due - today).days} days"
    return (
        f"{FILE} (edition {file.edition}): {what} to be looked at again by {due}, {when}. They stay in force. "
        "Compare them with what Visa, Mastercard and DOKU say now, then set edition and review_by anew."
    )
