"""The only file that registers a plugin: DOKU's notifications, and read-only pages behind Airflow's login."""

from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from plugins.web.lazily import NotificationsLazily, PagesLazily

PREFIX = "/doku"


def _base_path() -> str:
    """What stands before every path where Airflow is not served at the root of its host."""
    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")


class DokuPlugin(AirflowPlugin):
    """Books, breaks, quarantine, summaries and `explain` for people; the paths that DOKU calls."""

    name = "doku"
    # In this order: the first whose prefix fits is asked. It alone needs no login: DOKU's signature stands for one.
    fastapi_apps: list[Any] = [  # noqa: RUF012 - as Airflow declares it
        {"app": NotificationsLazily(), "url_prefix": f"{PREFIX}/notifications", "name": "DOKU notifications"},
        {"app": PagesLazily(), "url_prefix": PREFIX, "name": "DOKU collections"},
    ]
    external_views: list[Any] = [  # noqa: RUF012
        {
            "name": "DOKU",
            "href": f"{_base_path()}{PREFIX}/",
            "destination": "nav",
            "url_route": "doku",
            "nav_top_level": True,
        }
    ]
