"""Images, generated, edited or varied: https://platform.openai.com/docs/api-reference/images and .../images-streaming.

The images stay in the response as they came, as links or in base64; of a stream, the whole ones, and the last partial
one of an image that never became whole.
"""

from collections.abc import Iterable

from llm_proxy.decode.body import Answer, Call, object_members, text_member
from llm_proxy.decode.multipart import read_upload
from llm_proxy.decode.sse import Event
from llm_proxy.decode.summary import preview_of, summarise
from llm_proxy.decode.typed_events import TypedEvents
from llm_proxy.model.completion import Decoded, JsonObject, JsonValue
from llm_proxy.model.exchange import Exchange

#: What an event of a stream says of its image alone; the other members are those of the whole answer.
_OF_THE_IMAGE = ("b64_json", "url", "revised_prompt")
_OF_THE_EVENT = frozenset({"type", "partial_image_index", "created_at", *_OF_THE_IMAGE})


def decode_image(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read one or more images."""
    call = read_upload(exchange, max_decoded_bytes)
    answer = Answer(response=call.response) if call.events is None else _assemble(call.events)
    prompt = text_member(call.request, "prompt") or ""
    return summarise(call, answer, kind="image", preview=preview_of(prompt, _reply(call, answer.response)))


def _assemble(events: Iterable[Event]) -> Answer:
    members: JsonObject = {}
    images: list[JsonValue] = []
    partial: JsonObject = {}
    ended, first_content_end = False, None
    typed = TypedEvents(events)
    for name, value, event in typed:
        first_content_end = first_content_end or event.end
        image: JsonObject = {key: value[key] for key in _OF_THE_IMAGE if key in value}
        ended = name.endswith(".completed")
        partial = {} if ended else image
        images += [image] if ended else []
        members |= {key: member for key, member in value.items() if key not in _OF_THE_EVENT}
        members |= {"created": value["created_at"]} if "created_at" in value else {}
    members |= typed.error
    images += [partial] if partial else []
    response = members | ({"data": images} if images else {})
    return Answer(
        response=response or None, ended=ended, first_content_end=first_content_end, unreadable_events=typed.unreadable
    )


def _reply(call: Call, response: JsonValue) -> str:
    images = object_members(response, "data")
    size = text_member(response, "size") or text_member(call.request, "size")
    shown = f"[image {size}]" if size and size != "auto" else "[image]"
    rest = len(images) - 1
    return f"{shown} (+{rest})" if rest > 0 else shown if images else ""
