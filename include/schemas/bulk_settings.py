"""Settings of a profile for files that register bills in bulk."""

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from include.domain.file_names import FileNameTemplate
from include.schemas.delivery_names import Folder, TemporaryName, refuse_what_is_picked_up
from include.schemas.envelope import EnvelopeSpec, PublicKeyEntry
from include.schemas.strict import StrictModel


class BulkSettings(StrictModel):
    """How files that register bills look, are named, sealed and delivered. DOKU publishes nothing of them but SFTP."""

    layout: str = Field(default="assumed-registration", description="Name of a layout file of kind register")
    file_name: str = Field(
        default="REG_{merchant}_{business_date:yyyyMMdd}_{sequence:04}.TXT", description="Assumed throughout"
    )
    folder: Folder = Field(default="/inbound", description="DOKU's folder for such files; given at onboarding")
    archive_folder: Folder | None = Field(
        default=None, description="Where DOKU moves files that it has taken, if it does"
    )
    temporary_name: TemporaryName = Field(default=".{digest}.part", description="Must not match DOKU's pick-up pattern")
    pickup_pattern: str = Field(default="REG*.TXT", description="What DOKU picks up; assumed")
    max_rows: Annotated[int, Field(gt=0, le=1_000_000)] = Field(
        default=10_000, description="Bills of one file. Assumed: DOKU publishes no limit"
    )
    sealed: bool = Field(default=True, description="Whether the file is put into an envelope; assumed")
    envelope: EnvelopeSpec = Field(default_factory=EnvelopeSpec)
    public_keys: tuple[PublicKeyEntry, ...] = Field(
        default=(), description="DOKU's public keys; empty: those of [batch]"
    )

    @field_validator("file_name")
    @classmethod
    def _file_name(cls, text: str) -> str:
        FileNameTemplate(text)
        return text

    @model_validator(mode="after")
    def _temporary_is_not_picked_up(self) -> Self:
        refuse_what_is_picked_up(self.temporary_name, self.pickup_pattern)
        return self
