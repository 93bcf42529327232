"""The keys of a layout file: its form and its columns, as they stand in TOML."""

from typing import Annotated, Final, Literal

from pydantic import Field

from include.domain.character_sets import Encoding
from include.schemas.layout_sources import ColumnType
from include.schemas.strict import StrictModel

SectionName = Literal["header", "detail", "trailer"]
MAX_WIDTH: Final = 4000
"""Characters of the longest column: it bounds the longest line, and so the memory."""


class Padding(StrictModel):
    """What fills a column that is wider than its value, and on which side of the value."""

    side: Literal["left", "right"]
    character: Annotated[str, Field(min_length=1, max_length=1)]


class Column(StrictModel):
    """One column: a constant (`value`) or a fact (`source`)."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")] = Field(description="Shown in every error")
    value: str | None = Field(default=None, description="The constant that stands there; checked when reading")
    source: str | None = Field(default=None, description="The fact that stands there, such as attempt.amount")
    type: ColumnType | None = Field(default=None, description="None: the type of the source")
    format: str | None = Field(
        default=None, description="Of dates (yyyyMMdd) and amounts (0, 0.00, 0,00, 0v00, #,##0.00)"
    )
    length: Annotated[int, Field(ge=1, le=MAX_WIDTH)] | None = Field(
        default=None, description="Characters: exactly (fixed, or padded), else at most"
    )
    padding: Padding | None = Field(
        default=None, description="Fixed: by default zeros before numbers, else spaces after"
    )
    required: bool = Field(default=True, description="False: may be empty")
    charset: str | None = Field(default=None, description="Named set of characters, or regex: and a class; text only")
    start: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Fixed: position of the first character, from 1"
    )
    description: str = ""
    doku: Literal["certain", "third-party", "inferred", "assumed"] = Field(
        default="assumed", description="How sure it is that DOKU's file is so"
    )


class Section(StrictModel):
    """The columns of one kind of line, in the order of the file."""

    columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=200)]


class FileForm(StrictModel):
    """How lines become bytes."""

    format: Literal["delimited", "fixed"]
    encoding: Encoding = "ascii"
    line_end: Literal["\n", "\r\n"] = "\r\n"
    final_line_end: bool = Field(default=True, description="Whether the last line ends like the others")
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        default=None, description="Delimited: one character; there is no quoting, so no value may hold it"
    )
