import pytest

from llm_proxy.model.account import (
    MAX_NAME_CHARACTERS,
    Scope,
    checked_name,
    new_key,
    new_secret,
    parse_scopes,
    secret_hash,
)
from records import NOON


def test_a_secret_is_256_bits_and_never_the_same():
    secrets = {new_secret() for _ in range(100)}

    assert len(secrets) == 100
    assert {len(secret.removeprefix("llmp_")) for secret in secrets} == {43}  # base64 of 32 bytes


def test_what_is_kept_of_a_key_shows_its_ends_only():
    secret = new_secret()

    key = new_key(secret, "acme", scopes=frozenset({Scope.READ}), now=NOON)

    assert key.shown == f"{secret[:9]}…{secret[-4:]}"
    assert secret not in repr(key)
    assert len(secret_hash(secret)) == 32


def test_a_key_is_valid_until_it_expires():
    key = new_key(new_secret(), "acme", scopes=frozenset({Scope.READ}), now=NOON)

    assert key.is_valid(NOON)


@pytest.mark.parametrize(
    ("text", "scopes"),
    [("read", {Scope.READ}), (" write, read ,read", {Scope.READ, Scope.WRITE}), ("admin,", {"admin"})],
)
def test_scopes_are_read_from_a_list(text, scopes):
    assert parse_scopes(text) == scopes


@pytest.mark.parametrize("text", ["", ",", "reading", "read,all"])
def test_what_is_no_scope_is_named(text):
    with pytest.raises(ValueError, match="no scope; there are proxy, write, read, admin"):
        parse_scopes(text)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[31m", "x" * (MAX_NAME_CHARACTERS + 1)])
def test_a_name_is_visible_text_of_one_line(name):
    with pytest.raises(ValueError, match="must"):
        checked_name(name)


def test_a_name_loses_the_spaces_around_it():
    assert checked_name(" Über & Söhne ") == "Über & Söhne"
