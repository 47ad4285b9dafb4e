"""The master key file: private, never overwritten, grown without a moment of loss."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from appliance.core.errors import SecretError
from appliance.core.secrets import MasterKeys

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "master.key"


def test_a_fresh_key_file_is_private_and_can_be_loaded(file: Path) -> None:
    text = MasterKeys.create(file).encrypt(b"secret", bound_to="t:c:1")
    assert file.stat().st_mode & 0o777 == 0o600
    assert MasterKeys.load(file).decrypt(text, bound_to="t:c:1") == b"secret"
    assert [path.name for path in file.parent.iterdir()] == ["master.key"], "no draft is left"


def test_a_key_file_is_never_overwritten(file: Path) -> None:
    MasterKeys.create(file)
    before = file.read_bytes()
    with pytest.raises(SecretError, match="exists already and is never overwritten"):
        MasterKeys.create(file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["master.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_file_others_could_use_is_refused(file: Path, mode: int) -> None:
    MasterKeys.create(file)
    file.chmod(mode)
    with pytest.raises(SecretError, match=f"mode {mode:04o}.*chmod 600"):
        MasterKeys.load(file)


def test_a_key_file_may_be_read_only(file: Path) -> None:
    MasterKeys.create(file)
    file.chmod(0o400)
    assert MasterKeys.load(file).newest == 1


def test_an_added_version_keeps_the_old_ones(file: Path) -> None:
    first = MasterKeys.create(file)
    text = first.encrypt(b"secret", bound_to="t:c:1")
    assert first.add_version().versions == (1, 2)
    loaded = MasterKeys.load(file)
    assert loaded.versions == (1, 2)
    assert loaded.decrypt(text, bound_to="t:c:1") == b"secret"
    assert loaded.needs_rotation(text)
    assert file.stat().st_mode & 0o777 == 0o600


def test_two_who_add_at_once_lose_no_key(file: Path) -> None:
    keys = MasterKeys.create(file)
    added: list[MasterKeys] = []
    adders = [threading.Thread(target=lambda: added.append(keys.add_version())) for _ in range(8)]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    loaded = MasterKeys.load(file)
    assert loaded.versions == tuple(range(1, 10))
    for one in added:
        text = one.encrypt(b"secret", bound_to="t:c:1")
        assert loaded.decrypt(text, bound_to="t:c:1") == b"secret"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no master key"),
        ("# only words\n\n", "holds no master key"),
        ("v1 = short", ":1: not a master key"),
        ("v1: x", ":1: not a master key"),
        ("# c\nv0 = " + "A" * 43 + "=", ":2: not a master key"),
        ("v256 = " + "A" * 43 + "=", ":1: not a master key"),
        (("v1 = " + "A" * 43 + "=\n") * 2, ":2: not a master key"),
    ],
)
def test_a_damaged_key_file_is_named_with_its_line(file: Path, text: str, words: str) -> None:
    file.touch(0o600)
    file.write_text(text)
    with pytest.raises(SecretError) as caught:
        MasterKeys.load(file)
    assert words in str(caught.value)
    assert "AAAA" not in str(caught.value)


def test_a_missing_key_file_says_what_to_do(file: Path) -> None:
    with pytest.raises(
        SecretError, match="restore the file from its backup, or run `pillarbox init`"
    ):
        MasterKeys.load(file)


def test_a_place_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="the key file cannot be written"):
        MasterKeys.create(tmp_path / "missing" / "master.key")
