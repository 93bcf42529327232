"""How an error reaches a person: one sentence, no row and no secret, and retried only if that can help."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, TaskDeferred

from include.domain.errors import DokuError

log = logging.getLogger(__name__)


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Pass on our own errors as their sentence, and anything unexpected as where it happened.

    The text of an unexpected error stays out of logs: a database driver or a parser puts values into it, and values
    hold tokens (promise 10). Its kind and the lines of code it went through are logged.

    Raises:
        AirflowException: May succeed when tried again.
        AirflowFailException: Waits for a person.
    """
    try:
        yield
    except DokuError as caught:
        kind = AirflowException if caught.retryable else AirflowFailException
        raise kind(caught.message) from None
    except (AirflowException, AirflowSkipException, TaskDeferred):
        raise
    except Exception as caught:  # noqa: BLE001 - all of them, see above
        name, path = where_it_happened(caught)
        log.error("Unexpected %s at %s", name, path)  # noqa: TRY400 - the traceback would carry values
        raise AirflowException(
            f"Unexpected {name}; this is a mistake in the package. Its path is logged above: report it. "
            "Whatever this task had not committed was undone, and it may be tried again."
        ) from None


def where_it_happened(caught: BaseException) -> tuple[str, str]:
    """Kind of an error, and the lines of code that it went through; never its text, which may hold values."""
    steps = traceback.extract_tb(caught.__traceback__)
    path = " > ".join(f"{step.filename.rsplit('/', 2)[-1]}:{step.lineno} {step.name}" for step in steps)
    return f"{caught.__class__.__module__}.{caught.__class__.__name__}", path
