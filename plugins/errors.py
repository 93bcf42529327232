"""How an error reaches a person: one sentence, no row and no secret, and retried only if that can help."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, TaskDeferred

from include.domain.errors import DokuError
from include.domain.whereabouts import where_it_happened

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
