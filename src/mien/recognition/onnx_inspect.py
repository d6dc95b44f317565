"""What stands in an ONNX file, read without running it: its metadata, and whether it reaches for other files.

ONNX Runtime reads a file's metadata only once it has loaded the whole of it, and follows references to external
data on the way (CVE-2022-25882, CVE-2024-27318, CVE-2026-27489). So a file is looked through first, by the wire
format of protocol buffers (https://protobuf.dev/programming-guides/encoding) and the numbers of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_METADATA = 14
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor
_DEEPEST = 64
"""Messages inside messages; a graph within a graph takes three."""

# Which fields of a message hold messages that can hold tensors.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


class NotOnnxError(ValueError):
    """The bytes are no protocol buffer message, or one nested beyond reason."""


@dataclass(frozen=True)
class OnnxSummary:
    """What a file says of itself.

    Args:
        metadata: its metadata entries.
        external: whether any tensor in it lies in another file.
    """

    metadata: dict[str, str]
    external: bool


def summarise(data: bytes) -> OnnxSummary:
    """Look through the bytes of an ONNX file.

    Raises:
        NotOnnxError: they are no such file, or a cut one.
    """
    view = memoryview(data)
    metadata = dict(_entry(value) for number, value in _fields(view) if number == _METADATA)
    return OnnxSummary(metadata, _reaches_out(view, "model", 0))


_PASSING = frozenset({"Cast", "Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze"})
"""Operators that hand the pixels of an image on as they are."""


def first_operators(data: bytes, name: str) -> set[str]:
    """The operators that take an input of a model's graph, beyond those that only hand it on in another shape or type.

    Args:
        data: the bytes of an ONNX file.
        name: the input.

    Raises:
        NotOnnxError: they are no such file, or a cut one.
    """
    graphs = [value for number, value in _fields(memoryview(data)) if number == 7]
    nodes = [
        _as_message(value) for graph in graphs for number, value in _fields(_as_message(graph)) if number == 1
    ]
    carriers, found = {name.encode()}, set()
    for node in nodes:  # which a valid file holds in the order in which they are run
        parts = [(number, bytes(value)) for number, value in _fields(node) if isinstance(value, memoryview)]
        if carriers.isdisjoint(value for number, value in parts if number == 1):
            continue
        operator = next((value.decode() for number, value in parts if number == 4), "")
        if operator in _PASSING:
            carriers |= {value for number, value in parts if number == 2}
        else:
            found.add(operator)
    return found


def _reaches_out(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise NotOnnxError("messages nested beyond reason")
    if kind == "tensor":
        return any(
            number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value)
            for number, value in _fields(message)
        )
    children = _CHILDREN[kind]
    return any(
        _reaches_out(_as_message(value), children[number], depth + 1)
        for number, value in _fields(message)
        if number in children
    )


def _entry(value: memoryview | int) -> tuple[str, str]:
    parts = {number: bytes(_as_message(part)) for number, part in _fields(_as_message(value))}
    try:
        return parts.get(1, b"").decode(), parts.get(2, b"").decode()
    except UnicodeDecodeError as error:
        raise NotOnnxError("metadata that is no text") from error


def _as_message(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise NotOnnxError("a number where a message belongs")
    return value


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Number and value of each field of a message; of the fixed-width ones, which nothing here needs, a 0."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
        elif wire == _BYTES:
            size, at = _varint(message, at)
            if size > len(message) - at:
                raise NotOnnxError("a field longer than the file")
            yield number, message[at : at + size]
            at += size
        elif wire in {_FIXED32, _FIXED64}:
            at += 4 if wire == _FIXED32 else 8
            yield number, 0
        else:
            raise NotOnnxError(f"a field of the unknown wire type {wire}")
    if at > len(message):
        raise NotOnnxError("a field cut short")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise NotOnnxError("a number cut short")
