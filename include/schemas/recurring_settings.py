"""Settings of a profile for Recurring: bills that DOKU charges on its own schedule."""

from typing import Annotated, Literal

from pydantic import Field

from include.schemas.strict import StrictModel


class RecurringSettings(StrictModel):
    """How bills are registered, and what is expected of them."""

    dialect: Literal["json", "onecheckout"] = Field(
        default="json", description="json: field paths from a file; onecheckout: DOKU's older form-encoded interface"
    )
    fields: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,58}[a-z0-9]$")] = Field(
        default="assumed-json", description="Name of the file with the paths of DOKU's JSON; for dialect json"
    )
    match_days: Annotated[int, Field(ge=0, le=27)] = Field(
        default=10, description="A charge belongs to the last expected day that is at most so many days before it"
    )
