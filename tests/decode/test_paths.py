import pytest

from llm_proxy.decode.paths import bedrock_call, google_call


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent?alt=json", ("gemini-2.5-flash", "generateContent")),
        ("/v1beta/tunedModels/my-model:streamGenerateContent", ("my-model", "streamGenerateContent")),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-5%4020250929:streamRawPredict",
            ("claude-sonnet-4-5@20250929", "streamRawPredict"),
        ),
        ("/v1beta/models/gemini-2.5-flash", (None, None)),
        ("/v1/messages?x=/models/a:b", ("a", "b")),
        ("/" + "models/" + "m" * 300 + ":generateContent", ("m" * 200, "generateContent")),
        ("", (None, None)),
    ],
)
def test_google_names_model_and_method_in_the_path(target, call):
    assert google_call(target) == call


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ("/model/amazon.nova-lite-v1:0/converse", ("amazon.nova-lite-v1:0", "converse")),
        ("/model/amazon.nova-lite-v1%3A0/converse-stream", ("amazon.nova-lite-v1:0", "converse-stream")),
        (
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x/invoke",
            ("arn:aws:bedrock:us-east-1:1:inference-profile/us.x", "invoke"),
        ),
        ("/v1/chat/completions", (None, None)),
    ],
)
def test_bedrock_names_model_and_operation_in_the_path(target, call):
    assert bedrock_call(target) == call
