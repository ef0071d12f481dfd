"""Next-token prediction on any UTF-8 text, as bytes or byte-pair tokens.

Byte pairs are learnt from bytes alone, regardless of words and lines, and ties go to the pair of the smallest numbers: the same text
has the same tokens on every machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from deepnets.tasks.data_files import read_file, sha256
from deepnets.tasks.task import generator
from validation.arguments import Misuse, choose, whole

TOKENS = ("bytes", "bpe")
BYTES = 256              # tokens of single bytes
HELD_OUT = 8192          # tokens, at most, of the held-out tenth
LEARNT_FROM = 2**20      # bytes, at most, from the beginning of the text, that byte pairs are learnt from
_BATCH = 61

Merges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Text:
    """Windows of a text from random positions in its first nine tenths; targets are the next tokens; the last tenth is held out.

    Attributes
    ----------
    path : of the file.
    content : the SHA-256 checksum of its decompressed contents.
    tokens : "bytes" or "bpe".
    context : tokens in a window.
    vocabulary : the number of tokens, which are the classes.
    """

    path: str = field(compare=False)
    content: str
    tokens: str
    context: int
    vocabulary: int

    @property
    def in_shape(self) -> tuple[int, ...]:
        """(context,), int64."""
        return (self.context,)

    @property
    def out_features(self) -> int:
        """The vocabulary, at every position."""
        return self.vocabulary

    @property
    def classes(self) -> int | None:
        """The vocabulary."""
        return self.vocabulary

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tokens (size, context) and the next tokens (size, context), a pure function of the arguments."""
        training = self._load()[0]
        return self._cut_windows(training, generator(_BATCH, seed, step).integers(0, len(training) - self.context, size))

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return non-overlapping windows of the last tenth, evenly spread, at most 8192 tokens in all."""
        test = self._load()[1]
        possible = (len(test) - 1) // self.context
        used = max(1, min(possible, HELD_OUT // self.context))
        return self._cut_windows(test, np.arange(used) * possible // used * self.context)

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        return {"name": "text", "content": self.content, "tokens": self.tokens, "context": self.context, "vocabulary": self.vocabulary}

    def decode(self, tokens: torch.Tensor) -> str:
        """Return the text of tokens (n,); invalid UTF-8 is replaced by U+FFFD."""
        return decode_tokens(tokens.numpy(), self._load()[2]).decode("utf-8", errors="replace")

    def _cut_windows(self, tokens: np.ndarray, starts: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        windows = torch.from_numpy(tokens[starts[:, None] + np.arange(self.context + 1)].astype(np.int64))
        return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()

    def _load(self) -> tuple[np.ndarray, np.ndarray, Merges]:
        content, *parts = _read_tokens(self.path, self.tokens, self.vocabulary)
        if content != self.content:
            raise Misuse(f"{self.path} has changed since this task was made: its checksum is {content}, not {self.content}")
        return tuple(parts)     # type: ignore[return-value]


def text(path: str | os.PathLike[str], tokens: Literal["bytes", "bpe"] = "bytes", context: int = 64, vocabulary: int | None = None) -> Text:
    """Return the task of predicting the next token of a text.

    Parameters
    ----------
    path : a file in UTF-8, which may be ``.gz``.
    tokens : "bytes" (256 of them), or "bpe", byte pairs learnt from the first nine tenths.
    context : >= 1, tokens in an input.
    vocabulary : of "bpe", from 257 to 4096; None: 512.

    Raises
    ------
    Misuse : no such file, one that is not UTF-8, or too short for the context.
    """
    if not isinstance(path, str | os.PathLike) or not Path(path).expanduser().is_file():
        raise Misuse(f"path must be a text file in UTF-8; there is no file at {path!r}. Any book or corpus can be used, such as WikiText")
    choose("tokens", tokens, TOKENS)
    whole("context", context)
    if tokens == "bytes":
        size = BYTES
        if vocabulary not in (None, BYTES):
            raise Misuse(f"vocabulary of tokens='bytes' is {BYTES}, not {vocabulary!r}")
    else:
        size = 512 if vocabulary is None else whole("vocabulary", vocabulary, BYTES + 1)
        if size > 4096:
            raise Misuse(f"vocabulary must be at most 4096, not {vocabulary!r}")
    where = str(Path(path).expanduser())
    content, training, test, _ = _read_tokens(where, tokens, size)
    if min(len(training), len(test)) <= context:
        raise Misuse(f"{where} is too short for context={context}: it has {len(training)} tokens for training and {len(test)} held out, "
                     f"and needs at least {context + 1} of each")
    return Text(where, content, tokens, context, size)


@lru_cache(maxsize=2)
def _read_tokens(path: str, tokens: str, vocabulary: int) -> tuple[str, np.ndarray, np.ndarray, Merges]:
    """Return the file's checksum, its training tokens, its held-out tokens, and the merges."""
    data = read_file(Path(path))
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Misuse(f"{path} is not UTF-8: byte {data[error.start]:#04x} at position {error.start}") from None
    cut = len(data) - len(data) // 10
    training, test = data[:cut], data[cut:]
    merges = learn_merges(training, vocabulary) if tokens == "bpe" else ()
    return sha256(data), encode_bytes(training, merges), encode_bytes(test, merges), merges


def learn_merges(data: bytes, vocabulary: int) -> Merges:
    """Learn byte pairs: the commonest pair of neighbouring tokens becomes a token, repeatedly.

    Returns
    -------
    The pairs in order: token 256 + i stands for the i-th pair. There are fewer than `vocabulary` - 256 if no pair occurs twice.
    """
    tokens = np.frombuffer(data[:LEARNT_FROM], np.uint8).astype(np.uint16)
    merges: list[tuple[int, int]] = []
    while BYTES + len(merges) < vocabulary and len(tokens) > 1:
        counts = np.bincount(tokens[:-1].astype(np.int64) * vocabulary + tokens[1:])
        commonest = int(counts.argmax())
        if counts[commonest] < 2:
            break
        merges.append(divmod(commonest, vocabulary))
        tokens = _merge_pair(tokens, merges[-1], BYTES + len(merges) - 1)
    return tuple(merges)


def encode_bytes(data: bytes, merges: Merges) -> np.ndarray:
    """Return the tokens of bytes, uint16 (n,)."""
    tokens = np.frombuffer(data, np.uint8).astype(np.uint16)
    for i, pair in enumerate(merges):
        tokens = _merge_pair(tokens, pair, BYTES + i)
    return tokens


def decode_tokens(tokens: np.ndarray, merges: Merges) -> bytes:
    """Return the bytes that tokens (n,) stand for."""
    spelt = [bytes([i]) for i in range(BYTES)]
    for left, right in merges:
        spelt.append(spelt[left] + spelt[right])
    return b"".join(spelt[t] for t in tokens)


def _merge_pair(tokens: np.ndarray, pair: tuple[int, int], new: int) -> np.ndarray:
    """Return the tokens with every `pair`, from the left, replaced by `new`."""
    hits = np.flatnonzero((tokens[:-1] == pair[0]) & (tokens[1:] == pair[1]))
    if pair[0] == pair[1] and len(hits):
        # in a run of equal tokens, pairs overlap: every second one is replaced
        begins = np.diff(hits, prepend=hits[0] - 2) > 1
        hits = hits[(hits - hits[begins][np.cumsum(begins) - 1]) % 2 == 0]
    merged = tokens.copy()
    merged[hits] = new
    return np.delete(merged, hits + 1)
