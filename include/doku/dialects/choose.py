"""The dialect of a profile."""

from collections.abc import Callable

from include.doku.dialects import onecheckout
from include.doku.dialects.json_fields import JsonFields
from include.domain.bill_events import BillEvent
from include.domain.errors import ConfigError
from include.domain.states import NotificationKind
from include.schemas.dialect import Dialect, load_dialect
from include.schemas.profile import Profile

Parse = Callable[[NotificationKind, bytes, str | None], BillEvent]


def parser_of(profile: Profile) -> Parse:
    """How notifications of a profile are read. ConfigError: its dialect's file cannot be used.

    Reports are told of in JSON whatever the dialect of bills is; so are they to a profile without Recurring.
    """
    json = JsonFields(dialect_file_of(profile), profile.limits.currencies[0])
    if profile.recurring_or_none is None or profile.recurring.dialect == "json":
        return json.parse

    def parse(kind: NotificationKind, raw: bytes, content_type: str | None) -> BillEvent:
        reader = json.parse if kind is NotificationKind.REPORT_READY else onecheckout.parse
        return reader(kind, raw, content_type)

    return parse


def dialect_file_of(profile: Profile) -> Dialect:
    """The paths of a profile's JSON: beside the profiles (`dialects/`) first, else those that are shipped."""
    return named_dialect(profile, profile.recurring.fields if profile.has_recurring else "assumed-json")


def named_dialect(profile: Profile, name: str) -> Dialect:
    """The same file by its name. ConfigError: there is none, or it cannot be used."""
    path = profile.dialect_path(name)
    if not path.exists():
        reason = f"there is no dialect {name!r}, neither beside the profile (dialects/) nor among the shipped ones"
        raise ConfigError(str(profile.file), "", reason)
    return load_dialect(path)
