"""The account at DOKU's older form-encoded interface, from its connection."""

from collections.abc import Callable
from typing import Final, get_args

from include.doku.words import Algorithm, WordsAccount
from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError
from include.schemas.profile import Profile

_ALGORITHMS: Final = get_args(Algorithm)


def account_of(profile: Profile, look_up: Callable[[str], ConnectionSettings]) -> WordsAccount:
    """The account of a profile.

    Raises:
        ConfigError: The profile names no such connection, or it lacks something. An empty key is refused: anybody
            could sign with it.
    """
    connection = look_up(profile.connections.onecheckout)
    where = f"connection {connection.conn_id}"
    if not connection.login:
        raise ConfigError(where, "login", "is empty; put the MALLID there")
    if not connection.password:
        raise ConfigError(where, "password", "is empty; put the shared key there, or anybody could sign")
    algorithm = connection.extra.get("words", "sha1")
    if algorithm not in _ALGORITHMS:
        raise ConfigError(where, "extra.words", f"is none of {', '.join(_ALGORITHMS)}")
    chain = str(connection.extra.get("chain_merchant", "NA"))
    without_bill = connection.extra.get("charges_without_bill", False) is True
    return WordsAccount(connection.login, connection.password, chain, algorithm, without_bill)


def base_url_of(profile: Profile, look_up: Callable[[str], ConnectionSettings]) -> str:
    """Where customers' browsers post to, without a slash at its end. ConfigError: the connection does not say."""
    connection = look_up(profile.connections.onecheckout)
    host = (connection.host or "").rstrip("/")
    if not host:
        raise ConfigError(f"connection {connection.conn_id}", "host", "is empty; put DOKU's host there")
    if "://" in host:
        return host
    port = f":{connection.port}" if connection.port else ""
    return f"{connection.schema or 'https'}://{host}{port}"
