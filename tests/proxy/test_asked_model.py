"""The model that a call asks for, by its path and by its body."""

import pytest

from llm_proxy.proxy.asked_model import asked_model

FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n\x00model\r\n--b\r\n'
FORM += b'Content-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        (b"/v1/chat/completions", b'{"model": "gpt-4o", "messages": [{"model": "no"}]}', "gpt-4o"),
        (b"/v1/chat/completions", b'{"a": {"model": "no"}, "mod\\u0065l": "o\\u0031"}', "o1"),
        (b"/v1/chat/completions", b'{"model": "a", "model": "b"}', "b"),
        (b"/v1/audio/transcriptions", FORM, "whisper-1"),
        (b"/v1beta/models/gemini-2.5-pro:streamGenerateContent", b"{}", "gemini-2.5-pro"),
        (b"/model/anthropic.claude%3A0/converse-stream", b"{}", "anthropic.claude:0"),
        (b"/openai/deployments/mine/chat/completions", b'{"model": "gpt-4o"}', "mine"),
        (b"/v1/chat/completions", b'{"model": 1}', None),
        (b"/v1/chat/completions", b'{"messages": []}', None),
        (b"/v1/chat/completions", b"\x1f\x8b", None),
        (b"/v1/chat/completions", b"", None),
        (b"/v1/audio/transcriptions", b"--b--", None),
    ],
)
def test_a_model_is_named_by_path_or_body(path, body, model):
    assert asked_model(path, body) == model
