"""Read-only pages behind Airflow's login: books by day, breaks, bills, quarantine, summaries, notifications, explain.

Every page needs a person who is logged in and may read the profile's DAG `doku_reconcile__<profile>`, or where it sends
no batches `doku_recurring__<profile>`: who may see that DAG may see its books. There are no other methods than GET, and
no page has a script.
"""

import logging
from collections.abc import Callable, Coroutine
from datetime import date
from typing import Annotated, Any, Final

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException as StarletteHTTPException

from include.domain.errors import DokuError
from include.domain.whereabouts import where_it_happened
from include.schemas.profile import Profile, profiles_dir
from plugins.dag_parts import profiles
from plugins.flow_context import flow_context_of

log = logging.getLogger(__name__)

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "frame-ancestors 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_UNAUTHENTICATED: Final = 401
_TITLES: Final = {403: "Not allowed", 404: "Not found", 422: "Not understood"}


def make_app() -> FastAPI:
    """The app that Airflow's web server mounts."""
    app = FastAPI(title="DOKU collections", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(router)
    app.add_exception_handler(StarletteHTTPException, _refusal)
    app.add_exception_handler(RequestValidationError, _not_understood)
    return app


class _InWords(APIRoute):
    """Errors become a page with a sentence, as in task logs: no row, no secret, no text of a database driver."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap what serves the route."""
        serve = super().get_route_handler()

        async def serve_in_words(request: Request) -> Response:
            try:
                return await serve(request)
            except (StarletteHTTPException, RequestValidationError):
                raise
            except DokuError as caught:
                status = 503 if caught.retryable else 500
                return _problem(request, status, "This page cannot be shown now", caught.message)
            except Exception as caught:  # noqa: BLE001 - all of them: their text may hold values
                name, path = where_it_happened(caught)
                log.error("Unexpected %s at %s", name, path)  # noqa: TRY400 - the traceback would carry values
                sentence = f"Unexpected {name}; this is a mistake in the package. Its path is in the web server's log."
                return _problem(request, 500, "This page cannot be shown", sentence)

        return serve_in_words


router = APIRouter(route_class=_InWords, dependencies=[Depends(get_user)])

User = Annotated[Any, Depends(get_user)]


def _dag_of(name: str, profile: Profile | None) -> str:
    """The DAG whose readers may read the profile's pages."""
    family = "doku_recurring" if profile is not None and not profile.sends_batches else "doku_reconcile"
    return f"{family}__{name}"


def _readable(
    request: Request, user: User, profile: Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
) -> Profile:
    """The profile of the path, if there is one and the person may read its DAG."""
    found = next((one for one in profiles() if one.name == profile), None)
    requires_access_dag(method="GET", param_dag_id=_dag_of(profile, found))(request, user)
    if found is None:
        raise HTTPException(404, f"There is no profile {profile} that can be used here.")
    return found


Readable = Annotated[Profile, Depends(_readable)]


@router.get("/")
def index(request: Request, user: User) -> Response:
    """The profiles that the person may look at."""
    from include.flows.pages import Named, index_page

    if not profiles_dir().is_dir():
        return _problem(request, 500, "No profiles", f"{profiles_dir()}: no such folder on the web server.")
    shown = [Named.of(one) for one in profiles() if _may_read(request, user, one)]
    return _page(index_page(_root(request), shown))


@router.get("/{profile}/books")
def books(request: Request, profile: Readable, before: date | None = None) -> Response:
    """Books by day."""
    from include.flows.pages import days_page

    with flow_context_of(profile) as context:
        return _page(days_page(context, _root(request), before))


@router.get("/{profile}/books/{business_date}")
def books_of_a_day(request: Request, profile: Readable, business_date: date) -> Response:
    """The books of one day."""
    from include.flows.pages import day_page

    with flow_context_of(profile) as context:
        return _page(day_page(context, _root(request), business_date))


@router.get("/{profile}/breaks")
def breaks(request: Request, profile: Readable, resolved: bool = False, before: int | None = None) -> Response:
    """Breaks."""
    from include.flows.pages import breaks_page

    with flow_context_of(profile) as context:
        return _page(breaks_page(context, _root(request), resolved=resolved, before=before))


@router.get("/{profile}/quarantine")
def quarantine(
    request: Request, profile: Readable, after: Annotated[str | None, Query(max_length=200)] = None
) -> Response:
    """Quarantined charges."""
    from include.flows.pages import quarantine_page

    with flow_context_of(profile) as context:
        return _page(quarantine_page(context, _root(request), after))


@router.get("/{profile}/inbox")
def inbox(request: Request, profile: Readable) -> Response:
    """DOKU's notifications, without their contents."""
    from include.flows.pages import inbox_page

    with flow_context_of(profile) as context:
        return _page(inbox_page(context, _root(request)))


@router.get("/{profile}/bills")
def bills(
    request: Request,
    profile: Readable,
    bill: Annotated[str, Query(max_length=200)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    after: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Bills, or the story of one."""
    from include.flows.pages import bills_page

    if not profile.has_recurring:
        raise HTTPException(404, f"Profile {profile.name} has no bills: there is no [recurring].")
    with flow_context_of(profile) as context:
        return _page(bills_page(context, _root(request), asked=bill, state=state, after=after))


@router.get("/{profile}/summaries")
def summaries(request: Request, profile: Readable, before: int | None = None) -> Response:
    """The kept summaries."""
    from include.flows.pages import summaries_page

    with flow_context_of(profile) as context:
        return _page(summaries_page(context, _root(request), before))


@router.get("/{profile}/summaries/{summary_id}.csv")
def summary_sheet(profile: Readable, summary_id: int) -> Response:
    """A kept summary's CSV file."""
    found, content = _kept(profile, summary_id, sheet=True)
    name = f"summary_{profile.name}_{found.business_date.isoformat()}.csv"
    headers = {**_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/{profile}/summaries/{summary_id}")
def summary(profile: Readable, summary_id: int) -> Response:
    """A kept summary's page, as it was kept."""
    return _page(_kept(profile, summary_id)[1])


@router.get("/{profile}/explain")
def explain(request: Request, profile: Readable, charge: Annotated[str, Query(max_length=200)] = "") -> Response:
    """The story of a charge."""
    from include.flows.pages import explain_page

    with flow_context_of(profile) as context:
        return _page(explain_page(context, _root(request), charge))


def _kept(profile: Profile, summary_id: int, *, sheet: bool = False) -> tuple[Any, bytes]:
    from include.flows.pages import kept_file

    with flow_context_of(profile) as context:
        found = kept_file(context, summary_id, sheet=sheet)
    if found is None:
        raise HTTPException(404, f"Profile {profile.name} has no summary {summary_id}.")
    return found


def _may_read(request: Request, user: Any, profile: Profile) -> bool:
    try:
        requires_access_dag(method="GET", param_dag_id=_dag_of(profile.name, profile))(request, user)
    except HTTPException:
        return False
    return True


def _root(request: Request) -> str:
    """What every link of ours begins with: where Airflow has mounted us."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def _page(content: str | bytes, status: int = 200) -> Response:
    return Response(content, status, media_type="text/html; charset=utf-8", headers=_HEADERS)


def _problem(request: Request, status: int, title: str, sentence: str) -> Response:
    from include.flows.pages import problem_page

    return _page(problem_page(_root(request), title, sentence), status)


async def _refusal(request: Request, caught: Exception) -> Response:
    """Nobody is logged in: to the login and back here. Otherwise what is refused, in words."""
    status = caught.status_code if isinstance(caught, StarletteHTTPException) else 500
    if status == _UNAUTHENTICATED:
        if "text/html" in request.headers.get("accept", ""):
            here = str(request.url.replace(fragment=""))
            return RedirectResponse(get_auth_manager().get_url_login(next_url=here), status_code=303)
        return Response("Log in to Airflow first.", status, media_type="text/plain", headers=_HEADERS)
    sentence = str(getattr(caught, "detail", "")) or "Nothing is here."
    return _problem(request, status, _TITLES.get(status, "Not shown"), sentence)


async def _not_understood(request: Request, caught: Exception) -> Response:  # noqa: ARG001 - the form of a handler
    """An address with a wrong date, number or name; what was sent is not repeated."""
    return _problem(request, 422, _TITLES[422], "The address has a date, a number or a name that cannot be one.")
