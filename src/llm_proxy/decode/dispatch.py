"""From an exchange to what it means: the one way into this package.

``decode`` never raises, whatever the bytes are: an exchange that cannot be understood is stored with the reason and its
raw bytes. It is a pure function: the same exchange always means the same.
"""

from collections.abc import Callable

from llm_proxy.decode.audio import decode_speech, decode_transcription
from llm_proxy.decode.chat import decode_chat
from llm_proxy.decode.converse import decode_converse
from llm_proxy.decode.embeddings import decode_embeddings
from llm_proxy.decode.files import decode_batch, decode_file
from llm_proxy.decode.generate_content import decode_generate_content
from llm_proxy.decode.images import decode_image
from llm_proxy.decode.invoke_model import decode_invoke_model
from llm_proxy.decode.messages import decode_message, decode_token_count
from llm_proxy.decode.moderations import decode_moderation
from llm_proxy.decode.other import decode_other
from llm_proxy.decode.realtime import decode_realtime
from llm_proxy.decode.responses import decode_response
from llm_proxy.decode.text import decode_text
from llm_proxy.model.completion import Decoded
from llm_proxy.model.exchange import Endpoint, Exchange

DECODERS: dict[Endpoint, Callable[[Exchange, int], Decoded]] = {
    Endpoint.CHAT: decode_chat,
    Endpoint.TEXT: decode_text,
    Endpoint.EMBEDDINGS: decode_embeddings,
    Endpoint.RESPONSES: decode_response,
    Endpoint.MODERATIONS: decode_moderation,
    Endpoint.IMAGES: decode_image,
    Endpoint.SPEECH: decode_speech,
    Endpoint.TRANSCRIPTION: decode_transcription,
    Endpoint.FILES: decode_file,
    Endpoint.BATCHES: decode_batch,
    Endpoint.MESSAGES: decode_message,
    Endpoint.COUNT_TOKENS: decode_token_count,
    Endpoint.GENERATE_CONTENT: decode_generate_content,
    Endpoint.CONVERSE: decode_converse,
    Endpoint.INVOKE_MODEL: decode_invoke_model,
    Endpoint.REALTIME: decode_realtime,
    Endpoint.OTHER: decode_other,
}


def decode(exchange: Exchange, *, max_decoded_bytes: int = 128 * 2**20) -> Decoded:
    """What the bytes of ``exchange`` mean; a body is read up to ``max_decoded_bytes`` without its content codings."""
    try:
        return DECODERS[exchange.endpoint](exchange, max_decoded_bytes)
    except Exception as exc:  # noqa: BLE001  a decoder that fails must not cost the record, nor stop the worker
        return Decoded(problem=f"the {exchange.endpoint} decoder failed: {type(exc).__name__}: {exc}")
