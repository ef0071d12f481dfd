"""Read the scalars and hyperparameters of one TensorBoard event file: its records and its protocol buffers, by their definitions.

A record is the length of its data (8 bytes), a masked CRC-32C of the length (4), the data, and a masked CRC-32C of the data (4). The data
are an ``Event`` of tensorflow/core/util/event.proto; hyperparameters are an ``HParamsPluginData`` of tensorboard/plugins/hparams.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from validation.arguments import Misuse

ENDS = {1: "SUCCESS", 2: "FAILURE", 3: "RUNNING"}      # of a session
START, END = "_hparams_/session_start_info", "_hparams_/session_end_info"


@dataclass
class Events:
    """What the event files of one folder hold: each tag's last value and its step, the hyperparameters, and how the session ended."""

    scalars: dict[str, tuple[int, float]] = field(default_factory=dict)
    hparams: dict[str, Any] = field(default_factory=dict)
    end: str | None = None


def read_events(path: Path, events: Events) -> None:
    """Add an event file's contents to those of its folder. A last record that is not whole, of a run that was killed, is left out.

    Raises
    ------
    Misuse : a record whose checksum is wrong.
    """
    for data in _records(path):
        event = _fields(data)
        step = _wrap_sign(event[2][-1]) if event[2] else 0
        for summary in event[5]:
            for value in map(_fields, _fields(summary)[1]):
                tag = value[1][-1].decode("utf-8", "replace") if value[1] else ""
                if tag == START:
                    events.hparams |= dict(_hparams(value))
                elif tag == END:
                    status = _plugin_content(value)[4]
                    events.end = ENDS.get(_fields(status[-1])[1][-1] if status and _fields(status[-1])[1] else 0)
                elif (number := _scalar(value)) is not None and step >= events.scalars.get(tag, (step, 0.0))[0]:
                    events.scalars[tag] = step, number


def _records(path: Path) -> Iterator[bytes]:
    data, at = path.read_bytes(), 0
    while at + 12 <= len(data):
        (length, check) = struct.unpack_from("<QI", data, at)
        if _masked_crc(data[at:at + 8]) != check:
            raise Misuse(f"{path} must be an event file, but the checksum of its record at byte {at} is wrong")
        end = at + 12 + length
        if end + 4 > len(data):
            return
        record = data[at + 12:end]
        # large records are images and histograms
        if length <= 4096 and _masked_crc(record) != struct.unpack_from("<I", data, end)[0]:
            raise Misuse(f"{path} is damaged: the checksum of its record at byte {at} is wrong")
        yield record
        at = end + 4


def _build_crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _build_crc_table()


def _masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _fields(message: bytes) -> defaultdict[int, list[Any]]:
    """Return the fields of a protocol buffer by number: integers of varints, bytes of all other wire types."""
    found: defaultdict[int, list[Any]] = defaultdict(list)
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            found[key >> 3].append(value)
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise Misuse(f"an event file must hold protocol buffers of wire types 0, 1, 2 and 5, not {kind}")
        found[key >> 3].append(message[at:at + size])
        at += size
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at
    raise Misuse("an event file's record ends within a number")


def _wrap_sign(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _scalar(value: defaultdict[int, list[Any]]) -> float | None:
    """Return a summary value's scalar: its simple_value, or its tensor of one float."""
    if value[2]:
        return float(struct.unpack("<f", value[2][-1])[0])
    if not value[8]:
        return None
    tensor = _fields(value[8][-1])
    kind = tensor[1][-1] if tensor[1] else 0
    if kind not in (1, 2):                                               # float32, float64
        return None
    content = (tensor[4] or tensor[5 if kind == 1 else 6] or [b""])[-1]
    numbers = np.frombuffer(content, "<f4" if kind == 1 else "<f8") if len(content) % (4 * kind) == 0 else np.empty(0)
    return float(numbers[0]) if numbers.size == 1 else None


def _plugin_content(value: defaultdict[int, list[Any]]) -> defaultdict[int, list[Any]]:
    """Return the HParamsPluginData in a summary value's metadata."""
    plugin = _fields(_fields(value[9][-1])[1][-1]) if value[9] else defaultdict(list)
    return _fields(plugin[2][-1]) if plugin[2] else defaultdict(list)


def _hparams(value: defaultdict[int, list[Any]]) -> Iterator[tuple[str, Any]]:
    for session in _plugin_content(value)[3]:
        for entry in map(_fields, _fields(session)[1]):
            content = _fields(entry[2][-1]) if entry[2] else defaultdict(list)
            cell: Any = None
            if content[2]:
                cell = struct.unpack("<d", content[2][-1])[0]
            elif content[3]:
                cell = content[3][-1].decode("utf-8", "replace")
            elif content[4]:
                cell = bool(content[4][-1])
            yield entry[1][-1].decode("utf-8", "replace") if entry[1] else "", cell
