"""One list of the models of all upstreams, in the shape of OpenAI's, with each model as it must be asked for.

Only where the model chooses an upstream, by ``NAME/model`` or along a route: otherwise the list of the default upstream
is relayed as it is. All are asked at once; what does not answer in time, or with anything but a list, is left out, and
the answer says so. A name that two upstreams have is in the list once.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from llm_proxy.errors import UpstreamError, UpstreamUnreachable
from llm_proxy.proxy.transport.base import RawHeaders, Switched, Transport, UpstreamRequest

#: Lists are short and quick; a client waits for the slowest.
_PATIENCE_S = 10.0
_MAX_LIST_BYTES = 8 * 2**20
#: Names the upstreams that are missing, and why.
LEFT_OUT_HEADER = b"X-LLM-Left-Out"
#: What lists need that are not all told at once (https://platform.claude.com/docs/en/api/models-list).
QUERIES = {"anthropic": b"limit=1000"}
_VERSION = (b"anthropic-version", b"2023-06-01")


#: By what name a client asks for a model; None for one that it cannot ask for.
Naming: TypeAlias = Callable[[str], str | None]


class Asked(NamedTuple):
    """An upstream that is asked for its list."""

    name: str
    naming: Naming
    request: UpstreamRequest


class ModelList:
    """The answer: to be relayed as if it came from an upstream."""

    status = 200
    switched: Switched | None = None

    def __init__(self, body: bytes, left_out: Sequence[str]) -> None:
        self.headers: RawHeaders = [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body))]
        if left_out:
            self.headers.append((LEFT_OUT_HEADER, "; ".join(left_out).encode("ascii", "replace")))
        self._body = body

    @property
    def complete(self) -> bool:
        """Whether the body was taken."""
        return not self._body

    def available(self) -> bytes:
        """The body."""
        taken, self._body = self._body, b""
        return taken

    async def read(self) -> bytes:
        """The body."""
        return self.available()

    def close(self) -> None:
        """Nothing is left open."""


class _Listed(msgspec.Struct):
    data: list[dict[str, msgspec.Raw]]


_read_list = msgspec.json.Decoder(_Listed).decode


async def model_list(transport: Transport, asked: Sequence[Asked], names: Iterable[tuple[str, str]] = ()) -> ModelList:
    """The models of all who answer, in the order in which they are asked. Raises UpstreamUnreachable if nobody does.

    ``names`` are further ones that can be asked for, each with whose it is.
    """
    answers = await asyncio.gather(*(_models(transport, one) for one in asked))
    left_out = [answer for answer in answers if isinstance(answer, str)]
    if len(left_out) == len(answers):
        raise UpstreamUnreachable(f"no upstream has told its models: {'; '.join(left_out)}")
    models: dict[str, dict[str, msgspec.Raw] | dict[str, str]] = {}
    for answer in answers:
        for name, model in () if isinstance(answer, str) else answer:
            models.setdefault(name, model)
    for name, owner in names:
        models.setdefault(name, {"id": name, "object": "model", "owned_by": owner})
    return ModelList(msgspec.json.encode({"object": "list", "data": list(models.values())}), left_out)


async def _models(transport: Transport, asked: Asked) -> list[tuple[str, dict[str, msgspec.Raw]]] | str:
    """The models of one upstream under the names by which they are asked for, or why there are none, in a few words."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            status, body = await _fetch(transport, asked.request)
        if status != 200:
            return f"{asked.name}: status {status}"
        models = _read_list(body).data
        return list(_named(asked.naming, models))
    except TimeoutError:
        return f"{asked.name}: no answer within {_PATIENCE_S:g} s"
    except UpstreamError:
        return f"{asked.name}: no connection"
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return f"{asked.name}: no list of models"


async def _fetch(transport: Transport, request: UpstreamRequest) -> tuple[int, bytes]:
    response = await transport.send(request)
    try:
        body = response.available()
        while not response.complete:
            body += await response.read()
            if len(body) > _MAX_LIST_BYTES:
                raise ValueError("the list is too long")
        return response.status, body
    finally:
        response.close()


def plain(headers: RawHeaders, provider: str | None) -> RawHeaders:
    """``headers`` for an answer that can be read here: in no content coding, and in the version that is read."""
    kept = [header for header in headers if header[0].lower() not in (b"accept-encoding", b"range", b"if-none-match")]
    is_told = any(name.lower() == _VERSION[0] for name, _ in kept)
    return [*kept, _VERSION] if provider == "anthropic" and not is_told else kept


def _named(naming: Naming, models: list[dict[str, msgspec.Raw]]) -> Iterator[tuple[str, dict[str, msgspec.Raw]]]:
    for model in models:
        name = naming(msgspec.json.decode(model["id"], type=str)) if "id" in model else None
        if name is not None:
            yield name, model | {"id": msgspec.Raw(msgspec.json.encode(name))}
