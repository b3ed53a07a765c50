"""Recorded sounds as URLs that a browser plays."""

import base64
import io
import re
import wave

import pytest

from llm_proxy.model.completion import Bodies
from llm_proxy.model.exchange import Endpoint
from llm_proxy.ui.sound import answered_sound, sound_url
from records import record

SAMPLES = bytes(range(256)) * 4


@pytest.mark.parametrize("kind", ["mp3", "audio/mpeg", "audio/mpeg; rate=1"])
def test_what_a_browser_plays_is_a_data_url(kind):
    assert sound_url("SUQz", kind) == "data:audio/mpeg;base64,SUQz"


@pytest.mark.parametrize("kind", ["pcm16", "audio/L16;rate=24000"])
def test_samples_become_a_file_of_their_length(kind):
    url = sound_url(base64.b64encode(SAMPLES).decode(), kind)

    with wave.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (24_000, 1, 2)
        assert sound.readframes(10**6) == SAMPLES


@pytest.mark.parametrize(
    ("encoded", "kind"),
    [("SUQz", None), ("SUQz", "text/html"), ("SUQz", "image/svg+xml"), ("A", "mp3"), ("A", "pcm16")],
)
def test_what_is_no_sound_is_none(encoded, kind):
    assert sound_url(encoded, kind) is None


def test_nothing_but_base64_is_in_a_url():
    url = sound_url('SUQz" onerror="x', "mp3")

    assert url is None or re.fullmatch(r"data:audio/mpeg;base64,[A-Za-z0-9+/=]*", url)


@pytest.mark.parametrize(
    ("different", "has_sound"),
    [
        ({}, True),
        ({"truncated": True}, False),
        ({"endpoint": Endpoint.CHAT}, False),
        ({"bodies": None}, False),
        ({"bodies": Bodies(response_body=b"{}", response_headers=(("content-type", "application/json"),))}, False),
    ],
)
def test_an_answer_that_is_a_sound_as_a_whole_is_played_as_such(different, has_sound):
    bodies = Bodies(response_body=b"ID3", response_headers=(("content-type", "audio/mpeg"),))
    spoken = record(**({"endpoint": Endpoint.SPEECH, "bodies": bodies} | different))

    assert (answered_sound(spoken) is not None) is has_sound
