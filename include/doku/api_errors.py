"""What DOKU's API says when it says no: every shape that was seen, in one sentence of fact and one of advice.

Shapes: `{"error": {code, message, type}}` [APIDOG, certain], `{"error_messages": [...]}` and `{"message": [...]}`
(third party), and the framework's `{timestamp, status, error, path}` [APIDOG, certain]. What DOKU says is cut short,
and nothing that may be a secret stays in it (promise 10).
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from include.domain.errors import (
    ApiAnswerUnreadable,
    ApiAnswerUnsigned,
    ApiRefused,
    ApiUnauthorised,
    ApiUnreachable,
)
from include.domain.masking import token_ending, without_card_numbers

_LONGEST_WORDS: Final = 300
_SIGNATURE: Final = re.compile(r"HMACSHA256=\S+")
_OPAQUE: Final = re.compile(r"TOK_\S+|(?=[\w.:\-+/=]*\d)[\w.:\-+/=]{24,}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_UNAUTHORISED: Final = frozenset({401, 403})
_LATER_IN_WORDS: Final = "Airflow tries again by itself; if it stays, ask DOKU's support."

_ADVICE: Final[Mapping[int, str]] = {
    400: "A value is missing or not as DOKU wants it: compare it with DOKU's page for this call, and mend the setting "
    "or the data that it names.",
    401: "Compare login (Client-Id) and password (secret key) of connection {conn_id} with DOKU's dashboard, for this "
    "environment; then run the task again.",
    403: "This account, or this machine's address, may not do that: ask DOKU's people what is to be activated or "
    "listed, naming the Client-Id of connection {conn_id}.",
    404: "DOKU knows no such thing, or has no such call: compare the number, and the host of connection {conn_id}.",
    409: "The same request is still being worked on, or its id was used for another one: run the task again in some "
    "minutes.",
    412: "Something is not set up at DOKU's side: ask DOKU's people to set up what it names.",
    429: "Too many questions: lower http.requests_per_second in the profile. " + _LATER_IN_WORDS,
}
_REDIRECT: Final = "An answer that leads elsewhere is never followed: put DOKU's own host into connection {conn_id}."
_OTHERWISE: Final = "See what it names, compare it with DOKU's page for this call, and ask DOKU's support."


@dataclass(frozen=True)
class Refusal:
    """What an answer says of an error.

    Attributes:
        code: As `INVALID_PARAMETER`; empty where the shape has none.
        words: DOKU's message, as it came.
        status: The status inside of the framework's shape.
    """

    code: str = ""
    words: str = ""
    status: int | None = None

    def as_error(
        self,
        what: str,
        status: int,
        *,
        conn_id: str,
        hidden: Iterable[str] = (),
        clock: str | None = None,
        later: float | None = None,
        retryable: bool = False,
        in_work: bool = False,
    ) -> ApiUnreachable | ApiRefused:
        """The error to raise.

        Args:
            what: The question, without its body.
            status: HTTP status of the answer.
            conn_id: Named in the advice.
            hidden: Texts that never may be shown.
            clock: That the clocks are apart, in words.
            later: Seconds after which DOKU wants to be asked again.
            retryable: The same question may be answered later.
            in_work: The request itself is being worked on, or its id is taken.
        """
        said = shown(self.words, hidden)
        code = shown(self.code, hidden)
        because = ": ".join(part for part in (code, said) if part) or "without saying why"
        parts = [f"DOKU's API refused {what} with {status} ({because})."]
        if clock is not None and status in (400, *_UNAUTHORISED):
            parts.append(clock)
        if retryable:
            parts = [f"DOKU's API is out of order: {what} was answered with {status} ({because})."]
            parts.append(_ADVICE[429] if status == 429 else _LATER_IN_WORDS)
            return ApiUnreachable(" ".join(parts), status, later)
        parts.append(_advice(status).format(conn_id=conn_id))
        if status in _UNAUTHORISED:
            return ApiUnauthorised(" ".join(parts), status, code)
        return ApiRefused(" ".join(parts), status, code, in_work=in_work)


def read_refusal(content: bytes) -> Refusal:
    """What an answer that is no success says, whatever its shape; never an error."""
    body = _json(content)
    found = error_in(body)
    if found is not None:
        return found
    if isinstance(body, Mapping):
        words = _words(body.get("message") or body.get("responseMessage") or body.get("errors"))
        return Refusal(_words(body.get("responseCode")), words)
    return Refusal()


def error_in(body: Any) -> Refusal | None:
    """The error that a body is, by its shape alone; None where it may be a success as well.

    `{"message": [...]}` is left out: DOKU's successes have it too.
    """
    if not isinstance(body, Mapping):
        return None
    error = body.get("error")
    if isinstance(error, Mapping):
        return Refusal(_words(error.get("code")), _words(error.get("message")))
    if body.get("error_messages"):
        return Refusal("", _words(body["error_messages"]))
    if isinstance(error, str) and isinstance(body.get("status"), int):
        words = ", ".join(dict.fromkeys(part for part in (error, _words(body.get("message"))) if part))
        return Refusal("", words, body["status"])
    return None


def is_in_work(content: bytes) -> bool:
    """Whether a 409 says that the request id is in use, and is not the first answer given again [APIDOG, certain]."""
    found = error_in(_json(content))
    return found is not None and "idempot" in f"{found.code} {found.words}".lower()


def unsigned(what: str, status: int, fault: str, conn_id: str) -> ApiAnswerUnsigned:
    """An answer that cannot be believed."""
    return ApiAnswerUnsigned(
        f"The answer to {what} ({status}) {fault}: nothing in it was believed. Check that the host of connection "
        f"{conn_id} is DOKU's and its password the secret key of this Client-Id; if DOKU says that this call is not "
        'signed, set http.verify_answers = "if_signed". What was asked may have been done: asked again, it is done '
        "once.",
        status,
    )


def too_large(what: str, status: int, limit: int) -> ApiAnswerUnreadable:
    """An answer larger than anything that DOKU answers."""
    return ApiAnswerUnreadable(
        f"The answer to {what} ({status}) has more than {limit:,} bytes and was not read to its end. Check the host "
        "of the connection.",
        status,
    )


def shown(words: str, hidden: Iterable[str] = ()) -> str:
    """Words of DOKU's as they may be shown: on one line, cut short, without keys, signatures, tokens, card numbers."""
    for secret in hidden:
        words = words.replace(secret, "(hidden)") if secret else words
    words = _SIGNATURE.sub("(signature)", " ".join(words.split()))
    words = _OPAQUE.sub(lambda found: found[0] if _UUID.fullmatch(found[0]) else token_ending(found[0]), words)
    words = "".join(character for character in without_card_numbers(words) if character.isprintable())
    return words if len(words) <= _LONGEST_WORDS else words[: _LONGEST_WORDS - 1] + "…"


def _advice(status: int) -> str:
    if 300 <= status < 400:
        return _REDIRECT
    return _ADVICE.get(status, _OTHERWISE)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _words(value: Any) -> str:
    """The text of a message, which may be a list or a mapping of messages."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "; ".join(filter(None, (_words(part) for part in value.values())))
    if isinstance(value, list):
        return "; ".join(filter(None, (_words(part) for part in value)))
    return "" if value is None or isinstance(value, bool) else str(value)
