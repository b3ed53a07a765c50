"""What becomes of headers, by the rules of the proxy."""

import pytest

from llm_proxy.wiring.passage import passage


def test_each_header_is_told_of_as_the_proxy_treats_it():
    told = passage(
        [
            ("Host", "proxy.test"),
            ("Authorization", "Bearer sk-0123456789abcdef"),
            ("X-LLM-Tags", "nightly"),
            ("User-Agent", "curl/8"),
            ("Connection", "keep-alive, X-Mine"),
            ("X-Mine", "1"),
            ("X-Unknown", "secret"),
            ("Authorization", "Bearer llmp_0123456789abcdef"),
        ]
    )

    assert [(one.name, one.goes_on, one.recorded) for one in told] == [
        ("Host", "as the upstream's", "name and value"),
        ("Authorization", "yes, unless the proxy has a key for the upstream", "name, and a fingerprint of the key"),
        ("X-LLM-Tags", "no", "name and value"),
        ("User-Agent", "yes", "name and value"),
        ("Connection", "no", "name and value"),
        ("X-Mine", "no", "name only"),
        ("X-Unknown", "yes", "name only"),
        ("Authorization", "no", "name, and a fingerprint of the key"),
    ]


def test_a_length_that_is_none_is_said():
    with pytest.raises(ValueError, match="no number"):
        passage([("Content-Length", "ten")])
