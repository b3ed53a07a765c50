"""A call once more, as it was or changed, through the proxy; its record says of which call it is a repetition."""

import asyncio
import json
import re
from functools import partial
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.types import ASGIApp

from llm_proxy.errors import Refused
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.completion import Bodies, Completion, JsonValue
from llm_proxy.store.base import Store
from llm_proxy.ui import present
from llm_proxy.ui.calls import again_href, call_href
from llm_proxy.ui.reach import call_of
from llm_proxy.ui.room import Table, changes, first, go_to, looks, read_form
from llm_proxy.ui.sending import NotSent, Sender
from llm_proxy.ui.templating import page, problem

#: Of metadata: the id of the call of which another one is a repetition.
RESEND_OF = "resend_of"
#: Characters of a request that a form holds; a longer one is not for editing by hand.
_MAX_CHARACTERS = 500_000
#: How long the record of a call that was just made is waited for, and how often it is looked for, in seconds.
_WAIT_S, _LOOK_S = 10.0, 0.1
_KEY = re.compile(r"[\x21-\x7e]{1,1000}")
_PATH = re.compile(r"/[\x21-\x7e]*")
_VERSIONS = frozenset({"anthropic-version", "anthropic-beta", "openai-beta", "openai-organization", "openai-project"})


def table(store: Store, sender: Sender | None) -> Table:
    """What is asked for where; without a ``sender`` it is said why there is none."""
    if sender is None:
        return {"/playground/{completion_id:path}": looks(_nowhere, by_project=True)}
    return {
        "/playground/{completion_id:path}": {
            **looks(partial(_form, store), Scope.WRITE, by_project=True),
            **changes(partial(_send, store, sender), by_project=True),
        }
    }


async def _nowhere(request: Request, principal: Principal) -> ASGIApp:
    reason = "These pages run without a proxy beside them. The page of the call has it as a command for any proxy."
    return problem(409, "Not to be sent from here", reason)


async def _form(store: Store, request: Request, principal: Principal) -> ASGIApp:
    completion = await _found(store, request, principal)
    written = _written(completion)
    if written is None:
        return problem(409, "Not to be sent from here", _why_not(completion))
    return _page(completion, written)


async def _send(store: Store, sender: Sender, request: Request, principal: Principal) -> ASGIApp:
    completion = await _found(store, request, principal)
    if _written(completion) is None:
        return problem(409, "Not to be sent from here", _why_not(completion))
    fields = await read_form(request)
    written, model, key = (fields.get("request") or [""])[0], first(fields, "model"), first(fields, "key")
    try:
        body = _body(written, model)
        if key and not _KEY.fullmatch(key):
            return _page(completion, written, model=model, fault="The key has characters that no key has.")
        sent = await sender.send(_path(completion), _headers(completion, key), body)
    except (ValueError, RecursionError, NotSent) as exc:
        return _page(completion, written, model=model, fault=f"Not sent: {exc}.")
    if sent.id is not None and await _recorded(store, sent.id, principal):
        return go_to(call_href(sent.id))
    return problem(
        502,
        "Sent, but not found",
        f"The proxy answered {sent.status}, but the record is not here: it may still come, or belong to the"
        " organisation or the project of the key that was sent along.",
    )


def _body(written: str, model: str) -> bytes:
    """The request as it was written, but for its model. Raises ValueError."""
    try:
        asked: JsonValue = json.loads(written)
    except ValueError as exc:
        raise ValueError(f"the request is no JSON: {exc}") from exc
    if not isinstance(asked, dict):
        raise ValueError(  # noqa: TRY004 - as what is no JSON at all
            "the request is no JSON object"
        )
    if model and model != asked.get("model"):
        written = json.dumps({**asked, "model": model}, ensure_ascii=False)
    return written.encode(errors="replace")


async def _found(store: Store, request: Request, principal: Principal) -> Completion:
    completion_id: str = request.path_params["completion_id"]
    completion = await call_of(store, completion_id, principal)
    if completion is None:
        raise Refused(f"There is no call {present.visible(completion_id)}.", status=404, code="not_found")
    return completion


def _written(completion: Completion) -> str | None:
    """The request as it can be edited; None if it cannot be sent from here."""
    request = (completion.bodies or Bodies()).request
    if not isinstance(request, dict) or completion.method != "POST" or not _PATH.fullmatch(completion.path):
        return None
    written = json.dumps(request, indent=2, ensure_ascii=False)
    return written if len(written) <= _MAX_CHARACTERS else None


def _why_not(completion: Completion) -> str:
    if completion.bodies is None or completion.bodies.request is None:
        return "Its request was not recorded."
    return "Its request is too long for a form, or no JSON that is posted; the page of the call has it as a command."


def _page(completion: Completion, written: str, *, model: str = "", fault: str | None = None) -> ASGIApp:
    return page(
        "again.html",
        status=400 if fault else 200,
        action=again_href(completion.id),
        back=call_href(completion.id),
        preview=present.row(completion).preview,
        target=present.visible(f"{completion.method} {_path(completion)}"),
        written=present.visible(written, lines=True),
        model=present.visible(model or completion.model or ""),
        fault=fault and present.visible(fault),
    )


def _path(completion: Completion) -> str:
    """The path as it was, without a key in it, which was blanked when it was recorded."""
    path, mark, query = completion.path.partition("?")
    if not mark:
        return path
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "key"]
    return f"{path}?{urlencode(kept)}" if kept else path


def _headers(completion: Completion, key: str) -> dict[str, str]:
    recorded = (completion.bodies or Bodies()).request_headers
    versions = {name.lower(): value for name, value in recorded if value and name.lower() in _VERSIONS}
    headers = {"content-type": "application/json", **versions}
    headers["x-llm-metadata"] = json.dumps({RESEND_OF: completion.id})
    if completion.upstream and completion.upstream != "default" and completion.path.startswith("/v1/"):
        headers["x-llm-provider"] = completion.upstream
    if key:
        headers |= _credential(completion, key)
    return {name: value for name, value in headers.items() if value.isascii() and value.isprintable()}


def _credential(completion: Completion, key: str) -> dict[str, str]:
    """The key as the provider asks for it."""
    path = completion.path.partition("?")[0]
    if path.endswith(("/messages", "/messages/count_tokens")):
        return {"x-api-key": key}
    return {"x-goog-api-key": key} if ":" in path.rpartition("/")[2] else {"authorization": f"Bearer {key}"}


async def _recorded(store: Store, completion_id: str, principal: Principal) -> bool:
    """Whether the record comes in time."""
    for _ in range(int(_WAIT_S / _LOOK_S)):
        if await call_of(store, completion_id, principal) is not None:
            return True
        await asyncio.sleep(_LOOK_S)
    return False
