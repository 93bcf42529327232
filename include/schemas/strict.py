"""The base of every configuration model: unknown keys are refused, and an error names the file and the key."""

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from include.domain.errors import ConfigError


class StrictModel(BaseModel):
    """Frozen model that refuses unknown keys and never guesses a type."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def from_toml(cls, text: str, origin: str, error: type[ConfigError] = ConfigError) -> Self:
        """Read a model from TOML text.

        Args:
            text: The TOML document.
            origin: What to call the document in an error, mostly its file name.
            error: The class of error to raise.

        Raises:
            ConfigError: Not TOML, an unknown or missing key, a wrong type or value: the first one, with how many more.
        """
        try:
            return cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as caught:
            raise error(origin, "", f"not valid TOML: {caught}. Mend the file and try again") from None
        except ValidationError as caught:
            raise _first_problem(caught, origin, error) from None

    @classmethod
    def from_toml_file(cls, path: Path, error: type[ConfigError] = ConfigError) -> Self:
        """Read a model from a TOML file (UTF-8). Raises ConfigError as `from_toml`, or when there is no such file."""
        return cls.from_toml(read_text(path, error), str(path), error)

    @classmethod
    def kept_from(cls, path: Path) -> Self:
        """As `from_toml_file`, for files that are needed for every notification: the same text is parsed once."""
        found = _kept(cls, read_text(path), str(path))
        assert isinstance(found, cls)  # noqa: S101 - as `_kept` says
        return found


@lru_cache(maxsize=32)
def _kept(model: type[StrictModel], text: str, origin: str) -> StrictModel:
    return model.from_toml(text, origin)


def read_text(path: Path, error: type[ConfigError] = ConfigError) -> str:
    """The text of a configuration file (UTF-8); ConfigError when it is not there or is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise error(str(path), "", "there is no such file") from None
    except (OSError, UnicodeDecodeError) as caught:
        raise error(str(path), "", f"cannot be read: {caught.__class__.__name__}") from None


def _first_problem(caught: ValidationError, origin: str, error: type[ConfigError]) -> ConfigError:
    problems = caught.errors(include_url=False, include_input=False, include_context=False)
    first, more = problems[0], len(problems) - 1
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = "unknown key; check its spelling and its table"
    elif first["type"] == "missing":
        reason = "missing, and there is no default"
    if more:
        reason += f" (and {more} more)"
    return error(origin, ".".join(str(part) for part in first["loc"]), reason)
