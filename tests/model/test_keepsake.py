"""What people keep of the pages."""

from llm_proxy.model.keepsake import new_share_id


def test_no_two_links_have_the_same_id():
    assert len({new_share_id() for _ in range(100)}) == 100
