"""Embeddings: https://platform.openai.com/docs/api-reference/embeddings.

The vectors stay in the response as they came, as lists of numbers or in base64.
"""

from llm_proxy.decode.body import Answer, member, read_call
from llm_proxy.decode.summary import preview_of, summarise, text_of
from llm_proxy.model.completion import Decoded, JsonValue
from llm_proxy.model.exchange import Exchange


def decode_embeddings(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read the vectors for one or more inputs."""
    call = read_call(exchange, max_decoded_bytes)
    return summarise(
        call,
        Answer(response=call.response),
        kind="embedding",
        preview=preview_of(_question(member(call.request, "input")), ""),
    )


def _question(asked: JsonValue) -> str:
    """The first input and how many follow; an input may also be a list of tokens, which are no text."""
    if not isinstance(asked, list) or not asked or isinstance(asked[0], int):
        return text_of(asked)
    rest = len(asked) - 1
    return " ".join(filter(None, [text_of(asked[0]), f"(+{rest})" if rest else ""]))
