"""The name of a program, from its ``User-Agent``. Pure; never raises."""

import re

#: The first product (RFC 9110 section 10.1.5) and, of the OpenAI and Anthropic SDKs, the language behind the slash.
_PRODUCT = re.compile(r"\s*([^\s/()\x00-\x1f]{1,64})")
#: Libraries, SDKs and browsers: what a program is written with says nothing about which program it is. Lower case.
_LIBRARY_NAMES = """
    aiohttp apache-httpclient axios boto3 botocore bun cpp-httplib curl deno dart dalvik faraday go-http-client got
    guzzlehttp httpie httpx java java-http-client ktor-client libcurl-agent mozilla node node-fetch node.js nodejs
    okhttp postmanruntime python python-httpx python-requests python-urllib python-urllib3 reqwest rest-client ruby
    superagent undici urllib3 wget
    aws-sdk aws-sdk-go-v2 aws-sdk-java aws-sdk-js aws-sdk-rust
    openai asyncopenai azureopenai asyncazureopenai async-openai openai-node openai-go openai-python
    anthropic asyncanthropic anthropicbedrock asyncanthropicbedrock anthropicvertex asyncanthropicvertex
    google-genai-sdk google-api-python-client genai-js groq asyncgroq together mistral mistral-client-python
    mistralai cohere litellm ai ai-sdk
"""
_LIBRARIES = frozenset(_LIBRARY_NAMES.split())


def app_of(user_agent: str) -> str | None:
    """The program that a ``User-Agent`` names; None if it names a library only."""
    match = _PRODUCT.match(user_agent)
    return None if match is None or match[1].lower() in _LIBRARIES else match[1]
