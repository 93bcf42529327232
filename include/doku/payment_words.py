"""What DOKU's word and code say together of a transaction: they must agree, or nobody knows."""

from include.doku.codes import ResponseCodes
from include.domain.bill_judgement import Meaning
from include.domain.states import OutcomeStatus


def meaning_of(codes: ResponseCodes, word: str | None, succeeded: bool | None, code: str | None) -> Meaning:
    """What DOKU says of a transaction.

    A word of a reversal decides by itself. Else word and code must agree; a word that is neither success nor failure
    decides nothing, whatever the code, and a missing one leaves it to the other.

    Args:
        word: As it came: SUCCESS, FAILED, PENDING, VOIDED, ...; None: there is none.
        succeeded: What that word says; None: nothing.
        code: The response code; None: there is none.
    """
    if word is not None and word.upper() in codes.reversed_words:
        return Meaning(OutcomeStatus.REVERSED)
    by_word = None if succeeded is None else (OutcomeStatus.PAID if succeeded else OutcomeStatus.DECLINED)
    if code is None:
        return Meaning(by_word or OutcomeStatus.UNKNOWN)
    found = codes.look_up(code)
    by_code = OutcomeStatus(found.outcome)
    if by_code is OutcomeStatus.UNKNOWN or by_code is OutcomeStatus.REVERSED:
        return Meaning(by_code, listed=found.listed, partial=found.partial)
    if by_word is by_code or (by_word is None and word is None):
        return Meaning(by_code)
    return Meaning(OutcomeStatus.UNKNOWN, contradicts_itself=True)
