"""Text: any UTF-8 file, as bytes or byte pairs, each token to be told from those before it; knows no network."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepnets.tasks.byte_pair_encoding import BYTES, Merges, decode, encode, learn
from deepnets.tasks.data_files import contents, sha256
from deepnets.tasks.task import generator
from validation.arguments import Misuse, choose, whole

TOKENS = ("bytes", "bpe")
HELD_OUT = 8192          # tokens, at most, of the held-out tenth
_BATCH = 61


@dataclass(frozen=True)
class Text:
    """Windows of a text from random places of its first nine tenths; targets are the next tokens, held out is the last tenth.

    Attributes
    ----------
    path : of the file.
    content : the checksum of the file.
    tokens : "bytes" or "bpe".
    context : tokens of a window.
    vocabulary : how many tokens there may be: the classes.
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
        """As many as there are tokens, at every place."""
        return self.vocabulary

    @property
    def classes(self) -> int | None:
        """As many as there are tokens."""
        return self.vocabulary

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tokens (size, context) and those that follow them (size, context), a pure function of the arguments."""
        shown = self._encoded()[0]
        return self._windows(shown, generator(_BATCH, seed, step).integers(0, len(shown) - self.context, size))

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return windows of the last tenth that do not overlap, at most 8192 tokens evenly spread."""
        held = self._encoded()[1]
        there = (len(held) - 1) // self.context
        few = max(1, min(there, HELD_OUT // self.context))
        return self._windows(held, np.arange(few) * there // few * self.context)

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        return {"name": "text", "content": self.content, "tokens": self.tokens, "context": self.context, "vocabulary": self.vocabulary}

    def decoded(self, tokens: torch.Tensor) -> str:
        """Return the text of tokens (n,); bytes that are no UTF-8 are replaced."""
        return decode(tokens.numpy(), self._encoded()[2]).decode("utf-8", errors="replace")

    def _windows(self, tokens: np.ndarray, starts: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        windows = torch.from_numpy(tokens[starts[:, None] + np.arange(self.context + 1)].astype(np.int64))
        return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()

    def _encoded(self) -> tuple[np.ndarray, np.ndarray, Merges]:
        content, *encoded = _read(self.path, self.tokens, self.vocabulary)
        if content != self.content:
            raise Misuse(f"{self.path} is not what this task was made of: its checksum is {content}, not {self.content}")
        return tuple(encoded)     # type: ignore[return-value]


def text(path: Any, tokens: str = "bytes", context: int = 64, vocabulary: int | None = None) -> Text:
    """Return the task of telling the next token of a text.

    Parameters
    ----------
    path : a file in UTF-8, which may be ``.gz``.
    tokens : "bytes" (256 of them), or "bpe", byte pairs learnt from the shown part.
    context : >= 1, tokens of an input.
    vocabulary : of "bpe", from 257 to 4096, 512 unless given.

    Raises
    ------
    Misuse : no such file, one that is not UTF-8, or too short for the context.
    """
    if not isinstance(path, str | os.PathLike) or not Path(path).expanduser().is_file():
        raise Misuse(f"path must be a text file in UTF-8, and there is none at {path!r}; any book or corpus will do, such as WikiText's")
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
    content, shown, held, _ = _read(where, tokens, size)
    if min(len(shown), len(held)) <= context:
        raise Misuse(f"{where} is too short for context={context}: it has {len(shown)} tokens to be shown and {len(held)} to be held out, "
                     f"and must have at least {context + 1} of each")
    return Text(where, content, tokens, context, size)


@lru_cache(maxsize=2)
def _read(path: str, tokens: str, vocabulary: int) -> tuple[str, np.ndarray, np.ndarray, Merges]:
    """Return the file's checksum, its shown and its held-out tokens, and the merges."""
    data = contents(Path(path))
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Misuse(f"{path} is not UTF-8: byte {data[error.start]:#04x} at position {error.start}") from None
    cut = len(data) - len(data) // 10
    shown, held = data[:cut], data[cut:]
    merges = learn(shown, vocabulary) if tokens == "bpe" else ()
    return sha256(data), encode(shown, merges), encode(held, merges), merges
