"""The cache: an entry is made once, whole, again where it is damaged, and in memory alone where nothing can be written."""

from pathlib import Path

import pytest

from validation.storage.cache import cache_folder, hash_sources, load_or_make


def count_calls(result="17"):
    calls = []

    def make():
        calls.append(result)
        return result

    def load(path):
        return str(int(path.read_text()))      # ValueError for what is not a number

    return calls, make, load, lambda text, path: path.write_text(text)


def test_the_folder_is_the_environments_else_the_users(monkeypatch):
    monkeypatch.setenv("LAZYRICH_CACHE", "/a/b")
    assert cache_folder() == Path("/a/b")
    monkeypatch.delenv("LAZYRICH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_folder() == Path("/c/lazyrich")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/lazyrich")


def test_an_entry_is_made_once_and_again_where_it_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("LAZYRICH_CACHE", str(tmp_path / "cache"))
    calls, *how = count_calls()
    assert [load_or_make("a/b.txt", *how) for _ in range(3)] == ["17"] * 3
    assert len(calls) == 1
    assert [p.name for p in (tmp_path / "cache" / "a").iterdir()] == ["b.txt"]
    (tmp_path / "cache" / "a" / "b.txt").write_text("damaged")
    assert load_or_make("a/b.txt", *how) == load_or_make("a/b.txt", *how) == "17"
    assert len(calls) == 2


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("LAZYRICH_CACHE", str(tmp_path / "file" / "below"))
    calls, *how = count_calls()
    assert load_or_make("a.txt", *how) == load_or_make("a.txt", *how) == "17"
    assert len(calls) == 2
    assert (tmp_path / "file").read_text() == "mine"


def test_what_making_raises_is_raised_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("LAZYRICH_CACHE", str(tmp_path))
    _, _, load, save = count_calls()

    def fail():
        raise OSError("the disk of the maker")

    with pytest.raises(OSError, match="of the maker"):
        load_or_make("a.txt", fail, load, save)

    def cut_short(text, path):
        path.write_text(text)
        raise OSError("the disk is full")

    assert load_or_make("a.txt", lambda: "17", load, cut_short) == "17"
    assert list(tmp_path.iterdir()) == []


def test_the_hash_of_sources_follows_names_contents_and_versions(tmp_path, monkeypatch):
    one, two = tmp_path / "a.py", tmp_path / "b.py"
    one.write_text("x = 1")
    two.write_text("y = 1")
    first = hash_sources([one, two], "numpy")
    assert hash_sources([two, one], "numpy") == first
    assert hash_sources([one], "numpy") != first
    monkeypatch.setattr("validation.storage.cache.version", lambda name: "0")
    assert hash_sources([one, two], "numpy") != first
    monkeypatch.undo()
    two.write_text("y = 2")
    assert hash_sources([one, two], "numpy") != first
    two.write_text("y = 1")
    assert hash_sources([one, two.rename(tmp_path / "c.py")], "numpy") != first
