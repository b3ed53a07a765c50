"""Links that show one call or session to whoever has them: signed, for a time, and taken back at any moment.

Nothing that such a page shows leads further than what was shared. A link that is wrong, expired or taken back is
answered like one that never was.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote, urlencode

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from llm_proxy.api.seal import Seal
from llm_proxy.errors import Refused, StoreUnavailable
from llm_proxy.model.account import Principal
from llm_proxy.model.completion import Completion
from llm_proxy.model.keepsake import Share, Shared, new_share_id
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.base import Keepsakes, Store
from llm_proxy.ui import present
from llm_proxy.ui.call import call_page
from llm_proxy.ui.calls import call_href, session_href
from llm_proxy.ui.room import Table, changes, first, go_to, looks, read_form
from llm_proxy.ui.templating import base_url, page, problem, visitor
from llm_proxy.ui.totals import totals

#: How long a link may live, in hours: what the form offers.
HOURS = frozenset({"1", "24", "168", "720"})
#: Calls of a session that is shared; of a longer one, the newest.
_SHOWN = 500

_Answer = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A link in the list of them."""

    id: str
    kind: str
    target: str
    page: str
    url: str
    until: str
    #: Whether it was made just now.
    fresh: bool


class Sharing:
    """Makes links, shows what they lead to, and takes them back."""

    def __init__(self, store: Store, keepsakes: Keepsakes, seal: Seal) -> None:
        """``seal`` signs the ids in the links: what nobody here signed is looked up nowhere."""
        self._store = store
        self._keepsakes = keepsakes
        self._seal = seal

    def table(self) -> Table:
        """What those do who have a key."""
        return {
            "/shares": {**looks(self.shares, by_project=True), **changes(self.make, by_project=True)},
            "/shares/drop": changes(self.take_back, by_project=True),
        }

    def routes(self, middleware: list[Middleware]) -> list[Route]:
        """What those see who have a link."""
        paths: dict[str, _Answer] = {
            "/shared/{token}": self.shown,
            "/shared/{token}/{completion_id:path}": self.call_of_session,
        }
        return [
            Route(path, partial(_answered, answer), methods=["GET"], middleware=middleware)
            for path, answer in paths.items()
        ]

    async def shares(self, request: Request, principal: Principal) -> ASGIApp:
        """The links that there are."""
        fresh = request.query_params.get("new")
        owner, project = principal.organization_id, principal.project_id
        found = await self._keepsakes.shares(owner, at=datetime.now(UTC), project_id=project)
        return page("shares.html", shares=[self._line(share, request, fresh) for share in found])

    async def make(self, request: Request, principal: Principal) -> ASGIApp:
        """A link to what the form names."""
        fields = await read_form(request)
        kind, target, hours = first(fields, "kind"), (fields.get("target") or [""])[0], first(fields, "hours")
        if kind not in list(Shared) or hours not in HOURS:
            raise Refused("there is nothing to share like that", status=400, code="invalid_request")
        now = datetime.now(UTC)
        share = Share(
            id=new_share_id(),
            organization_id=principal.organization_id,
            project_id=principal.project_id,
            kind=Shared(kind),
            target=target,
            created_at=now,
            expires_at=now + timedelta(hours=int(hours)),
        )
        if not await self._is_there(share):
            raise Refused(f"there is no such {kind}", status=404, code="not_found")
        await self._keepsakes.add_share(share)
        return go_to(f"/shares?{urlencode({'new': share.id})}")

    async def take_back(self, request: Request, principal: Principal) -> ASGIApp:
        """Let a link show nothing any more."""
        owner, project = principal.organization_id, principal.project_id
        await self._keepsakes.drop_share(owner, first(await read_form(request), "id"), project_id=project)
        return go_to("/shares")

    async def shown(self, request: Request) -> Response:
        """What a link shows."""
        share = await self._share(request)
        if share is None:
            return _nothing()
        here = f"/shared/{quote(request.path_params['token'], safe='')}"
        if share.kind is Shared.SESSION:
            return await self._session(share, here)
        completion = await self._call(share, share.target)
        return _nothing() if completion is None else await call_page(self._store, request, completion, shared_at=here)

    async def call_of_session(self, request: Request) -> Response:
        """A call of a session that is shared."""
        share = await self._share(request)
        if share is None or share.kind is not Shared.SESSION:
            return _nothing()
        completion = await self._call(share, request.path_params["completion_id"])
        if completion is None or completion.context.session_id != share.target:
            return _nothing()
        token, completion_id = (quote(request.path_params[name], safe="") for name in ("token", "completion_id"))
        return await call_page(self._store, request, completion, shared_at=f"/shared/{token}/{completion_id}")

    async def _session(self, share: Share, here: str) -> Response:
        calls = (await self._store.find(_calls_of(share, _SHOWN))).completions[::-1]
        if not calls:
            return _nothing()
        name = next((call.context.session_name for call in calls[::-1] if call.context.session_name), share.target)
        return page(
            "shared_session.html",
            name=present.visible(name),
            totals=totals(calls),
            rows=[(present.row(call), f"{here}/{quote(call.id, safe='', errors='replace')}") for call in calls],
        )

    async def _share(self, request: Request) -> Share | None:
        share_id = self._seal.open(request.path_params["token"])
        return None if share_id is None else await self._keepsakes.share(share_id.decode(), at=datetime.now(UTC))

    async def _is_there(self, share: Share) -> bool:
        if share.kind is Shared.CALL:
            return await self._call(share, share.target) is not None
        return bool((await self._store.find(_calls_of(share, 1))).completions)

    async def _call(self, share: Share, completion_id: str) -> Completion | None:
        """The call of this id, if it is of the project that the link is of."""
        found = await self._store.get(completion_id, share.organization_id)
        return found if found is not None and share.project_id in (None, found.project_id) else None

    def _line(self, share: Share, request: Request, fresh: str | None) -> Line:
        return Line(
            id=share.id,
            kind=share.kind.value,
            target=present.visible(share.target),
            page=call_href(share.target) if share.kind is Shared.CALL else session_href(share.target),
            url=f"{base_url(request)}/shared/{self._seal.close(share.id.encode())}",
            until=present.time(share.expires_at),
            fresh=share.id == fresh,
        )


def _calls_of(share: Share, limit: int) -> CompletionQuery:
    return CompletionQuery(
        organization_id=share.organization_id, project_id=share.project_id, session_id=share.target, limit=limit
    )


async def _answered(answer: _Answer, request: Request) -> Response:
    visitor.set(None)
    try:
        return await answer(request)
    except StoreUnavailable:
        # Why is nobody's affair who has but a link.
        return problem(503, "Not available", "Try again later.")


def _nothing() -> Response:
    return problem(404, "Nothing here", "This link is wrong, has expired, or was taken back.")
