"""The token of a link."""

import pytest

from llm_proxy.model.keepsake import new_share_id, share_token, shared_id


def test_the_token_of_a_link_leads_to_its_id():
    share_id = new_share_id()

    assert shared_id(share_token(share_id, b"secret"), b"secret") == share_id
    assert new_share_id() != share_id


@pytest.mark.parametrize(
    "token", ["", ".", "x", "x.y", "\u00fc.\ud800", share_token("x", b"other"), share_token("y", b"s")[1:]]
)
def test_what_nobody_here_has_signed_leads_nowhere(token):
    assert shared_id(token, b"s") is None
