"""Read the metadata of an ONNX file and detect references to external data, without loading the model.

ONNX Runtime returns the metadata of a file only after loading it, and follows references to external data when it does
(CVE-2022-25882, CVE-2024-27318, CVE-2026-27489). So files are inspected first, with a parser of the protocol buffer wire
format (https://protobuf.dev/programming-guides/encoding) and the field numbers of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_METADATA = 14
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # fields of a tensor
_OPERATOR = 4  # field of a node
_MOST_FIELDS = 500_000
"""Maximum number of fields to read; a network of a thousand operators has about ten thousand."""

_MOST_KEY, _KEY_BYTES = 0xFFFFFFFF, 5
"""Maximum key of a field, and maximum number of bytes of a key. ONNX Runtime ignores higher bits, so it would interpret
a field with a larger key differently than this parser."""

_ORT_FORMAT_AT, _ORT_FORMAT = slice(4, 8), b"ORTM"
"""Signature of ONNX Runtime's own format, which is not a protocol buffer."""

_ENDLESS = frozenset({b"Loop", b"Scan"})
"""Operators that repeat a graph; the file determines how often."""

_DEEPEST = 64
"""Maximum nesting depth of messages; a subgraph adds three levels."""

# Fields of each message with submessages that can contain tensors.
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
    """The bytes are not a protocol buffer message, or it is nested too deeply."""


@dataclass(frozen=True)
class OnnxSummary:
    """Summary of an ONNX file.

    Args:
        metadata: its metadata entries.
        external: whether a tensor is stored in another file.
        loop: name of an operator that repeats a graph; "" if there is none.
    """

    metadata: dict[str, str]
    external: bool
    loop: str = ""


def summarise(data: bytes) -> OnnxSummary:
    """Parse the bytes of an ONNX file.

    Raises:
        NotOnnxError: If it is not an ONNX file, or is truncated.
    """
    if data[_ORT_FORMAT_AT] == _ORT_FORMAT:
        raise NotOnnxError("ONNX Runtime's own format")
    view = memoryview(data)
    scan = _Scan()
    metadata = dict(_entry(value) for number, value in _fields(view, scan) if number == _METADATA)
    scan.look_into(view, "model", 0)
    return OnnxSummary(metadata, scan.external, scan.loop)


class _Scan:
    """Recursive search of a model, with a limit on the number of fields."""

    def __init__(self) -> None:
        self.external, self.loop, self._count = False, "", 0

    def count(self) -> None:
        """Count a field.

        Raises:
            NotOnnxError: If there are too many.
        """
        self._count += 1
        if self._count > _MOST_FIELDS:
            raise NotOnnxError(f"more than {_MOST_FIELDS:,} fields")

    def look_into(self, message: memoryview, kind: str, depth: int) -> None:
        """Search a message for tensors in other files and for loops."""
        if depth > _DEEPEST:
            raise NotOnnxError("messages nested too deeply")
        if kind == "tensor":
            self.external |= any(
                number == _EXTERNAL_DATA or (number == _DATA_LOCATION and bool(value))
                for number, value in _fields(message, self)
            )
            return
        children = _CHILDREN[kind]
        for number, value in _fields(message, self):
            if number in children:
                self.look_into(_as_message(value), children[number], depth + 1)
            elif kind == "node" and number == _OPERATOR and isinstance(value, memoryview):
                self.loop = bytes(value).decode() if bytes(value[:8]) in _ENDLESS else self.loop


_PASSING = frozenset(
    {
        "Cast", "Identity", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Resize", "Upsample", "Concat",
        "Tile", "Expand", "Pad", "Slice", "Dropout", "QuantizeLinear", "DequantizeLinear",
    }
)  # fmt: skip
"""Operators that do not change the range of pixel values: only their type, shape, size or number of channels."""


def first_operators(data: bytes, name: str) -> set[str]:
    """Return the first operators that process an input of the graph, skipping those that keep the range of values.

    Args:
        data: the bytes of an ONNX file.
        name: name of the input.

    Raises:
        NotOnnxError: If it is not an ONNX file, or is truncated.
    """
    graphs = [value for number, value in _fields(memoryview(data)) if number == 7]
    nodes = [
        _as_message(value) for graph in graphs for number, value in _fields(_as_message(graph)) if number == 1
    ]
    carriers, found = {name.encode()}, set()
    for node in nodes:  # valid files store nodes in topological order
        parts = [(number, bytes(value)) for number, value in _fields(node) if isinstance(value, memoryview)]
        if carriers.isdisjoint(value for number, value in parts if number == 1):
            continue
        operator = next((value.decode() for number, value in parts if number == 4), "")
        if operator in _PASSING:
            carriers |= {value for number, value in parts if number == 2}
        else:
            found.add(operator)
    return found


def _entry(value: memoryview | int) -> tuple[str, str]:
    parts = {number: bytes(_as_message(part)) for number, part in _fields(_as_message(value))}
    try:
        return parts.get(1, b"").decode(), parts.get(2, b"").decode()
    except UnicodeDecodeError as error:
        raise NotOnnxError("metadata that is not text") from error


def _as_message(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise NotOnnxError("a number in place of a message")
    return value


def _fields(message: memoryview, scan: _Scan | None = None) -> Iterator[tuple[int, memoryview | int]]:
    """Yield number and value of each field of a message; 0 for fixed-width values, which are not needed here."""
    at = 0
    while at < len(message):
        if scan:
            scan.count()
        begin = at
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if key > _MOST_KEY or at - begin > _KEY_BYTES or not number:
            raise NotOnnxError("a field whose key protocol buffers do not allow")
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
        raise NotOnnxError("a truncated field")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise NotOnnxError("a truncated number")
