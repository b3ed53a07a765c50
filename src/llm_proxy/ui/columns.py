"""The columns of a list of calls that can be chosen: those of the URL, or those that this browser chose last.

What was chosen is kept in a cookie, which says nothing else, so that pages and live rows are made alike.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.ui.present import Row

COOKIE = "llm-proxy-columns"
_YEAR_S = 365 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One that can be chosen."""

    #: Also the name of what a row has there.
    name: str
    label: str
    is_number: bool = True

    def of(self, row: Row) -> str:
        """What a row has there."""
        value: str = getattr(row, self.name)
        return value


COLUMNS = {
    column.name: column
    for column in (
        Column(name="session", label="Session", is_number=False),
        Column(name="user", label="User", is_number=False),
        Column(name="provider", label="Provider", is_number=False),
        Column(name="upstream", label="Upstream", is_number=False),
        Column(name="endpoint", label="API", is_number=False),
        Column(name="trace", label="Trace", is_number=False),
        Column(name="key", label="Key", is_number=False),
        Column(name="http_status", label="HTTP"),
        Column(name="input_tokens", label="Tokens in"),
        Column(name="output_tokens", label="Tokens out"),
        Column(name="speed", label="Tokens/s"),
        Column(name="cost", label="Cost"),
        Column(name="ttft", label="First token"),
        Column(name="duration", label="Total"),
    )
}
USUAL = tuple(COLUMNS[name] for name in ("session", "input_tokens", "output_tokens", "cost", "ttft", "duration"))


def chosen(request: Request) -> tuple[Column, ...]:
    """The columns to show, in the order in which they can be chosen."""
    given = request.query_params.getlist("columns")
    return named(given) or named([request.cookies.get(COOKIE, "").replace(".", ",")]) or USUAL


def named(given: Iterable[str]) -> tuple[Column, ...]:
    """The columns that these texts name, each perhaps several with commas between them."""
    names = {name for text in given for name in text.split(",")}
    return tuple(column for name, column in COLUMNS.items() if name in names)


def remember(request: Request, response: Response, columns: tuple[Column, ...]) -> None:
    """Let the browser keep what its URL has chosen."""
    if request.query_params.getlist("columns"):
        # A comma would have to be quoted there.
        value = ".".join(column.name for column in columns)
        response.set_cookie(COOKIE, value, max_age=_YEAR_S, httponly=True, samesite="lax")
