"""Settings of a profile for the notifications that DOKU sends."""

import re
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from include.schemas.strict import StrictModel

_PLACES: Final = ("profile", "kind")


class NotificationSettings(StrictModel):
    """What is taken at the notification paths, and how it is checked."""

    enabled: bool = Field(default=False, description="Whether DOKU sends notifications for this profile")
    max_bytes: Annotated[int, Field(gt=0, le=10_000_000)] = Field(
        default=65_536, description="A larger notification is refused"
    )
    signed_path: str | None = Field(
        default=None,
        description="The path that DOKU signs, where a proxy changes it: with {profile} and {kind}, as "
        "/public/{profile}/{kind}; left out: the path as it arrives",
    )
    max_age_hours: Annotated[float, Field(gt=0, le=31 * 24)] | Literal[False] = Field(
        default=13,
        description="A notification that was signed longer ago is refused: DOKU's last retry comes after 12 hours, and "
        "whether a retry is signed anew is not published; false: of any age",
    )
    max_skew_minutes: Annotated[float, Field(gt=0, le=24 * 60)] = Field(
        default=15, description="How far DOKU's clock may be ahead of ours"
    )
    read_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        default=5, description="A notification whose content takes longer to arrive is refused"
    )
    amount_seconds: Annotated[float, Field(gt=0, le=10)] = Field(
        default=0.9, description="DOKU's question for an amount is answered in so long, or not at all; assumed"
    )
    look_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=5, description="How often the triggerer looks into the inbox, to wake the DAGs"
    )

    @field_validator("signed_path")
    @classmethod
    def _path(cls, text: str | None) -> str | None:
        if text is None:
            return None
        unknown = sorted(set(re.findall(r"\{([^{}]*)\}", text)) - set(_PLACES))
        bare = re.sub(r"\{(profile|kind)\}", "", text)
        if unknown or not re.fullmatch(r"/[\x21-\x7e]*", text) or re.search(r"[{}?#]", bare):
            raise ValueError("is a path such as /public/{profile}/{kind}, with no other placeholder and no query")
        return text

    def target(self, profile: str, kind: str, arrived: str) -> str:
        """The path that DOKU has signed.

        Args:
            arrived: The path as it arrived, undecoded.
        """
        if self.signed_path is None:
            return arrived
        return self.signed_path.replace("{profile}", profile).replace("{kind}", kind)
