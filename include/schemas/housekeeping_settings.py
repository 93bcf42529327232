"""Settings of a profile for what is kept no longer than needed."""

from typing import Annotated

from pydantic import Field

from include.schemas.strict import StrictModel

KeptDays = Annotated[int, Field(ge=1, le=36_500)] | None


class Housekeeping(StrictModel):
    """How long files, tokens and raw notifications stay after everything about them is settled. None: for ever."""

    remove: bool = Field(
        default=False, description="Whether doku_housekeeping removes by itself; false: it only says what it would"
    )
    files_days: KeptDays = Field(
        default=400,
        description="Kept envelopes and reports, from the day that their batch is over; files that registered bills, "
        "from their delivery; digests stay",
    )
    tokens_days: KeptDays = Field(
        default=90, description="Tokens of attempts, of bills that are over and of lost ones; fingerprints stay"
    )
    notifications_days: KeptDays = Field(default=90, description="Raw notifications, once they are processed")
