"""How errors reach a person: our own as their sentence, anything unexpected without its text."""

import logging
import traceback

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, TaskDeferred

from include.domain import errors
from include.domain.errors import DokuError
from plugins.errors import errors_in_words

SECRET = "tok_5ecret_5ecret"


def _ours() -> list[DokuError]:
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, DokuError)]
    made = []
    for one in classes:
        if issubclass(one, errors.ConfigError):
            made.append(one("file", "key", "reason"))
        elif issubclass(one, errors.FileRefused):
            made.append(one("file", 1, "column", "reason"))
        elif issubclass(one, errors.ApiRefused):
            made.append(one("what and what to do", 400))
        else:
            made.append(one("what and what to do"))
    return made


@pytest.mark.parametrize("error", _ours(), ids=lambda error: type(error).__name__)
def test_our_own_error_is_passed_on_as_its_sentence(error):
    """Retried only where that can help; Airflow does not retry an AirflowFailException."""
    with pytest.raises(AirflowException) as caught, errors_in_words():
        raise error
    assert str(caught.value) == error.message
    assert isinstance(caught.value, AirflowFailException) != error.retryable
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_only_errors_that_may_pass_by_themselves_are_retryable():
    assert {type(error).__name__ for error in _ours() if error.retryable} == {
        "AlertNotSent", "ApiUnreachable", "BillingUnreachable", "LedgerUnreachable", "RemoteError",
    }  # fmt: skip


def _deep(value: str) -> None:
    token = value
    int(token)  # a parser puts the value into its error


@pytest.mark.parametrize(
    "trouble",
    [
        lambda: _deep(SECRET),
        lambda: {}[SECRET],
        lambda: (_ for _ in ()).throw(RuntimeError(SECRET)),
        lambda: (_ for _ in ()).throw(type("Odd", (Exception,), {"__str__": lambda self: SECRET})()),
        lambda: (_ for _ in ()).throw(ExceptionGroup(SECRET, [ValueError(SECRET)])),
    ],
)
def test_a_secret_in_an_unexpected_error_never_passes(trouble, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(AirflowException) as caught, errors_in_words():
        trouble()
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert SECRET not in str(caught.value)
    assert SECRET not in caplog.text
    assert not any(record.exc_info for record in caplog.records)
    assert "mistake in the package" in str(caught.value)
    assert not isinstance(caught.value, AirflowFailException)


def test_where_it_happened_is_logged(caplog):
    with caplog.at_level(logging.ERROR), pytest.raises(AirflowException), errors_in_words():
        _deep(SECRET)
    assert "builtins.ValueError" in caplog.text
    assert "_deep" in caplog.text


@pytest.mark.parametrize(
    "signal", [AirflowSkipException("nothing yet"), AirflowFailException("x"), AirflowException("y")]
)
def test_airflows_own_signals_pass(signal):
    with pytest.raises(type(signal)) as caught, errors_in_words():
        raise signal
    assert caught.value is signal


def test_a_deferral_passes():
    with pytest.raises(TaskDeferred), errors_in_words():
        raise TaskDeferred(trigger=None, method_name="m")


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_passes(signal):
    with pytest.raises(signal), errors_in_words():
        raise signal


def test_without_an_error_nothing_happens():
    with errors_in_words():
        pass
