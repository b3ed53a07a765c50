"""The samples have the shapes of https://platform.openai.com/docs/api-reference/images and .../images-streaming; the
oracle for the events is the model of the openai SDK."""

import json

import pytest
from openai.types import ImageGenCompletedEvent, ImageGenPartialImageEvent, ImagesResponse

from decode.exchanges import assert_cuts_change_nothing, chat_stream, exchange_of, sample
from decode.forms import upload
from llm_proxy.decode.dispatch import decode
from llm_proxy.decode.sse import parse_events
from llm_proxy.model.exchange import Endpoint

REQUEST = {"model": "gpt-image-1", "prompt": "A cute baby sea otter", "n": 2, "size": "auto"}


def decoded(body: bytes, request=REQUEST, **members):
    return decode(exchange_of(Endpoint.IMAGES, body, **({"request": request} | members)))


def test_images_are_kept_and_shown_by_their_size_and_number():
    found = decoded(sample("images.json"))

    assert found.response == json.loads(sample("images.json"))
    assert found.preview == "A cute baby sea otter → [image 1024x1024] (+1)"
    assert (found.kind, found.model, found.stream) == ("image", "gpt-image-1", False)
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (50, 50, 100)
    assert found.usage.raw["input_tokens_details"] == {"text_tokens": 10, "image_tokens": 40}


def test_the_whole_image_of_a_stream_takes_the_place_of_the_partial_ones():
    stream = sample("images_partial.sse")
    last = ImageGenCompletedEvent.model_validate_json(parse_events(stream)[-1].data)

    found = decoded(stream, REQUEST | {"stream": True})

    theirs = ImagesResponse.model_validate(found.response)
    assert [image.b64_json for image in theirs.data] == [last.b64_json]
    assert (theirs.created, theirs.size, theirs.quality) == (last.created_at, last.size, last.quality)
    assert theirs.usage.total_tokens == last.usage.total_tokens == found.usage.total_tokens
    assert (found.stream_ended, found.preview) == (True, "A cute baby sea otter → [image 1024x1024]")


@pytest.mark.parametrize("number", [1, 2])
def test_the_last_partial_image_is_kept_if_it_never_became_whole(number):
    stream = sample("images_partial.sse")
    event = parse_events(stream)[number - 1]

    found = decoded(stream[: event.end])

    partial = ImageGenPartialImageEvent.model_validate_json(event.data)
    assert found.response["data"] == [{"b64_json": partial.b64_json}]
    assert (found.stream_ended, found.usage) == (False, None)


@pytest.mark.parametrize("name", ["images.json", "images_partial.sse"])
def test_where_an_answer_is_split_changes_nothing(name):
    assert_cuts_change_nothing(Endpoint.IMAGES, sample(name), request=REQUEST)


def test_an_edit_is_uploaded_as_a_form():
    fields = upload(("model", "gpt-image-1"), ("prompt", "With a hat"), ("image[]", b"\x89PNG", "o.png", "image/png"))

    found = decoded(sample("images.json"), target="/v1/images/edits", **fields)

    assert found.request["image[]"] == {"filename": "o.png", "content_type": "image/png", "bytes": 4}
    assert (found.model, found.preview) == ("gpt-image-1", "With a hat → [image 1024x1024] (+1)")
    assert found.problem is None


@pytest.mark.parametrize(
    ("request_size", "response_size", "shown"),
    [("512x512", None, "[image 512x512]"), ("auto", None, "[image]"), ("auto", "256x256", "[image 256x256]")],
)
def test_the_size_is_that_of_the_answer_or_else_that_which_was_asked_for(request_size, response_size, shown):
    body = json.dumps({"data": [{"url": "https://x"}], "size": response_size}).encode()

    assert decoded(body, {"prompt": "p", "size": request_size}).preview == f"p → {shown}"


def test_an_error_in_a_stream_is_found():
    error = {"type": "error", "error": {"type": "image_generation_user_error", "message": "Refused", "code": "x"}}

    found = decoded(chat_stream(error, end=b""))

    assert (found.error.kind, found.error.message) == ("image_generation_user_error", "Refused")
    assert (found.stream_ended, found.preview) == (False, "A cute baby sea otter")
