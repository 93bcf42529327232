"""Settings of a profile for keeping customers' tokens current."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.domain.tokens import Step, TokenRule
from include.schemas.strict import StrictModel


class TokenSettings(StrictModel):
    """How DOKU is asked for customers' tokens, and which of several is charged."""

    ask_by: Literal["customer_id", "billing_number"] = Field(
        default="customer_id",
        description="What of the view is DOKU's customer id: it may have been set to the billing number",
    )
    fields: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,58}[a-z0-9]$")] = Field(
        default="assumed-json", description="Name of the file with the paths of DOKU's JSON; its section tokens"
    )
    at_once: Annotated[int, Field(ge=1, le=32)] = Field(default=4, description="Questions to DOKU at a time")
    stop_after: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=20, description="So many questions without an answer, one after the other, end the asking"
    )
    choose: tuple[Step, ...] = Field(
        default=("channel", "masked_card", "network"),
        description="What narrows several tokens down, in this order; newest may be added. More than one left: none",
    )
    channels: tuple[str, ...] = Field(
        default=(), description="Only tokens of these channels, in order of preference; empty: of any"
    )
    networks: tuple[str, ...] = Field(default=(), description="In order of preference; others come after them")
    max_lost_share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=0.1, description="Brake: most of the customers asked that may lose all their tokens at once, as a share"
    )
    lost_least: Annotated[int, Field(ge=0)] = Field(
        default=5, description="So many customers may lose all their tokens at once whatever the share"
    )

    @model_validator(mode="after")
    def _each_step_once(self) -> Self:
        if len(set(self.choose)) != len(self.choose):
            raise ValueError("choose names a step twice")
        return self

    @property
    def rule(self) -> TokenRule:
        """The rule that chooses."""
        return TokenRule(self.choose, self.channels, self.networks)
