"""A session: its calls in the order in which they were made, its traces, and what they took together."""

from collections.abc import Sequence
from functools import partial

from starlette.requests import Request
from starlette.types import ASGIApp

from llm_proxy.model.account import Principal
from llm_proxy.model.completion import Completion
from llm_proxy.model.filters import Filter
from llm_proxy.model.trace import Entity, Kind
from llm_proxy.store.base import Findings, Store
from llm_proxy.ui import present
from llm_proxy.ui.calls import feedback_href, href, lines, trace_href
from llm_proxy.ui.columns import chosen
from llm_proxy.ui.reach import calls_of
from llm_proxy.ui.room import Table, looks
from llm_proxy.ui.templating import page, problem
from llm_proxy.ui.timeline import HEIGHT, WIDTH, timeline
from llm_proxy.ui.totals import totals

#: Calls on the page; of a longer session, the newest.
SHOWN = 500


def table(store: Store, findings: Findings) -> Table:
    """What is asked for where."""
    return {"/sessions/{session_id:path}": looks(partial(_session, store, findings), by_project=True)}


async def _session(store: Store, findings: Findings, request: Request, principal: Principal) -> ASGIApp:
    session_id: str = request.path_params["session_id"]
    owner, project = principal.organization_id, principal.project_id
    found = await store.find(calls_of(principal, session_id=session_id, limit=SHOWN))
    # A project has the log repository of its id, and no other one.
    itself = await findings.told(owner, Kind.SESSION, repository=project, its_id=session_id)
    traces = await findings.told(owner, Kind.TRACE, repository=project, session_id=session_id)
    if not found.completions and not itself and not traces:
        return problem(404, "Not found", f"There is no call of a session {present.visible(session_id)}.")
    calls = found.completions[::-1]
    return page(
        "session.html",
        name=_name(calls, itself[0] if itself else None),
        session_id=present.visible(session_id),
        share_id=session_id,
        feedback=feedback_href("session", session_id),
        inferred=any(call.context.session_inferred for call in calls),
        # All of them are of this one.
        columns=tuple(column for column in chosen(request) if column.name != "session"),
        lines=lines(calls, Filter()),
        picture=timeline(calls),
        axis=(WIDTH, HEIGHT),
        traces=_traces(calls, traces),
        totals=totals(calls) if calls else (("Calls", "0"),),
        more=found.next is not None,
        shown=len(calls),
        list_href=href(Filter((("session", session_id),))),
    )


def _name(calls: tuple[Completion, ...], itself: Entity | None) -> str | None:
    named = next((name for call in calls[::-1] if (name := call.context.session_name)), None)
    named = named or (itself.name if itself is not None else None)
    return named and present.visible(named)


def _traces(calls: Sequence[Completion], told: Sequence[Entity]) -> list[tuple[str, str, str]]:
    """Each trace, those that only calls name among them: where it leads, its name, and how many calls it has."""
    names = {one.key.id: one.name or one.key.id for one in told}
    counts: dict[str, int] = {}
    for call in calls:
        if call.context.trace_id:
            names.setdefault(call.context.trace_id, call.context.trace_id)
            counts[call.context.trace_id] = counts.get(call.context.trace_id, 0) + 1
    return [
        (trace_href(trace_id), present.visible(name), present.count(counts.get(trace_id, 0)))
        for trace_id, name in names.items()
    ]
