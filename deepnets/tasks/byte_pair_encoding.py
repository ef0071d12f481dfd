"""Byte-pair encoding: the commonest neighbours become one token, again and again; knows no file.

Merges are learnt from bytes alone, words and lines are not told apart, and ties go to the pair of the smallest numbers: the same text gives
the same tokens everywhere.
"""

from __future__ import annotations

import numpy as np

BYTES = 256
LEARNT_FROM = 2**20      # bytes, at most, from the beginning of the text

Merges = tuple[tuple[int, int], ...]


def learn(data: bytes, vocabulary: int) -> Merges:
    """Return the merges, the first first: token 256 + i is the i-th pair. There are fewer than asked for if no pair occurs twice."""
    tokens = np.frombuffer(data[:LEARNT_FROM], np.uint8).astype(np.uint16)
    merges: list[tuple[int, int]] = []
    while BYTES + len(merges) < vocabulary and len(tokens) > 1:
        counts = np.bincount(tokens[:-1].astype(np.int64) * vocabulary + tokens[1:])
        commonest = int(counts.argmax())
        if counts[commonest] < 2:
            break
        merges.append(divmod(commonest, vocabulary))
        tokens = _merged(tokens, merges[-1], BYTES + len(merges) - 1)
    return tuple(merges)


def encode(data: bytes, merges: Merges) -> np.ndarray:
    """Return the tokens of bytes, uint16."""
    tokens = np.frombuffer(data, np.uint8).astype(np.uint16)
    for i, pair in enumerate(merges):
        tokens = _merged(tokens, pair, BYTES + i)
    return tokens


def decode(tokens: np.ndarray, merges: Merges) -> bytes:
    """Return the bytes of tokens."""
    spelt = [bytes([i]) for i in range(BYTES)]
    for left, right in merges:
        spelt.append(spelt[left] + spelt[right])
    return b"".join(spelt[t] for t in tokens)


def _merged(tokens: np.ndarray, pair: tuple[int, int], new: int) -> np.ndarray:
    """Return the tokens with every `pair`, from the left, made `new`."""
    hits = np.flatnonzero((tokens[:-1] == pair[0]) & (tokens[1:] == pair[1]))
    if pair[0] == pair[1] and len(hits):
        # in a run of equal tokens pairs overlap: every other one is taken
        begins = np.diff(hits, prepend=hits[0] - 2) > 1
        hits = hits[(hits - hits[begins][np.cumsum(begins) - 1]) % 2 == 0]
    merged = tokens.copy()
    merged[hits] = new
    return np.delete(merged, hits + 1)
