"""The samples have the shapes of https://platform.openai.com/docs/api-reference/audio; the oracle for what is heard is
the model of the openai SDK."""

import json

import pytest
from openai.types.audio import TranscriptionTextDoneEvent, TranscriptionVerbose

from decode.exchanges import assert_cuts_change_nothing, exchange_of, sample
from decode.forms import upload
from llm_proxy.decode.dispatch import decode
from llm_proxy.decode.sse import parse_events
from llm_proxy.model.completion import ProviderError, Usage
from llm_proxy.model.exchange import Endpoint

SPEECH = {"model": "gpt-4o-mini-tts", "input": "The quick brown fox", "voice": "alloy"}
MP3 = b"\xff\xf3\xe4\xc4" + bytes(range(200))
RECORDING = upload(("model", "gpt-4o-transcribe"), ("file", MP3, "speech.mp3", "audio/mpeg"))


def spoken(body, **members):
    return decode(exchange_of(Endpoint.SPEECH, body, **({"request": SPEECH, "content_type": "audio/mpeg"} | members)))


def heard(body, **members):
    return decode(exchange_of(Endpoint.TRANSCRIPTION, body, **(RECORDING | members)))


def test_of_a_speech_the_type_and_the_size_are_read():
    found = spoken([MP3[:4], MP3[4:]], response_bytes=204)

    assert (found.kind, found.model, found.request) == ("speech", "gpt-4o-mini-tts", SPEECH)
    assert found.response == {"content_type": "audio/mpeg", "bytes": 204}
    assert found.preview == "The quick brown fox → [audio]"
    assert (found.first_token_s, found.usage, found.problem) == (0.1, None, None)


def test_the_size_of_a_speech_is_that_of_the_wire_even_if_less_of_it_is_kept():
    assert spoken(MP3[:10], response_bytes=204, truncated=True).response["bytes"] == 204


def test_a_stream_of_speech_is_its_size_and_its_tokens():
    found = spoken(sample("speech_audio.sse"), content_type="text/event-stream")

    assert found.response["bytes"] == 61
    assert (found.usage.input_tokens, found.usage.output_tokens) == (14, 101)
    assert (found.stream_ended, found.preview) == (True, "The quick brown fox → [audio]")


def test_an_error_in_the_place_of_a_speech_is_read():
    body = b'{"error": {"message": "No such voice", "type": "invalid_request_error"}}'

    found = spoken(body, http_status=400, content_type="application/json")

    assert found.error == ProviderError(kind="invalid_request_error", message="No such voice")
    assert found.preview == "The quick brown fox"


def test_a_speech_in_flight_shows_what_was_asked():
    found = spoken(None, http_status=None, ending=None)

    assert (found.response, found.preview) == (None, "The quick brown fox")


def test_a_transcription_is_read_with_the_name_of_its_recording_and_its_tokens():
    found = heard(sample("transcription.json"))

    assert found.request["file"] == {"filename": "speech.mp3", "content_type": "audio/mpeg", "bytes": 204}
    assert (found.kind, found.model) == ("transcription", "gpt-4o-transcribe")
    assert found.preview == "[speech.mp3] → Imagine the wildest idea that you've ever had."
    assert (found.usage.input_tokens, found.usage.audio_input_tokens, found.usage.output_tokens) == (14, 4, 101)
    assert found.problem is None


def test_the_duration_of_a_recording_is_in_the_usage_without_any_tokens():
    found = heard(sample("transcription_verbose.json"))

    assert found.usage == Usage(raw={"type": "duration", "seconds": 9})
    assert found.response["duration"] == TranscriptionVerbose.model_validate(found.response).duration


@pytest.mark.parametrize("content_type", ["text/plain; charset=utf-8", "application/x-subrip", "text/vtt"])
def test_a_transcription_as_text_is_that_text(content_type):
    text = "1\n00:00:00,000 --> 00:00:03,300\nGrüß dich!\n"

    found = heard(text.encode(), content_type=content_type)

    assert (found.response, found.problem) == (text, None)
    assert found.preview.endswith("Grüß dich!")


def test_a_stream_cut_off_behind_any_event_has_the_text_so_far():
    stream = sample("transcription_text.sse")
    events = parse_events(stream)
    done = TranscriptionTextDoneEvent.model_validate_json(events[-1].data)

    texts = [heard(stream[: event.end]).response["text"] for event in events]

    assert texts == ["I", "I see skies 🌤", done.text]
    assert heard(stream).usage.total_tokens == done.usage.total_tokens == 59
    assert heard(stream).stream_ended is True


def test_segments_of_several_speakers_are_kept():
    # https://platform.openai.com/docs/api-reference/audio/transcript-text-segment-event
    segment = {"type": "transcript.text.segment", "id": "s1", "speaker": "A", "start": 0.0, "end": 1.5, "text": "Hi."}

    found = heard(b"data: " + json.dumps(segment).encode() + b"\n\n")

    assert found.response == {"segments": [{key: segment[key] for key in segment if key != "type"}]}
    assert found.preview == "[speech.mp3] → Hi."


@pytest.mark.parametrize("name", ["transcription.json", "transcription_verbose.json", "transcription_text.sse"])
def test_where_a_transcription_is_split_changes_nothing(name):
    assert_cuts_change_nothing(Endpoint.TRANSCRIPTION, sample(name), **RECORDING)


def test_where_a_speech_is_split_changes_nothing():
    assert_cuts_change_nothing(Endpoint.SPEECH, sample("speech_audio.sse"), request=SPEECH)
    assert_cuts_change_nothing(Endpoint.SPEECH, MP3, request=SPEECH, content_type="audio/mpeg")


def test_the_request_of_a_recording_that_is_not_kept_is_unknown():
    found = heard(sample("transcription.json"), request=None)

    assert (found.request, found.model, found.problem) == (None, None, None)
    assert found.preview.startswith("[audio] → ")
