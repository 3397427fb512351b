"""Keys are made, kept, allowed and revoked; secret files are their owner's alone, and what they hold is never told."""

import logging
import os
import stat
from pathlib import Path

import pytest

from kinestream.model.errors import AccessError, ConfigError
from kinestream.streamer.keys.allowed import Client, read_allowed
from kinestream.streamer.keys.folder import KeyFolder, new_pair_elsewhere
from kinestream.streamer.keys.keyfile import VARIABLE, ClientKeys, found_keys, read_client, write_client
from kinestream.streamer.keys.pair import new_pair, public_of

posix = pytest.mark.skipif(os.name != "posix", reason="elsewhere permissions are not these")


@pytest.fixture
def kept(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_client_is_made_allowed_changed_and_revoked(kept):
    secret = kept.new_client("phone")
    keys = read_client(secret)
    assert keys.client == "phone"
    assert keys.streamer == kept.streamer().public
    assert public_of(keys.pair.secret) == keys.pair.public
    assert kept.allowed().clients["phone"].rights == ()
    kept.allow("phone", {"send": ("anna*",), "read": True, "quota": {"streams": 3}})
    assert kept.allowed().of(keys.pair.public).rights == ("send", "read")
    kept.allow("phone", {"read": True})
    assert kept.allowed().of(keys.pair.public) == Client(key=keys.pair.public, read=True)
    kept.revoke("phone")
    assert kept.allowed().of(keys.pair.public) is None
    assert not secret.exists()


def test_the_streamers_own_pair_is_made_once(kept):
    assert kept.streamer() == kept.streamer() == KeyFolder(kept.path).streamer()


@posix
def test_secret_files_and_their_folder_are_their_owners_alone(kept):
    before = os.umask(0)
    try:
        secret = kept.new_client("phone")
    finally:
        os.umask(before)
    assert [mode(path) for path in (secret, kept.path / "streamer.secret", kept.allowed_path)] == [0o600] * 3
    assert mode(kept.path) == 0o700


@posix
@pytest.mark.parametrize("allowed", [0o640, 0o604, 0o644, 0o620])
def test_a_secret_file_that_others_reach_is_refused(kept, allowed):
    secret = kept.new_client("phone")
    secret.chmod(allowed)
    with pytest.raises(AccessError, match=f"others can read it .mode {allowed:o}.*chmod 600"):
        read_client(secret)
    own = kept.path / "streamer.secret"
    own.chmod(allowed)
    with pytest.raises(AccessError, match="chmod 600"):
        kept.streamer()


@posix
def test_a_list_that_others_may_change_is_refused(kept):
    kept.new_client("phone")
    kept.allowed_path.chmod(0o664)
    with pytest.raises(AccessError, match="others can write to it"):
        kept.allowed()


def test_no_secret_is_told(kept, caplog):
    caplog.set_level(logging.DEBUG)
    keys = read_client(kept.new_client("phone"))
    told = [repr(keys), str(keys), repr(keys.pair), f"{keys}"]
    path = kept.path / "damaged.secret"
    text = (kept.path / "phone.secret").read_text()
    other = new_pair().public
    for damaged in (
        text.replace("secret:", "secrets:"),
        text.replace(keys.pair.secret, keys.pair.secret[:-1]),
        text.replace("client:", "client: ["),
        text.replace(keys.pair.public, other),
        text + "more: 1\n",
        text * 100,
    ):
        path.write_text(damaged)
        path.chmod(0o600)
        with pytest.raises(AccessError) as error:
            read_client(path)
        told.append(str(error.value))
        assert "\n" not in told[-1]
        assert str(path) in told[-1]
    told += [record.getMessage() for record in caplog.records]
    assert not [line for line in told if keys.pair.secret[:12] in line]


@pytest.mark.parametrize("name", ["streamer", "", "a/b", "../a", ".hidden", "-x", "a b", "ä", "x" * 65])
def test_what_no_client_can_be_called(kept, name):
    with pytest.raises(AccessError, match="no client can be called"):
        kept.new_client(name)


def test_nothing_is_overwritten(kept, tmp_path):
    secret = kept.new_client("phone")
    before = secret.read_text()
    with pytest.raises(AccessError, match="there is a client phone already"):
        kept.new_client("phone")
    with pytest.raises(AccessError, match="it is there already"):
        kept.new_client("other", secret)
    assert secret.read_text() == before
    assert list(kept.allowed().clients) == ["phone"]


def test_a_pair_that_is_made_elsewhere_never_leaves_there(kept, tmp_path):
    kept.streamer()
    public = new_pair_elsewhere("watch", tmp_path / "watch.secret", kept.public_path)
    with pytest.raises(AccessError, match="there is no client watch"):
        kept.allow("watch", {"read": True})
    kept.allow("watch", {"read": True}, public)
    keys = read_client(tmp_path / "watch.secret")
    assert kept.allowed().may(keys.pair.public, ["read"])
    assert keys.streamer == kept.streamer().public
    assert keys.pair.secret not in public.read_text()
    with pytest.raises(AccessError, match="holds the key of watch, not of phone"):
        kept.allow("phone", {}, public)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("clients: {a: {key: short}}", "clients.a.key"),
        ("clients: {a: {key: %s, send: ['an na']}}", "a stream's name, with \\*"),
        ("clients: {a: {key: %s, reed: true}}", "did you mean"),
        ("clients: {a: {key: %s}, b: {key: %s}}", "the same key"),
        ("clients: {a: {key: %s, quota: {streams: 0}}}", "clients.a.quota.streams"),
        ("clients: {'a/b': {key: %s}}", "a name of 1 to 64"),
        ("clients: [", "not YAML"),
    ],
)
def test_what_is_wrong_with_a_list_is_said(kept, text, problem):
    kept.streamer()
    kept.allowed_path.write_text(text.replace("%s", f"'{new_pair().public}'"))
    kept.allowed_path.chmod(0o600)
    with pytest.raises(ConfigError, match=problem):
        read_allowed(kept.allowed_path)


@pytest.mark.parametrize(
    ("patterns", "may", "may_not"),
    [
        (["anna"], ["anna"], ["anna2", "Anna", "xanna"]),
        (["anna*"], ["anna", "anna-2", "anna.b"], ["ann", "ben"]),
        (["ward-?"], ["ward-1"], ["ward-", "ward-12"]),
        (["a*", "*z"], ["ab", "bz"], ["bc"]),
        (["a.b"], ["a.b"], ["axb"]),
        (["*"], ["whoever"], []),
        ([], [], ["anna", ""]),
    ],
)
def test_which_streams_a_client_may_send(patterns, may, may_not):
    client = Client(key=new_pair().public, send=tuple(patterns))
    assert [client.may_send(each) for each in [*may, *may_not]] == [True] * len(may) + [False] * len(may_not)


def test_where_a_clients_keys_are_found(tmp_path, monkeypatch):
    keys = ClientKeys("phone", new_pair(), new_pair().public)
    path = tmp_path / "phone.secret"
    write_client(path, keys)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert found_keys(None) is None
    assert found_keys(keys) is keys
    assert found_keys(path).pair == keys.pair
    monkeypatch.setenv(VARIABLE, str(path))
    assert found_keys(None).pair == keys.pair
    assert found_keys("") is None  # said to have none
    with pytest.raises(AccessError, match=r"cannot be read .*keys new"):
        found_keys(tmp_path / "none.secret")
