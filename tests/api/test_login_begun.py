"""A login that has begun."""

import time

from llm_proxy.api.login_begun import begin


def test_no_two_have_anything_to_guess_in_common():
    one, two = (begin("/", "http://proxy.test/login/oidc/back", life_s=600) for _ in range(2))

    assert len({one.state, one.nonce, one.verifier, two.state, two.nonce, two.verifier}) == 6
    # RFC 7636 section 4.1: from 43 to 128 characters.
    assert 43 <= len(one.verifier) <= 128
    assert time.time() < one.until <= time.time() + 600
