"""What the tests of the SDKs share."""

import pytest

from sdk.standing import standing


@pytest.fixture(scope="session")
def stand(tmp_path_factory):
    """One running product for all of them."""
    with standing(tmp_path_factory.mktemp("sdk")) as stand:
        yield stand
