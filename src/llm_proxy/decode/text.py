"""Legacy completions, streamed or not, in the shape of ``text_completion``.

https://platform.openai.com/docs/api-reference/completions; a chunk of a stream has the shape of the whole.
"""

from llm_proxy.decode.body import Answer, member, object_members, read_call
from llm_proxy.decode.deltas import Dialect, Growing, assemble, extend, merge
from llm_proxy.decode.summary import preview_of, summarise, text_of
from llm_proxy.model.completion import Decoded, JsonObject
from llm_proxy.model.exchange import Exchange


def decode_text(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read a completion."""
    call = read_call(exchange, max_decoded_bytes)
    answer = Answer(response=call.response) if call.events is None else assemble(call.events, _DIALECT)
    choices = object_members(answer.response, "choices")
    return summarise(
        call,
        answer,
        kind="prompt",
        preview=preview_of(text_of(member(call.request, "prompt")), text_of(choices[0].get("text")) if choices else ""),
        finish_reasons=[choice.get("finish_reason") for choice in choices],
    )


def _grow_choice(choice: Growing, piece: JsonObject) -> None:
    if isinstance(piece.get("text"), str):
        merge(choice, {"text": piece.pop("text")})
    extend(choice, piece)


def _bears_content(piece: JsonObject) -> bool:
    return bool(piece.get("text"))


_DIALECT = Dialect(shape="text_completion", grow_choice=_grow_choice, bears_content=_bears_content)
