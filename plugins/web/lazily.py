"""Our apps as ASGI apps that are made when they are first asked for.

Airflow loads plugins in every one of its processes; only the web server serves anything, and only there are FastAPI
and Airflow's own web modules worth importing.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]


class _Lazily(ABC):
    """Passes everything on to an app that is made for the first request."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Serve one request."""
        if self._app is None:
            self._app = self._make()
        await self._app(scope, receive, send)

    @abstractmethod
    def _make(self) -> Any:
        """The app."""


class PagesLazily(_Lazily):
    """Passes everything on to `plugins.web.app`."""

    def _make(self) -> Any:
        from plugins.web.app import make_app

        return make_app()


class NotificationsLazily(_Lazily):
    """Passes everything on to `plugins.web.notifications`, with connections as Airflow keeps them."""

    def _make(self) -> Any:
        from plugins.flow_context import look_up
        from plugins.web.notifications import make_app

        return make_app(look_up)
