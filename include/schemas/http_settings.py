"""Settings of a profile for DOKU's HTTP API."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.schemas.strict import StrictModel


class HttpSettings(StrictModel):
    """How DOKU's JSON API is called; where it is and the secrets: the connection `connections.doku`."""

    notify_after_delivery: bool = Field(
        default=False, description="Tell DOKU of each delivered batch file; whether it is needed is not published"
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = Field(
        default=15, description="How long an answer may take"
    )
    tries: Annotated[int, Field(ge=1, le=10)] = Field(
        default=3, description="How often a question is put before it counts as unanswered, with growing pauses"
    )
    requests_per_second: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=5, description="Most questions a second, for each process; DOKU publishes no limit"
    )
    verify_answers: Literal["required", "if_signed", "never"] = Field(
        default="required", description="Whether DOKU's signature of its answers is asked for and checked"
    )
    clock_tolerance_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=60, description="How far DOKU's clock and ours may be apart before it is said; DOKU publishes no limit"
    )
    ask_status: bool = Field(
        default=False,
        description="Ask DOKU what became of attempts whose outcome is unknown; whether attempts of a batch can be "
        "asked for, and by which number, is not published",
    )
    ask_status_overdue: bool = Field(
        default=False, description="Ask also for attempts of a batch on which no report has come in time"
    )
    ask_overdue_hours: Annotated[float, Field(gt=0, le=31 * 24)] = Field(
        default=24, description="How long after the cut-off of its execute date a batch without a report is asked for"
    )
    ask_after_seconds: Annotated[float, Field(ge=60, le=7 * 24 * 3600)] = Field(
        default=60, description="How long an attempt is left alone before it is asked for"
    )
    ask_again_minutes: Annotated[float, Field(ge=1, le=7 * 24 * 60)] = Field(
        default=15, description="Before the same attempt is asked for again; doubled each time, at most a day"
    )
    ask_most: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=200, description="Most attempts that one run asks for"
    )
    failed_is_final: bool = Field(
        default=False,
        description="FAILED means declined; DOKU's pages contradict each other: assumed not, so that it is asked again",
    )

    @model_validator(mode="after")
    def _overdue_is_asked_too(self) -> Self:
        if self.ask_status_overdue and not self.ask_status:
            raise ValueError("ask_status_overdue needs ask_status")
        return self

    @property
    def calls(self) -> tuple[str, ...]:
        """The settings that are on and need `connections.doku`."""
        return tuple(name for name in ("notify_after_delivery", "ask_status") if getattr(self, name))
