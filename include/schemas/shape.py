"""Checking the shape of a frame without ever showing what is in it."""

from typing import TypeVar

import pandas as pd  # noqa: TID253 - this module is about frames
import pandera.pandas as pandera  # noqa: TID253
from pandera.errors import SchemaError, SchemaErrors  # noqa: TID253

from include.domain.errors import DokuError

Model = TypeVar("Model", bound=pandera.DataFrameModel)


class ShapeError(DokuError):
    """A frame does not have the shape that its model states: a mistake in this package, not in the merchant's data."""


def checked(model: type[pandera.DataFrameModel], frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, if it keeps its model.

    Raises:
        ShapeError: It does not. pandera's own errors quote the values at fault, and a value may be a token.
    """
    try:
        return model.validate(frame)
    except SchemaErrors as caught:
        faults = sorted({f"{error.check}" for error in caught.schema_errors})
    except SchemaError as caught:
        faults = [str(caught.check or caught.reason_code)]
    raise ShapeError(f"A frame is not a {model.__name__}: {', '.join(faults)[:300]}. Please report this.")
