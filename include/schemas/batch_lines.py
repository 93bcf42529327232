"""Batch lines: the attempts of a batch as they are handed to rendering, one row for each line of the file."""

from typing import Annotated

import numpy as np  # noqa: TID253 - this module is about frames
import pandas as pd  # noqa: TID253
import pandera.pandas as pandera  # noqa: TID253
import pyarrow as pa  # noqa: TID253
from pandera.typing.pandas import Series  # noqa: TID253

from include.domain.money import CURRENCY_EXPONENT, MAX_AMOUNT
from include.schemas.shape import checked

TextType = Annotated[pd.ArrowDtype, pa.string()]
DayType = Annotated[pd.ArrowDtype, pa.date32()]


class BatchLines(pandera.DataFrameModel):
    """The lines of a batch file, or some of them, in the file's order. Source: the ledger, frozen at the claim."""

    line_no: Series[np.int64] = pandera.Field(ge=1, unique=True, description="1, 2, ... in the batch. Unit: lines")
    invoice_number: Series[TextType] = pandera.Field(
        unique=True, str_length={"min_value": 1, "max_value": 64}, description="What DOKU knows the attempt by"
    )
    charge_id: Series[TextType] = pandera.Field(str_length={"min_value": 1, "max_value": 200}, description="The charge")
    customer_id: Series[TextType] = pandera.Field(str_length={"min_value": 1}, description="The merchant's customer")
    billing_number: Series[TextType] = pandera.Field(nullable=True, description="Policy, contract, ... of the customer")
    token: Series[TextType] = pandera.Field(
        str_length={"min_value": 1, "max_value": 500}, description="DOKU's token of the payment means. Secret"
    )
    amount: Series[np.int64] = pandera.Field(
        gt=0, le=MAX_AMOUNT, description="What is asked. Unit: smallest unit in use of the currency"
    )
    currency: Series[TextType] = pandera.Field(isin=sorted(CURRENCY_EXPONENT), description="ISO 4217 code")
    execute_date: Series[DayType] = pandera.Field(description="The day DOKU is asked to charge. Unit: local day")
    due_date: Series[DayType] = pandera.Field(description="The day the customer owes it. Unit: local day")
    channel: Series[TextType] = pandera.Field(nullable=True, description="Means of payment")
    description: Series[TextType] = pandera.Field(nullable=True, description="For the customer")

    class Config:
        """No other column; types are brought about, values are not changed."""

        strict = True
        coerce = True


def check_batch_lines(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the types of `BatchLines`. Shape (rows, 12). ShapeError, showing no value, if it does not fit."""
    return checked(BatchLines, frame)
