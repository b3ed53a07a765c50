"""Moderations: https://platform.openai.com/docs/api-reference/moderations."""

from llm_proxy.decode.body import Answer, member, object_member, object_members, read_call
from llm_proxy.decode.summary import preview_of, summarise, text_of
from llm_proxy.model.completion import Decoded, JsonObject
from llm_proxy.model.exchange import Exchange


def decode_moderation(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read what was found in one or more inputs."""
    call = read_call(exchange, max_decoded_bytes)
    results = object_members(call.response, "results")
    return summarise(
        call,
        Answer(response=call.response),
        kind="moderation",
        preview=preview_of(text_of(member(call.request, "input")), _verdict(results)),
    )


def _verdict(results: list[JsonObject]) -> str:
    if not results:
        return ""
    categories = [
        name for result in results for name, is_found in object_member(result, "categories").items() if is_found is True
    ]
    flagged = any(result.get("flagged") is True for result in results)
    return ": ".join(filter(None, ["flagged", ", ".join(dict.fromkeys(categories))])) if flagged else "not flagged"
