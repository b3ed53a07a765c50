"""Two calls side by side: facts, parameters, and conversations turn by turn, with the words that differ."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from llm_proxy.model.account import Principal
from llm_proxy.model.completion import Bodies, Completion, JsonValue
from llm_proxy.store.base import Store
from llm_proxy.ui import present
from llm_proxy.ui.calls import call_href
from llm_proxy.ui.conversation import Kind, Turn, conversation
from llm_proxy.ui.reach import call_of
from llm_proxy.ui.room import Table, looks
from llm_proxy.ui.templating import page, problem
from llm_proxy.ui.worddiff import Piece, compared

#: Members of a request that are its conversation.
_SAID = frozenset({"messages", "input", "contents", "prompt", "system", "instructions", "systemInstruction"})
#: Turns of each that are compared: of longer ones, the last.
_MAX_TURNS = 200
_MAX_CHARACTERS = 100_000
#: Of a row, and what stands before it.
_COMPARED = (
    ("Time", "time"),
    ("Status", "status"),
    ("Model", "model"),
    ("Provider", "provider"),
    ("Tokens in", "input_tokens"),
    ("Tokens out", "output_tokens"),
    ("Cost", "cost"),
    ("First token", "ttft"),
    ("Total", "duration"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What stands beside each other; a side that has nothing there is None."""

    left: tuple[Piece, ...] | None
    right: tuple[Piece, ...] | None
    left_role: str
    right_role: str
    same: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A fact about both."""

    label: str
    left: str
    right: str


def table(store: Store) -> Table:
    """What is asked for where."""
    return {"/compare": looks(partial(_compare, store), by_project=True)}


async def _compare(store: Store, request: Request, principal: Principal) -> ASGIApp:
    ids = [request.query_params.get(name, "").strip() for name in ("a", "b")]
    if not all(ids):
        return page("compare.html", ids=[present.visible(one) for one in ids], shown=None)
    found = [await call_of(store, one, principal) for one in ids]
    for one, completion in zip(ids, found, strict=True):
        if completion is None:
            return problem(404, "Not found", f"There is no call {present.visible(one)}.")
    left, right = (completion for completion in found if completion is not None)
    return await asyncio.to_thread(_shown, left, right)


def _shown(left: Completion, right: Completion) -> Response:
    bodies = [completion.bodies or Bodies() for completion in (left, right)]
    turns = [conversation(one.request, one.response)[-_MAX_TURNS:] for one in bodies]
    pairs = list(_paired(*turns))
    parameters = _pair(_parameters(bodies[0].request), _parameters(bodies[1].request))
    return page(
        "compare.html",
        ids=[present.visible(left.id), present.visible(right.id)],
        shown={
            "titles": [present.row(one).preview for one in (left, right)],
            "hrefs": [call_href(one.id) for one in (left, right)],
            "swap": f"/compare?{urlencode({'a': right.id, 'b': left.id}, errors='replace')}",
            "facts": list(_facts(left, right)),
            "parameters": parameters,
            "pairs": pairs,
            "same": sum(pair.same for pair in pairs),
        },
    )


def _facts(left: Completion, right: Completion) -> Iterator[Fact]:
    rows = [present.row(one) for one in (left, right)]
    for label, name in _COMPARED:
        one, other = (str(getattr(row, name)) for row in rows)
        yield Fact(label=label, left=one, right=other)
    ends = (present.text(", ".join(one.finish_reasons)) for one in (left, right))
    yield Fact(label="Finished by", left=next(ends), right=next(ends))


def _parameters(request: JsonValue) -> str:
    if not isinstance(request, dict):
        return ""
    rest = {name: value for name, value in request.items() if name not in _SAID}
    return json.dumps(rest, indent=2, ensure_ascii=False, sort_keys=True)[:_MAX_CHARACTERS]


def _paired(left: Sequence[Turn], right: Sequence[Turn]) -> Iterator[Pair]:
    texts = [[(turn.role, _text(turn)) for turn in turns] for turns in (left, right)]
    matcher = SequenceMatcher(None, texts[0], texts[1], autojunk=False)
    for step, begin, end, other_begin, other_end in matcher.get_opcodes():
        some, others = texts[0][begin:end], texts[1][other_begin:other_end]
        if step == "equal":
            for role, text in some:
                yield _pair(text, text, role, role)
            continue
        for place in range(max(len(some), len(others))):
            one = some[place] if place < len(some) else None
            other = others[place] if place < len(others) else None
            yield _pair(one and one[1], other and other[1], one[0] if one else "", other[0] if other else "")


def _pair(left: str | None, right: str | None, left_role: str = "", right_role: str = "") -> Pair:
    pieces: list[tuple[Piece, ...] | None]
    if left is None or right is None:
        pieces = [None if text is None else (Piece(_clean(text), same=False),) for text in (left, right)]
    else:
        pieces = [*compared(_clean(left), _clean(right))]
    same = left == right and left_role == right_role
    return Pair(
        left=pieces[0],
        right=pieces[1],
        left_role=present.visible(left_role),
        right_role=present.visible(right_role),
        same=same,
    )


def _clean(text: str) -> str:
    return present.visible(text[:_MAX_CHARACTERS], lines=True)


def _text(turn: Turn) -> str:
    """A turn as one text."""
    return "\n\n".join(_said(turn))


def _said(turn: Turn) -> Iterator[str]:
    for part in turn.parts:
        if part.kind in (Kind.IMAGE, Kind.AUDIO):
            yield f"({part.kind.value}, {present.size(len(part.text) * 3 // 4)})"
            continue
        yield f"{part.name}: {part.text}" if part.name else part.text
        for result in part.results:
            yield f"→ {result.text}"
