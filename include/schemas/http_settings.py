"""Settings of a profile for DOKU's HTTP API."""

from typing import Annotated

from pydantic import Field

from include.schemas.strict import StrictModel


class HttpSettings(StrictModel):
    """How DOKU's JSON API is called; where it is and the secrets: the connection `connections.doku`."""

    notify_after_delivery: bool = Field(
        default=False, description="Tell DOKU of each delivered batch file; whether it is needed is not published"
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = Field(
        default=15, description="How long an answer may take"
    )
