"""What may be changed of what is recorded, over HTTP: the tags of a call; and what is removed for good, with a receipt.

Tags need the scope ``write``, removal needs ``admin``: a key that stands in a program that tells of itself must not be
enough to make it disappear. Tags that were changed stay, also when a call that was in flight brings its own.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypedDict

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.calls import call_of
from llm_proxy.api.operation import UNTIL, Operation, Parameter, read_query, shaped, unknown
from llm_proxy.api.resource import Answer, Fault, Table, read_object, words
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.completion import Completion, JsonObject
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.base import Removal, Store

#: Of one call, and characters of one: what a call may bring itself.
MAX_TAGS = 200
MAX_TAG_CHARACTERS = 256


class TagChange(TypedDict, total=False):
    """Either all tags anew, or some to add and some to take away."""

    tags: list[str]
    add_tags: list[str]
    remove_tags: list[str]


class Tagged(TypedDict):
    """A call, and the tags that it has now."""

    id: str
    tags: list[str]


class Removed(TypedDict):
    """How much a removal removed."""

    #: Calls, each with its tags.
    rows: int
    #: Calls whose bodies went.
    bodies: int
    #: Pieces of bodies that no other call shares.
    pieces: int
    #: What bodies and pieces took, compressed.
    bytes: int
    #: What instrumented programs told of: sessions, traces, and what is in them.
    entities: int


class Receipt(TypedDict):
    """What was removed."""

    removed: Removed


_BEFORE = Parameter(
    name="before", about="Everything that started before then.", parse=UNTIL.parse, schema=UNTIL.schema, needed=True
)
_MEMBERS = tuple(TagChange.__annotations__)


def table(store: Store, removal: Removal) -> Table:
    """What is changed in ``store``."""

    def removing(answer: Answer, about: str, *parameters: Parameter) -> Operation:
        return Operation(
            scope=Scope.ADMIN, by_project=True, answer=answer, about=about, parameters=parameters, gives=Receipt
        )

    tagging = Operation(
        scope=Scope.WRITE,
        by_project=True,
        answer=partial(_change_tags, store),
        about="Change the tags of a call.",
        takes=TagChange,
        gives=Tagged,
    )
    return {
        "/api/v1/completions": {
            "DELETE": removing(partial(_remove_before, removal), "Remove everything from before a time.", _BEFORE)
        },
        "/api/v1/completions/{completion_id}": {
            "PATCH": tagging,
            "DELETE": removing(partial(_remove_one, store, removal), "Remove a call."),
        },
        "/api/v1/sessions/{session_id:path}": {
            "DELETE": removing(partial(_remove_session, removal), "Remove a session with everything in it.")
        },
        "/api/v1/users/{user_id:path}": {
            "DELETE": removing(partial(_remove_user, removal), "Remove all calls of a user.")
        },
    }


async def _change_tags(store: Store, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    change = _read_change(await read_object(request))
    completion_id: str = request.path_params["completion_id"]

    def retag(completion: Completion | None) -> Completion:
        if completion is None or not principal.has_project(completion.project_id):
            raise unknown("completion", completion_id)
        tags = _changed(completion.context.tags, change)
        return replace(completion, context=replace(completion.context, tags=tags), tags_edited=True)

    changed = await store.amend(completion_id, principal.organization_id, retag)
    tagged: Tagged = {"id": changed.id, "tags": list(changed.context.tags)}
    return shaped(tagged)


async def _remove_before(removal: Removal, request: Request, principal: Principal) -> Response:
    before = read_query(request.query_params, (_BEFORE,))["before"]
    receipt = await removal.remove(_all_of(principal, until=before))
    return shaped({"removed": asdict(receipt)})


async def _remove_one(store: Store, removal: Removal, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    completion_id: str = request.path_params["completion_id"]
    if principal.project_id is not None and await call_of(store, completion_id, principal) is None:
        raise unknown("completion", completion_id)
    return _receipt(
        asdict(await removal.remove_one(completion_id, principal.organization_id)), "completion", completion_id
    )


async def _remove_session(removal: Removal, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    session_id: str = request.path_params["session_id"]
    query = _all_of(principal, session_id=session_id)
    return _receipt(asdict(await removal.remove(query)), "session", session_id)


async def _remove_user(removal: Removal, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    user_id: str = request.path_params["user_id"]
    query = _all_of(principal, user_id=user_id)
    return _receipt(asdict(await removal.remove(query)), "user", user_id)


def _all_of(principal: Principal, **which: Any) -> CompletionQuery:
    return CompletionQuery(organization_id=principal.organization_id, project_id=principal.project_id, **which)


def _receipt(removed: dict[str, int], kind: str, its_id: str) -> Response:
    if not any(removed.values()):
        raise unknown(kind, its_id)
    return shaped({"removed": removed})


def _read_change(given: JsonObject) -> TagChange:
    for name in given:
        if name not in _MEMBERS:
            there_are = ", ".join(_MEMBERS)
            raise Fault(f"{name} is no member; there are {there_are}", code="unknown_parameter", param=name)
    if not given:
        raise Fault("say tags, or add_tags and remove_tags", param="tags")
    if "tags" in given and len(given) > 1:
        raise Fault("say either tags or what to add and remove", param="tags")
    change = TagChange()
    if "tags" in given:
        change["tags"] = _tags(given, "tags")
    if "add_tags" in given:
        change["add_tags"] = _tags(given, "add_tags")
    if "remove_tags" in given:
        change["remove_tags"] = _tags(given, "remove_tags")
    return change


def _tags(given: JsonObject, member: str) -> list[str]:
    tags = given[member]
    if not isinstance(tags, list) or len(tags) > MAX_TAGS:
        raise Fault(f"{member} must be a list of at most {MAX_TAGS} tags", param=member)
    for place, tag in enumerate(tags):
        if not isinstance(tag, str) or not 1 <= len(tag) <= MAX_TAG_CHARACTERS:
            message = f"{member}[{place}] must be text of 1 to {MAX_TAG_CHARACTERS} characters"
            raise Fault(message, param=f"{member}[{place}]")
    return [str(tag) for tag in tags]


def _changed(tags: Sequence[str], change: TagChange) -> tuple[str, ...]:
    if "tags" in change:
        return tuple(dict.fromkeys(change["tags"]))
    gone = set(change.get("remove_tags", ()))
    left = dict.fromkeys([*(tag for tag in tags if tag not in gone), *change.get("add_tags", ())])
    if len(left) > MAX_TAGS:
        raise Fault(f"a call has at most {MAX_TAGS} tags", param="add_tags")
    return tuple(left)
