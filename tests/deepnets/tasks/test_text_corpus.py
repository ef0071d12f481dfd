"""Text: windows and the tokens that follow, byte pairs against a simple reference, and files that are refused."""

import gzip
import json
import pickle
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepnets import tasks
from deepnets.tasks.text_corpus import decode_tokens, encode_bytes, learn_merges
from validation import Misuse

WORDS = ["the", "rain", "in", "spain", "falls", "mainly", "on", "plains", "und", "naïve", "中文"]


@pytest.fixture
def book(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "book.txt"
    path.write_text(" ".join(rng.choice(WORDS, 4000)) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("how", [{}, {"tokens": "bpe", "vocabulary": 300}], ids=["bytes", "bpe"])
def test_windows(book, how):
    task = tasks.text(book, context=20, **how)
    raw = book.read_bytes()
    cut = len(raw) - len(raw) // 10
    x, y = task.batch(0, 4, 32)
    assert x.shape == y.shape == (32, 20) == (32, *task.in_shape)
    assert x.dtype == y.dtype == torch.int64
    assert torch.equal(x[:, 1:], y[:, :-1])
    assert int(max(x.max(), y.max())) < task.classes == task.out_features == how.get("vocabulary", 256)
    for a, b in zip(x, y, strict=True):
        spelt = task.decode(torch.cat([a, b[-1:]])).strip("\ufffd")      # a window may cut a character
        assert spelt.encode() in raw[:cut]
        assert len(spelt) >= 15
    x, y = task.held_out()
    assert torch.equal(x[:, 1:], y[:, :-1])
    assert raw[cut:].decode(errors="replace").startswith(task.decode(x.flatten()).strip("\ufffd"))
    assert not torch.equal(task.batch(0, 4, 32)[0], task.batch(0, 5, 32)[0])
    assert torch.equal(task.batch(7, 4, 32)[0], task.batch(7, 4, 32)[0])


def test_every_position_is_used_and_targets_stay_in_the_training_part(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes(bytes(range(100)))
    task = tasks.text(path, context=5)
    x, y = task.batch(0, 0, 3000)
    assert sorted(set(x[:, 0].tolist())) == list(range(85))      # 90 bytes are shown
    assert int(y.max()) == 89
    x, y = task.held_out()
    assert x.tolist() == [list(range(90, 95))]
    assert y.tolist() == [list(range(91, 96))]


def test_held_out_is_capped_and_spread(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("".join(chr(97 + i % 26) for i in range(400_000)))
    x, _ = tasks.text(path, context=100).held_out()
    assert x.shape == (81, 100)


def test_equal_by_content_and_small_when_pickled(book, tmp_path):
    task = tasks.text(book, context=8, tokens="bpe", vocabulary=280)
    other = tmp_path / "again.txt.gz"
    other.write_bytes(gzip.compress(book.read_bytes()))
    assert tasks.text(other, context=8, tokens="bpe", vocabulary=280) == task
    assert tasks.text(other, context=9, tokens="bpe", vocabulary=280) != task
    assert "book" not in json.dumps(task.describe())
    sent = pickle.dumps(task)
    assert len(sent) < 1000
    assert pickle.loads(sent) == task


def plain_merges(data, count):
    """Byte pairs by lists, one merge after the other."""
    tokens, merges = list(data), []
    for new in range(256, 256 + count):
        if len(tokens) < 2:
            break
        counts = Counter()
        counts.update(pairwise(tokens))
        pair, times = min(counts.items(), key=lambda item: (-item[1], item[0]))
        if times < 2:
            break
        merges.append(pair)
        merged, i = [], 0
        while i < len(tokens):
            if tuple(tokens[i:i + 2]) == pair:
                merged.append(new)
                i += 2
            else:
                merged.append(tokens[i])
                i += 1
        tokens = merged
    return merges, tokens


@given(st.text(alphabet="aab é", max_size=80), st.integers(1, 12))
def test_byte_pairs_equal_the_reference_and_decode(text, count):
    data = text.encode()
    merges = learn_merges(data, 256 + count)
    tokens = encode_bytes(data, merges)
    assert (list(merges), tokens.tolist()) == plain_merges(data, count)
    assert decode_tokens(tokens, merges) == data


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_after_merges_of_another_text(data):
    merges = learn_merges(b"aaaa abab aaab abba" * 3, 270)
    assert decode_tokens(encode_bytes(data, merges), merges) == data


def test_byte_pairs_shorten(book):
    short, plain = tasks.text(book, "bpe", 20, 400), tasks.text(book, "bytes", 20)
    assert len(short.decode(short.batch(0, 0, 1)[0][0])) > 2 * len(plain.decode(plain.batch(0, 0, 1)[0][0]))


@pytest.mark.parametrize(("arguments", "message"), [
    ({"tokens": "words"}, "tokens must be one of 'bytes', 'bpe'"), ({"context": 0}, "context must be"),
    ({"vocabulary": 300}, "vocabulary of tokens='bytes' is 256"), ({"tokens": "bpe", "vocabulary": 256}, "at least 257"),
    ({"tokens": "bpe", "vocabulary": 5000}, "at most 4096"),
    ({"context": 3000}, "too short for context=3000: it has .* at least 3001 of each"),
])
def test_misuse(book, arguments, message):
    with pytest.raises(Misuse, match=message):
        tasks.text(book, **arguments)


def test_files_refused(tmp_path):
    with pytest.raises(Misuse, match=r"there is no file at '.*nothing.txt'"):
        tasks.text(str(tmp_path / "nothing.txt"))
    (tmp_path / "latin.txt").write_bytes("naïve ".encode("latin-1") * 100)
    with pytest.raises(Misuse, match=r"latin.txt is not UTF-8: byte 0xef at position 2"):
        tasks.text(tmp_path / "latin.txt")
    (tmp_path / "empty.txt").write_bytes(b"")
    with pytest.raises(Misuse, match="too short"):
        tasks.text(tmp_path / "empty.txt")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"some text " * 100)[:-5])
    with pytest.raises(Misuse, match="truncated or altered"):
        tasks.text(tmp_path / "cut.gz")
