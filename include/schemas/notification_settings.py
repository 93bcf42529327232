"""Settings of a profile for the notifications that DOKU sends."""

from typing import Annotated

from pydantic import Field

from include.schemas.strict import StrictModel


class NotificationSettings(StrictModel):
    """What is taken at the notification paths, and how it is checked."""

    enabled: bool = Field(default=False, description="Whether DOKU sends notifications for this profile")
    max_bytes: Annotated[int, Field(gt=0, le=10_000_000)] = Field(
        default=65_536, description="A larger notification is refused"
    )
