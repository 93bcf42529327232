"""Response codes as data: what each means, which class it is of, and how sure that is."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.schemas.strict import StrictModel

ResponseClass = Literal[
    "approved", "retry_later", "after_change", "never", "merchant_setup", "check_first", "unknown", "reversed"
]
Outcome = Literal["paid", "declined", "unknown", "reversed"]


class CodeEntry(StrictModel):
    """One response code of a report line."""

    code: Annotated[str, Field(pattern=r"^[0-9A-Z]{4}$")] = Field(description="Four characters, as reports have them")
    class_: ResponseClass = Field(alias="class", description="What may be done after it; inferred")
    meaning: Annotated[str, Field(min_length=1)] = Field(description="For the merchant's people, never for customers")
    source: str = Field(description="Where the meaning was read: TRX, LEG (DOKU's pages), Visa lists")
    certainty: Literal["certain", "third-party", "inferred", "assumed"] = Field(description="How sure the meaning is")
    note: str = Field(default="", description="More about it")
    few: bool = Field(default=False, description="Another attempt seldom helps: few of them")
    ends_mandate: bool = Field(default=False, description="The customer revoked the mandate, not only this payment")
    by_advice_code: bool = Field(
        default=False, description="The network's merchant advice code decides, if there is one"
    )
    partial: bool = Field(default=False, description="Approved for a part of the amount: a person settles it")


class CodeTable(StrictModel):
    """The file `codes.toml`."""

    reversed_words: tuple[str, ...] = Field(
        default=(), description="Words of a report's status column that mean: void, refund or chargeback"
    )
    codes: Annotated[tuple[CodeEntry, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        codes = [entry.code for entry in self.codes]
        twice = sorted({code for code in codes if codes.count(code) > 1})
        if twice:
            raise ValueError(f"listed twice: {', '.join(twice)}; keep one line of each")
        if not any(entry.class_ == "approved" for entry in self.codes):
            raise ValueError("no code is approved, so nothing would ever be paid")
        return self
