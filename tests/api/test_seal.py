"""What others keep for us."""

import pytest

from llm_proxy.api.seal import Seal


def test_what_was_signed_is_read_back_for_the_same_purpose_alone():
    sealed = Seal(b"secret", b"login").close(b"who")

    assert Seal(b"secret", b"login").open(sealed) == b"who"
    assert Seal(b"secret", b"oidc").open(sealed) is None
    assert Seal(b"other", b"login").open(sealed) is None


@pytest.mark.parametrize("wrong", ["", ".", "x.y", "é.é", "." * 50, "d2hv", "d2hv."])
def test_what_nobody_signed_is_nothing(wrong):
    assert Seal(b"secret", b"login").open(wrong) is None
