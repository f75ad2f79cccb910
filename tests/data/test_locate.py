from pathlib import Path

import pytest

from fastslow.data import cache_folder, data_folder
from fastslow.data.fetching.locate import find_path, search_folders
from fastslow.errors import InputError


def test_the_users_choice_comes_before_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSLOW_DATA", str(tmp_path / "environment"))
    assert data_folder(tmp_path / "chosen") == tmp_path / "chosen"
    assert data_folder() == tmp_path / "environment"


@pytest.mark.parametrize("value", [None, ""])
def test_the_users_cache_folder_is_the_default(value, monkeypatch):
    for variable in ("FASTSLOW_DATA", "FASTSLOW_CACHE"):
        if value is None:
            monkeypatch.delenv(variable, raising=False)
        else:
            monkeypatch.setenv(variable, value)
    assert data_folder() == cache_folder()
    assert data_folder().name == "fastslow" or "fastslow" in data_folder().parts


def test_cache_folder_follows_its_own_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSLOW_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache"


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert data_folder(Path("~/x")) == tmp_path / "x"


def test_the_named_subfolder_comes_first(tmp_path):
    assert search_folders("mnist", tmp_path) == (tmp_path / "mnist", tmp_path)
    (tmp_path / "mnist").mkdir()
    (tmp_path / "a").touch()
    assert find_path("mnist", ["a"], tmp_path) == tmp_path / "a"
    (tmp_path / "mnist" / "a").touch()
    assert find_path("mnist", ["a"], tmp_path) == tmp_path / "mnist" / "a"


def test_a_slash_asks_for_a_folder(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(InputError):
        find_path("mnist", ["a/"], tmp_path)
    (tmp_path / "b").mkdir()
    assert find_path("mnist", ["b", "b/"], tmp_path) == tmp_path / "b"


def test_nothing_found_says_where_and_what_to_do(tmp_path):
    with pytest.raises(InputError, match="fastslow data fetch mnist") as caught:
        find_path("mnist", ["a", "b/"], tmp_path)
    for words in ("a or b/", str(tmp_path / "mnist"), "--data-dir", "FASTSLOW_DATA"):
        assert words in str(caught.value)
