"""The calls of a session in the order in which they were made, with what they took together."""

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.model.account import Principal
from llm_proxy.model.completion import Completion, Status, Usage
from llm_proxy.model.filters import Filter
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.base import Store
from llm_proxy.ui import present
from llm_proxy.ui.calls import href, lines
from llm_proxy.ui.columns import chosen
from llm_proxy.ui.templating import page, problem

#: Calls on the page; of a longer session, the newest.
SHOWN = 500


async def session(store: Store, request: Request, principal: Principal) -> Response:
    """The page of a session."""
    session_id: str = request.path_params["session_id"]
    query = CompletionQuery(organization_id=principal.organization_id, session_id=session_id, limit=SHOWN)
    found = await store.find(query)
    if not found.completions:
        return problem(404, "Not found", f"There is no call of a session {present.visible(session_id)}.")
    calls = found.completions[::-1]
    return page(
        "session.html",
        name=next((present.visible(name) for call in calls[::-1] if (name := call.context.session_name)), None),
        session_id=present.visible(session_id),
        inferred=any(call.context.session_inferred for call in calls),
        lines=lines(calls, Filter()),
        columns=chosen(request),
        totals=_totals(calls),
        more=found.next is not None,
        shown=len(calls),
        list_href=href(Filter((("session", session_id),))),
    )


def _totals(calls: tuple[Completion, ...]) -> tuple[tuple[str, str], ...]:
    """What the calls took together. What is not known of one is not known of all, and said to be so much or more."""
    first, last = calls[0], calls[-1]
    ended = (last.started_at - first.started_at).total_seconds() + (last.duration_s or 0)
    usages = [call.usage or Usage() for call in calls]
    return (
        ("Calls", present.count(len(calls))),
        ("Failed", present.count(sum(call.status is Status.FAILED for call in calls))),
        ("Tokens in", _sum([usage.input_tokens for usage in usages])),
        ("Tokens out", _sum([usage.output_tokens for usage in usages])),
        ("Began", f"{first.started_at.astimezone():%Y-%m-%d %H:%M:%S}"),
        ("Took", present.duration(ended)),
    )


def _sum(numbers: list[int | None]) -> str:
    known = [number for number in numbers if number is not None]
    if not known:
        return present.DASH
    return present.count(sum(known)) + ("" if len(known) == len(numbers) else " or more")
