"""Settings of a profile for Recurring: bills that DOKU charges on its own schedule."""

from typing import Annotated, Literal

from pydantic import Field

from include.schemas.strict import StrictModel


class RecurringSettings(StrictModel):
    """How bills are registered, and what is expected of them."""

    dialect: Literal["json", "onecheckout"] = Field(
        default="json", description="json: field paths from a file; onecheckout: DOKU's older form-encoded interface"
    )
    match_days: Annotated[int, Field(ge=0, le=27)] = Field(
        default=10, description="A charge belongs to the last expected day that is at most so many days before it"
    )
