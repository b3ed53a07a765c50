"""The APIs by which programs that are instrumented for Maxim tell of their work.

``POST /v1/logs/batch`` and ``POST /v1/logging`` are the public ones, for programs of one's own. The SDKs post the lines
of a command log to ``/api/sdk/v3/log?id=``, after they have asked whether there is such a repository. Every 2xx answer
is a JSON object without a member ``error``, since maxim-py takes anything else for a failure.

A repository is there as soon as something is told of it; a key of one project has just that one. A body is taken as a
whole or, if one thing in it is wrong, not at all.
"""

import re
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Required

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict  # pydantic takes that of Python only from 3.12 on

from llm_proxy.api.maxim_batch import read_batch
from llm_proxy.api.maxim_faults import Flaw, InvalidBody, check, maxim_error
from llm_proxy.api.maxim_uploads import Files, within
from llm_proxy.api.resource import MAX_BODY_BYTES, Answer, Fault, Method, Table, answered, decode_strictly, read_body
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.command_log import PROCESS_LARGE_LOG, STORAGE, Command, lines_of, statements
from llm_proxy.model.command_log import Fault as BadCommand
from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.trace import Statement
from llm_proxy.store.base import Traces


class _Logging(TypedDict, total=False):
    repoId: Required[str]
    entity: Required[Literal["session", "trace", "span", "generation", "retrieval", "toolCall", "tool_call"]]
    action: Required[str]
    entityId: Required[str]
    data: dict[str, Any]


class _Evaluators(TypedDict, total=False):
    repoId: Required[str]
    evaluatorNames: list[str]


_LOGGING, _EVALUATORS = TypeAdapter(_Logging), TypeAdapter(_Evaluators)
#: Where one word ends and the next one begins in ``addToolCall`` and ``add_tool_call``.
_WORDS = re.compile("(?<=[a-z])(?=[A-Z])|_")


def table(files: Files) -> Table:
    """What takes in what is told, and the files that belong to it."""
    told: dict[str, Answer] = {
        "/v1/logs/batch": partial(_batch, files.traces),
        "/v1/logging": partial(_logging, files.traces),
        "/api/sdk/v3/log": partial(_log, files),
        "/api/sdk/v1/log-repositories/check-attach-evaluators": _check_evaluators,
    }
    write = partial(Method, scope=Scope.WRITE, by_project=True, shape=maxim_error)
    return {
        **{path: {"POST": write(answer=one)} for path, one in told.items()},
        "/api/sdk/v3/log-repositories": {"GET": write(answer=_repository)},
    }


async def _batch(traces: Traces, request: Request, principal: Principal) -> Response:
    raw = await read_body(request)
    if not raw:
        # The specification does not say that there must be a body.
        return answered({"success": True})
    repository, told = read_batch(_decoded(raw), heard_at_us=_now_us())
    within(principal, repository, param="repoId")
    await traces.put(principal.organization_id, repository, told)
    return answered({"success": True})


async def _logging(traces: Traces, request: Request, principal: Principal) -> Response:
    body: Any = await _json(request)
    check(_LOGGING, body)
    within(principal, body["repoId"], param="repoId")
    action, data = _command_of(body["action"], body.get("data", {}))
    try:
        told = statements(body["entity"], body["entityId"], action, data, heard_at_us=_now_us())
    except BadCommand as exc:
        raise InvalidBody([(exc.path, str(exc))]) from exc
    await traces.put(principal.organization_id, body["repoId"], told)
    return answered({"success": True, **{name: body[name] for name in ("entity", "action", "entityId")}})


async def _log(files: Files, request: Request, principal: Principal) -> Response:
    repository = _given(request, "id")
    within(principal, repository, param="id")
    told = await _Lines(files, principal.organization_id, repository, _now_us()).read(await read_body(request))
    await files.traces.put(principal.organization_id, repository, told)
    return answered({"success": True})


async def _repository(request: Request, principal: Principal) -> Response:
    repository = _given(request, "loggerId")
    within(principal, repository, param="loggerId")
    return answered({"data": {"id": repository, "name": repository}})


async def _check_evaluators(request: Request, principal: Principal) -> Response:
    body: Any = await _json(request)
    check(_EVALUATORS, body)
    within(principal, body["repoId"], param="repoId")
    # They are kept with what they are attached to, whatever they are.
    return answered({"data": {"canAttach": True, "evaluatorsToIgnore": []}})


@dataclass(slots=True)
class _Lines:
    """Reads the lines of a command log, and in place of one that was too large for it the file that it names."""

    files: Files
    organization_id: str
    repository: str
    heard_at_us: int

    async def read(self, body: bytes) -> list[Statement]:
        """What all lines tell. Raises InvalidBody, with each line that is wrong."""
        told: list[Statement] = []
        flaws: list[Flaw] = []
        for number, line in lines_of(body):
            try:
                told += await self._line(line)
            except BadCommand as exc:
                flaws.append((f"line {number}{f': {exc.path}' if exc.path else ''}", str(exc)))
        if flaws:
            raise InvalidBody(flaws)
        return told

    async def _line(self, line: bytes) -> list[Statement]:
        command = Command(line)
        if command.entity == STORAGE and command.action == PROCESS_LARGE_LOG:
            command = Command(await self._large(_data_of(command)))
        self.heard_at_us += 1
        return statements(command.entity, command.id, command.action, _data_of(command), heard_at_us=self.heard_at_us)

    async def _large(self, data: JsonValue) -> bytes:
        key = data.get("key") if isinstance(data, dict) else None
        upload = None
        # A key of one project must not read the files of another one in this way.
        if isinstance(key, str) and key.startswith(f"{self.repository}/"):
            upload = await self.files.traces.upload(self.organization_id, key)
        if upload is None:
            raise BadCommand("data.key", "must be the key of a file of this repository that was uploaded before")
        if upload.size_bytes > MAX_BODY_BYTES:
            raise BadCommand("data.key", f"must not be longer than {MAX_BODY_BYTES} bytes")
        pieces = [piece async for piece in self.files.blobs.read(upload.hash)]
        return b"".join(pieces).strip()


def _data_of(command: Command) -> JsonValue:
    try:
        return decode_strictly(command.data)
    except ValueError as exc:
        raise BadCommand("data", f"is no JSON: {exc}") from exc


def _command_of(action: str, data: JsonObject) -> tuple[str, JsonObject]:
    """An action of the public API in the words of the command log: it adds one thing at a time."""
    words = _WORDS.sub("-", action).lower()
    match words:
        case "start":
            return "create", data
        case "add-metadata" if "metadata" not in data:
            return "update", {"metadata": data}
        case "add-tag" | "add-tags" if "tags" not in data:
            is_pair = set(data) == {"key", "value"}
            return "update", {"tags": {str(data["key"]): data["value"]} if is_pair else data}
        case "add-metadata" | "add-tag" | "add-tags" | "add-input" | "add-output" | "add-metrics" | "set-model":
            return "update", data
        case "add-result" | "add-docs":
            return "update", data
        case _:
            return words, data


async def _json(request: Request) -> JsonValue:
    return _decoded(await read_body(request))


def _decoded(raw: bytes) -> JsonValue:
    try:
        return decode_strictly(raw)
    except ValueError as exc:
        raise Fault(f"the body is no JSON: {exc}", param=None, code="invalid_json") from exc


def _given(request: Request, name: str) -> str:
    value = request.query_params.get(name)
    if not value:
        raise Fault(f"{name} must be given: the id of a log repository", param=name)
    return value


def _now_us() -> int:
    return time.time_ns() // 1000
