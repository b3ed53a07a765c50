"""Keys are told apart and never kept."""

import pytest

from llm_proxy.proxy.credentials import Fingerprints, blank_secrets, split_key

KEY = b"sk-proj-0123456789abcdef"


def test_the_same_key_has_the_same_fingerprint_whatever_header_it_comes_in():
    fingerprints = Fingerprints(b"secret")

    assert fingerprints.of(b"Bearer " + KEY) == fingerprints.of(KEY) == fingerprints.of(b"Bearer  " + KEY)


def test_different_keys_have_different_fingerprints():
    fingerprints = Fingerprints(b"secret")

    assert fingerprints.of(KEY) != fingerprints.of(KEY[:-1] + b"x")


def test_without_the_secret_a_key_cannot_be_found_by_trying():
    assert Fingerprints(b"secret").of(KEY) != Fingerprints(b"another").of(KEY)


def test_a_fingerprint_shows_the_last_four_characters_and_no_more_of_the_key():
    fingerprint = Fingerprints(b"secret").of(b"Bearer " + KEY)

    digest, last = fingerprint.split("…")
    assert last == "cdef"
    assert len(digest) == 12
    assert KEY.decode() not in fingerprint


def test_a_short_key_is_not_given_away_by_its_last_characters():
    assert Fingerprints(b"secret").of(b"Bearer hunter2").endswith("…")


def test_a_key_of_any_bytes_has_a_fingerprint():
    assert Fingerprints(b"secret").of(bytes(range(256))).isprintable()


def test_a_flood_of_keys_is_not_remembered_for_ever():
    fingerprints = Fingerprints(b"secret")

    for number in range(3000):
        fingerprints.of(b"key-%d" % number)

    assert len(fingerprints._known) <= 1024
    assert fingerprints.of(b"key-1") == Fingerprints(b"secret").of(b"key-1")


@pytest.mark.parametrize(
    ("query", "blanked"),
    [
        (b"", b""),
        (b"page=2&limit=10", b"page=2&limit=10"),
        (b"key=AIza", b"key=***"),
        (b"a=1&API_KEY=x&b=2", b"a=1&API_KEY=***&b=2"),
        (b"api-key=x;token=y", b"api-key=***;token=***"),
        (b"access_token=x&id_token=y&client_secret=z", b"access_token=***&id_token=***&client_secret=***"),
        (b"sig=a%2Fb&se=2030", b"sig=***&se=2030"),
        (
            b"X-Amz-Signature=a&X-Amz-Credential=b&X-Amz-Date=c",
            b"X-Amz-Signature=***&X-Amz-Credential=***&X-Amz-Date=c",
        ),
        (b"key=", b"key=***"),
        (b"monkey=1&tokens=5&keyword=k", b"monkey=1&tokens=5&keyword=k"),
        (b"key", b"key"),
        (b"x=key=1", b"x=key=1"),
    ],
)
def test_parameters_that_can_be_secrets_are_blanked_and_others_are_not(query, blanked):
    assert blank_secrets(query) == blanked


@pytest.fixture
async def proxy(start_proxy, upstream, transport_name):
    return await start_proxy(upstream.url, transport=transport_name)


async def test_secrets_in_the_query_are_sent_and_not_recorded(upstream, proxy):
    await proxy.client.get("/v1/models?key=AIza-secret&page=2")

    assert upstream.received[0].request_line == b"GET /v1/models?key=AIza-secret&page=2 HTTP/1.1"
    [exchange] = await proxy.ended()
    assert exchange.target == "/v1/models?key=***&page=2"


@pytest.mark.parametrize(
    ("query", "rest", "key"),
    [
        (b"", b"", None),
        (b"alt=sse&key=AIzaSecret", b"alt=sse", b"AIzaSecret"),
        (b"key=AIza&alt=sse", b"alt=sse", b"AIza"),
        (b"a=1&api-key=x&b=%20&&c", b"a=1&b=%20&&c", b"x"),
        (b"Access_Token=x", b"", b"x"),
        (b"key=a&key=b", b"", b"a"),
        (b"monkey=1&keys=2&key", b"monkey=1&keys=2&key", None),
    ],
)
def test_a_key_in_the_query_is_told_from_the_rest_which_stays_as_it_is(query, rest, key):
    assert split_key(query) == (rest, key)


def test_a_signed_request_is_known_by_who_signed_it():
    fingerprints = Fingerprints(b"secret")
    first = b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE0123456789/20150830/us-east-1/x, SignedHeaders=host, Signature=1"
    second = first.replace(b"20150830", b"20150831").replace(b"Signature=1", b"Signature=2")

    assert fingerprints.of(first) == fingerprints.of(second)
    assert fingerprints.of(first).endswith("…6789")
