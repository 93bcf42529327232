"""Report lines: DOKU's answers as they are read from a report, one row for each line of the file."""

from typing import Annotated, Any

import numpy as np  # noqa: TID253 - this module is about frames
import pandas as pd  # noqa: TID253
import pandera.pandas as pandera  # noqa: TID253
import pyarrow as pa  # noqa: TID253
from pandera.typing.pandas import Series  # noqa: TID253

from include.schemas.card_numbers import find, mask
from include.schemas.shape import checked
from include.schemas.text_scan import Text

TextType = Annotated[pd.ArrowDtype, pa.string()]
MomentType = Annotated[pd.ArrowDtype, pa.timestamp("us")]


class ReportLines(pandera.DataFrameModel):
    """The lines of a report, or some of them. Source: the file, by its layout; what the layout lacks is absent."""

    line_no: Series[np.int64] = pandera.Field(ge=1, unique=True, description="1-based line of the file. Unit: lines")
    invoice_number: Series[TextType] = pandera.Field(
        str_length={"min_value": 1, "max_value": 64}, description="The attempt that is answered"
    )
    billing_number: Series[TextType] | None = pandera.Field(nullable=True, description="As it was sent")
    customer_id: Series[TextType] | None = pandera.Field(nullable=True, description="As it was sent")
    token: Series[TextType] | None = pandera.Field(nullable=True, description="As it was sent. Secret")
    amount: Series[np.int64] = pandera.Field(
        ge=0, description="What was asked or charged. Unit: smallest unit in use of the currency"
    )
    currency: Series[TextType] | None = pandera.Field(nullable=True, description="ISO 4217 code")
    response_code: Series[TextType] = pandera.Field(
        str_length={"min_value": 1, "max_value": 10}, description="Of the issuer, or DOKU's own; see codes.toml"
    )
    response_message: Series[TextType] | None = pandera.Field(nullable=True, description="In words")
    approval_code: Series[TextType] | None = pandera.Field(nullable=True, description="Of the issuer, when approved")
    masked_card: Series[TextType] | None = pandera.Field(nullable=True, description="First six and last four digits")
    bank: Series[TextType] | None = pandera.Field(nullable=True, description="Issuer or acquirer")
    channel: Series[TextType] | None = pandera.Field(nullable=True, description="Means of payment")
    network: Series[TextType] | None = pandera.Field(nullable=True, description="Card network")
    advice_code: Series[TextType] | None = pandera.Field(nullable=True, description="Of the network")
    charged_at: Series[MomentType] | None = pandera.Field(
        nullable=True, description="When DOKU charged. Unit: local time as DOKU wrote it, no offset"
    )
    status: Series[TextType] | None = pandera.Field(nullable=True, description="DOKU's own word for the result")

    class Config:
        """No other column; types are brought about."""

        strict = True
        coerce = True

    @pandera.dataframe_check(name="no whole card number")
    def _no_card_number(cls, frame: pd.DataFrame) -> bool:  # noqa: N805 - pandera makes it a class method
        return not any(_holds_card_number(frame[name]) for name in _MASKED if name in frame)


_MASKED = ("masked_card", "token", "response_message", "bank", "status")
"""Columns in which a card number that DOKU should have masked is masked here, before anything is kept or shown."""


def check_report_lines(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the types of `ReportLines`, and whole card numbers masked (first six and last four digits stay).

    The file is not refused for them: its answers are about money that may have moved.

    Raises:
        ShapeError: It breaks the model; the message shows no value.
    """
    masked = {name: _mask(frame[name]) for name in _MASKED if name in frame and _holds_card_number(frame[name])}
    return checked(ReportLines, frame.assign(**masked))


def _holds_card_number(column: pd.Series) -> bool:
    return bool(find(_text(column)).rows.any())


def _mask(column: pd.Series) -> Any:
    text = _text(column)
    return pd.array(mask(text, find(text)), dtype=pd.ArrowDtype(pa.string()))


def _text(column: pd.Series) -> Text:
    return Text.of(pa.array(column, pa.string(), from_pandas=True))
