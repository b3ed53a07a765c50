"""What a provider says of somebody, and what does not count, from a real one on a real port."""

from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import OctKey, RSAKey

from llm_proxy.api import oidc
from llm_proxy.api.login_begun import begin
from llm_proxy.api.oidc import Provider, Registration
from llm_proxy.errors import Refused
from openid import CLIENT, SECRET, openid_provider

BACK = "http://proxy.test/login/oidc/back"


@pytest.fixture
async def there():
    async with openid_provider() as provider:
        yield provider


def registered(there, **different):
    options = {"issuer": there.url, "client_id": CLIENT, "client_secret": SECRET, "scopes": ("openid", "email")}
    return Provider(Registration(**options | different))


async def signed_in(there, provider, *, issuer=None, wanted=()):
    """What the provider says, after somebody went there and came back."""
    begun = begin("/", BACK, life_s=600)
    address = await provider.address(begun)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    return (await provider.identity(begun, there.code_for(asked), issuer=issuer, wanted=wanted)).claims


async def test_who_signs_in_is_told_by_a_token_for_this_very_login(there):
    claims = await signed_in(there, registered(there), issuer=there.url, wanted=("email",))

    assert (claims["sub"], claims["email"]) == ("u-1", "ann@acme.test")


async def test_the_browser_is_sent_with_state_nonce_and_the_hash_of_a_secret(there):
    begun = begin("/", BACK, life_s=600)

    asked = parse_qs(urlsplit(await registered(there).address(begun)).query)

    assert asked["response_type"] == ["code"]
    assert (asked["state"], asked["nonce"]) == ([begun.state], [begun.nonce])
    assert asked["code_challenge_method"] == ["S256"]
    assert begun.verifier not in str(asked)


@pytest.mark.parametrize(
    "forged",
    [
        {"iss": "https://evil.test"},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": [CLIENT, "another"]},
        {"azp": "another"},
        {"exp": 1},
        {"exp": None},
        {"iat": None},
        {"nonce": "of another login"},
        {"nonce": None},
        {"sub": None},
    ],
    ids=str,
)
async def test_a_token_that_says_something_else_does_not_count(there, forged):
    there.forged = forged

    with pytest.raises(Refused, match="token") as refusal:
        await signed_in(there, registered(there))

    assert refusal.value.status == 502


async def test_a_token_for_several_clients_counts_if_it_was_given_to_us(there):
    there.forged = {"aud": [CLIENT, "another"], "azp": CLIENT}

    assert (await signed_in(there, registered(there)))["sub"] == "u-1"


async def test_a_token_that_another_key_signed_does_not_count(there):
    there.signer = RSAKey.generate_key(2048, {"kid": there.key.kid})

    with pytest.raises(Refused, match="token is not valid"):
        await signed_in(there, registered(there))


async def test_a_token_that_is_signed_with_what_everybody_knows_does_not_count(there):
    there.algorithm = "HS256"
    there.signer = OctKey.import_key({"kty": "oct", "kid": there.key.kid, "k": there.key.as_dict(private=False)["n"]})

    with pytest.raises(Refused, match="token is not valid"):
        await signed_in(there, registered(there))


async def test_a_key_that_is_new_is_found_and_one_that_is_gone_no_longer_counts(there, monkeypatch):
    monkeypatch.setattr(oidc, "_RENEWED_EVERY_S", 0.0)
    provider = registered(there)
    await signed_in(there, provider)
    old = there.key
    there.rotate()

    await signed_in(there, provider)
    await signed_in(there, provider)
    assert there.keys_asked == 2

    there.signer = old
    with pytest.raises(Refused, match="token is not valid"):
        await signed_in(there, provider)


async def test_a_code_is_good_once_and_for_who_asked(there):
    provider, begun = registered(there), begin("/", BACK, life_s=600)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(await provider.address(begun)).query).items()}
    code, other = there.code_for(asked), there.code_for(asked)
    await provider.identity(begun, code, issuer=None, wanted=())

    with pytest.raises(Refused, match="invalid_grant"):
        await provider.identity(begun, code, issuer=None, wanted=())
    with pytest.raises(Refused, match="invalid_grant"):
        await provider.identity(begin("/", BACK, life_s=600), other, issuer=None, wanted=())


async def test_what_the_token_has_not_is_asked_for_of_the_same_person(there):
    there.userinfo = {"groups": ["llm-admins"]}
    assert (await signed_in(there, registered(there), wanted=("groups",)))["groups"] == ["llm-admins"]

    there.userinfo = {"sub": "u-2", "groups": ["llm-admins"]}
    with pytest.raises(Refused, match="somebody else"):
        await signed_in(there, registered(there), wanted=("groups",))


@pytest.mark.parametrize("secret", ["wrong", None])
async def test_a_client_that_the_provider_does_not_know_is_told_so(there, secret):
    with pytest.raises(Refused, match="401: invalid_client"):
        await signed_in(there, registered(there, client_secret=secret))


async def test_another_provider_does_not_answer_for_this_one(there):
    with pytest.raises(Refused, match="another provider"):
        await signed_in(there, registered(there), issuer="https://evil.test")


async def test_a_document_of_another_issuer_is_not_taken(there):
    with pytest.raises(Refused, match="another issuer"):
        await registered(there, issuer=there.url.replace("127.0.0.1", "localhost")).address(begin("/", BACK, life_s=1))


async def test_a_provider_that_is_away_is_said_to_be(there):
    with pytest.raises(Refused, match="cannot be reached"):
        await registered(there, issuer="http://127.0.0.1:9").address(begin("/", BACK, life_s=1))
