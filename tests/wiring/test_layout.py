import stat

import pytest

from llm_proxy.errors import ConfigError
from llm_proxy.wiring.layout import DataDir, store_socket


def modes(root):
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in [root, *root.rglob("*")]}


def test_everything_is_made_for_its_owner_only(tmp_path):
    data = DataDir(tmp_path / "deep" / "data")

    data.prepare()
    with data.claimed("serve"):
        made = modes(data.root)

    assert made == {
        "data": "0o700",
        "journal": "0o700",
        "counters": "0o700",
        "fingerprint.key": "0o600",
        "serve.lock": "0o600",
    }


def test_the_key_of_the_fingerprints_stays_for_the_life_of_the_directory(tmp_path):
    data = DataDir(tmp_path)
    data.prepare()
    first = data.fingerprint_secret()

    data.prepare()

    assert len(first) == 32
    assert data.fingerprint_secret() == first


def test_two_directories_have_different_keys(tmp_path):
    one, other = DataDir(tmp_path / "one"), DataDir(tmp_path / "other")

    one.prepare()
    other.prepare()

    assert one.fingerprint_secret() != other.fingerprint_secret()


def test_a_directory_that_cannot_be_made_is_named_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(ConfigError, match=r"^data_dir: .*file cannot be used: \w+"):
        DataDir(tmp_path / "file").prepare()


def test_a_claim_keeps_others_out_until_it_is_let_go(tmp_path):
    data = DataDir(tmp_path)
    data.prepare()

    with data.claimed("serve"):
        with (
            pytest.raises(ConfigError, match="in use by another llm-proxy; choose another --data-dir"),
            data.claimed("serve"),
        ):
            pass
        with data.claimed("store"):
            pass
    with data.claimed("serve"):
        pass


def test_a_lock_that_cannot_be_made_is_said_in_one_line(tmp_path):
    data = DataDir(tmp_path)
    (tmp_path / "serve.lock").mkdir()

    with pytest.raises(ConfigError, match=r"^data_dir: .* cannot be used: Is a directory"), data.claimed("serve"):
        pass


def test_counters_go_on_where_the_process_before_left_off(tmp_path):
    data = DataDir(tmp_path)
    data.prepare()
    data.ledger("proxy-0").add("accepted", 3)

    ledger = data.ledger("proxy-0")

    assert ledger.get("accepted") == 3


def test_counters_without_a_place_to_lie_count_in_memory(tmp_path):
    data = DataDir(tmp_path)

    ledger = data.ledger("proxy-0")
    ledger.add("accepted")

    assert ledger.get("accepted") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_path_of_the_socket_does_not_grow_with_the_one_of_the_data(tmp_path):
    assert store_socket("/run/llm-proxy") == "/run/llm-proxy/store.sock"
