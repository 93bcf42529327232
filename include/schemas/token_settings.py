"""Settings of a profile for keeping customers' tokens current."""

from typing import Annotated

from pydantic import Field

from include.schemas.strict import StrictModel


class TokenSettings(StrictModel):
    """How DOKU is asked for customers' tokens."""

    at_once: Annotated[int, Field(ge=1, le=32)] = Field(default=4, description="Questions to DOKU at a time")
