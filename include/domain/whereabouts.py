"""Where an unexpected error happened, without what it says: the text of a driver or a parser holds values."""

import traceback


def where_it_happened(caught: BaseException) -> tuple[str, str]:
    """Kind of an error, and the lines of code that it went through; never its text, which may hold values."""
    steps = traceback.extract_tb(caught.__traceback__)
    path = " > ".join(f"{step.filename.rsplit('/', 2)[-1]}:{step.lineno} {step.name}" for step in steps)
    return f"{caught.__class__.__module__}.{caught.__class__.__name__}", path
