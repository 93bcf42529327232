"""A dialect as data: where in DOKU's JSON each fact of a bill stands, and how a bill is asked for.

DOKU publishes neither the paths nor the names of Recurring's JSON; certain are only the fields that its other card
interfaces share. So all of it is a TOML file, each path with how sure it is, and changing it changes no code.
"""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from include.domain.errors import ConfigError
from include.schemas.strict import StrictModel

Certainty = Literal["certain", "third-party", "inferred", "assumed"]
DottedPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)*$", max_length=200)]
UrlPath = Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=200)]

BILL_FACTS: Final = (
    "billing_number",
    "customer_id",
    "customer_name",
    "email",
    "phone",
    "amount",
    "currency",
    "description",
    "starts_on",
    "ends_on",
    "execute_type",
    "execute_on",
    "execute_months",
    "flat",
    "request_id",
    "period",
)
"""What of a bill a request may carry: execute_type DAY, DATE or FULLDATE; flat TRUE (fixed amount) or FALSE; period, of
the request `amount` alone, the day that the amount is for."""


class FieldPath(StrictModel):
    """Where a fact stands: the first of the paths that leads to something."""

    paths: Annotated[tuple[DottedPath, ...], Field(min_length=1)] = Field(
        description="Dotted names from the outermost object; a number is a place in a list, from 0"
    )
    doku: Certainty = Field(default="assumed", description="How sure it is that DOKU's message is so")
    description: str = ""


class RegistrationFields(StrictModel):
    """A registration's or a card update's result."""

    billing_number: FieldPath
    customer_id: FieldPath
    status: FieldPath
    token: FieldPath
    masked_card: FieldPath
    code: FieldPath
    message: FieldPath
    at: FieldPath


class PaymentFields(StrictModel):
    """What became of one transaction of a bill."""

    reference: FieldPath
    billing_number: FieldPath
    customer_id: FieldPath
    status: FieldPath
    response_code: FieldPath
    response_message: FieldPath
    approval_code: FieldPath
    amount: FieldPath
    currency: FieldPath
    masked_card: FieldPath
    bank: FieldPath
    channel: FieldPath
    token: FieldPath
    paid_at: FieldPath


class ReportFields(StrictModel):
    """A report lies in the outbound folder."""

    file_name: FieldPath
    status: FieldPath


class AmountFields(StrictModel):
    """The question for the amount of a varying bill."""

    billing_number: FieldPath
    customer_id: FieldPath


class TokenFields(StrictModel):
    """The answer to the question for a customer's tokens: a list, and where each fact stands in an item of it."""

    customer_id: FieldPath
    items: FieldPath = Field(description="The list; where none of the paths leads to one, there is no answer")
    token: FieldPath
    channel: FieldPath
    masked_card: FieldPath
    network: FieldPath
    made_at: FieldPath
    status: FieldPath
    active_words: Annotated[tuple[str, ...], Field(min_length=1)] = ("ACTIVE",)


class BodyField(StrictModel):
    """One field of a request: a fact of the bill (`source`) or a constant (`value`)."""

    path: DottedPath
    source: str | None = None
    value: str | None = None
    doku: Certainty = "assumed"

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.source is None) == (self.value is None):
            raise ValueError(f"{self.path} needs either source or value")
        if self.source is not None and self.source not in BILL_FACTS:
            raise ValueError(f"source {self.source!r} is none of {', '.join(BILL_FACTS)}")
        return self


class Request(StrictModel):
    """A call to DOKU about one bill; facts that the bill has not are left out."""

    path: UrlPath
    doku: Certainty = "assumed"
    body: Annotated[tuple[BodyField, ...], Field(min_length=1)]
    answer_url: FieldPath | None = Field(default=None, description="Where the checkout link stands in the answer")

    @model_validator(mode="after")
    def _no_path_within_another(self) -> Self:
        paths = [field.path for field in self.body]
        for path in paths:
            if any(other.startswith(f"{path}.") for other in paths) or paths.count(path) > 1:
                raise ValueError(f"{path} is given twice, or other fields lie below it")
        return self


class Requests(StrictModel):
    """The calls that there are; a call that is missing is made by a person in DOKU's dashboard."""

    register_: Request | None = Field(default=None, alias="register", description="Ask for a checkout link")
    update: Request | None = Field(default=None, description="Tell DOKU other terms of a bill")
    cancel: Request | None = Field(default=None, description="End a bill")
    amount: Request | None = Field(
        default=None, description="Send the amount of a varying bill for one day, where `recurring.amounts` is pushed"
    )

    @model_validator(mode="after")
    def _a_link_comes_back(self) -> Self:
        if self.register_ is not None and self.register_.answer_url is None:
            raise ValueError("register needs answer_url: a checkout link is what it is for")
        return self


class Dialect(StrictModel):
    """The file of a JSON dialect."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,58}[a-z0-9]$")] = Field(description="The file's own name")
    assumed: bool = Field(default=True, description="True: DOKU has not confirmed it; the onboarding list names it")
    description: str = ""
    success_words: Annotated[tuple[str, ...], Field(min_length=1)] = ("SUCCESS",)
    failed_words: tuple[str, ...] = ("FAILED",)
    utc: bool = Field(default=True, description="Times without an offset are UTC; False: Jakarta's")
    registration: RegistrationFields
    card_update: RegistrationFields
    payment: PaymentFields
    report_ready: ReportFields
    amount: AmountFields
    tokens: TokenFields
    amount_answer: FieldPath = Field(description="Where the answer to the amount question has the amount")
    requests: Requests = Field(default_factory=Requests)


def load_dialect(path: Path) -> Dialect:
    """Read a dialect file. ConfigError, with file and key; also when `name` is not the file's own name."""
    dialect = Dialect.kept_from(path)
    if dialect.name != path.stem:
        raise ConfigError(
            str(path), "name", f"is {dialect.name!r}, but the file is called {path.name}; make them equal"
        )
    return dialect
