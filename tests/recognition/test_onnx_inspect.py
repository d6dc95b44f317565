"""Summaries of ONNX files, compared with the onnx package and tested with arbitrary bytes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from mien.recognition.onnx_inspect import NotOnnxError, OnnxSummary, summarise
from tests.builders.models import make_onnx

FLOAT = onnx.TensorProto.FLOAT


def outside(name: str = "w") -> onnx.TensorProto:
    """A tensor with external data."""
    tensor = onnx.numpy_helper.from_array(np.ones(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def graph(**parts: list[object]) -> onnx.GraphProto:
    return helper.make_graph(parts.pop("nodes", []), "g", [], [], **parts)  # type: ignore[arg-type]


def as_initializer() -> onnx.ModelProto:
    return helper.make_model(graph(initializer=[outside()]))


def as_sparse() -> onnx.ModelProto:
    indices = onnx.numpy_helper.from_array(np.arange(4), "i")
    return helper.make_model(graph(sparse_initializer=[helper.make_sparse_tensor(outside(), indices, [8])]))


def as_constant() -> onnx.ModelProto:
    return helper.make_model(graph(nodes=[helper.make_node("Constant", [], ["c"], value=outside())]))


def within_a_branch() -> onnx.ModelProto:
    branch = graph(initializer=[outside()])
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=graph())
    return helper.make_model(graph(nodes=[node]))


def within_a_function() -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["c"], value=outside())
    function = helper.make_function("d", "f", [], ["c"], [node], [helper.make_opsetid("", 17)])
    return helper.make_model(graph(), functions=[function])


def by_location_alone() -> onnx.ModelProto:
    tensor = outside()
    tensor.ClearField("external_data")
    return helper.make_model(graph(initializer=[tensor]))


@pytest.mark.parametrize(
    "make", [as_initializer, as_sparse, as_constant, within_a_branch, within_a_function, by_location_alone]
)
def test_external_data_is_detected_in_every_part_of_a_model(make: Callable[[], onnx.ModelProto]) -> None:
    assert summarise(make().SerializeToString()).external


def test_summary_of_a_model_without_external_data_has_its_metadata(tmp_path: Path) -> None:
    model = onnx.load(make_onnx(tmp_path / "m.onnx"))
    helper.set_model_props(model, {"a": "1", "größe": "ü" * 300, "empty": ""})
    assert summarise(model.SerializeToString()) == OnnxSummary(
        {"a": "1", "größe": "ü" * 300, "empty": ""}, external=False
    )


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_only_not_onnx_error(data: bytes) -> None:
    with contextlib.suppress(NotOnnxError):
        summarise(data)  # any other error would fail the test


@settings(deadline=None)
@given(st.data())
def test_damaged_models_raise_only_not_onnx_error(data: st.DataObject) -> None:
    whole = bytearray(as_initializer().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(NotOnnxError):
        summarise(cut)  # any other error would fail the test


def field(number: int, content: bytes) -> bytes:
    """A field that holds bytes, in the wire format; the content is shorter than 16 KiB."""
    return bytes([number << 3 | 2, len(content) & 0x7F | 0x80, len(content) >> 7]) + content


def nested(levels: int) -> bytes:
    """A model with an external initializer inside nested graphs."""
    inner = field(5, outside().SerializeToString())
    for _ in range(levels):
        inner = field(1, field(5, field(6, inner)))  # node, attribute, graph
    return field(7, inner)


def test_nested_graphs_are_searched_up_to_a_maximum_depth() -> None:
    assert summarise(nested(10)).external
    with pytest.raises(NotOnnxError, match="nested too deeply"):
        summarise(nested(40))


def key_of_five_bytes(number: int, wire: int) -> bytes:
    """A five-byte key with bit 32 set, which readers that keep 32 bits decode as `number`."""
    key = (number << 3 | wire) | 1 << 32
    return bytes([*(key >> shift & 0x7F | 0x80 for shift in (0, 7, 14, 21)), key >> 28])


def test_key_larger_than_32_bits_is_rejected() -> None:
    data = as_initializer().SerializeToString()
    at = data.index(b"\x3a")  # the graph
    hidden = data[:at] + key_of_five_bytes(7, 2) + data[at + 1 :]
    with pytest.raises(NotOnnxError, match="key"):
        summarise(hidden)


@pytest.mark.parametrize("key", [b"\x00\x00", b"\x02\x00", b"\xba\x80\x80\x80\x80\x00\x00"])
def test_keys_invalid_in_protocol_buffers_are_rejected(key: bytes) -> None:
    with pytest.raises(NotOnnxError, match="key"):
        summarise(key)


def test_key_with_padding_bytes_is_accepted() -> None:
    entry = b"\x0a\x01a\x12\x01b"
    assert summarise(b"\xf2\x80\x80\x00" + bytes([len(entry)]) + entry).metadata == {"a": "b"}


@pytest.mark.slow
def test_millions_of_tiny_fields_are_rejected_quickly() -> None:
    began = time.monotonic()
    for data in (
        b"\x08\x00" * 10_000_000,
        b"\x3a\x84\x80\x80\x05" + b"\x0a\x00" * (10 << 20) + b"\x12\x00\x12\x00",
    ):
        with pytest.raises(NotOnnxError):
            summarise(data)
    assert time.monotonic() - began < 5


def test_onnx_runtime_own_format_is_rejected() -> None:
    with pytest.raises(NotOnnxError, match="own format"):
        summarise(b"\x08\x08\x12\x00ORTM" + bytes(100))


@pytest.mark.parametrize("operator", ["Loop", "Scan"])
def test_loops_are_detected_inside_branches(operator: str) -> None:
    loop = helper.make_node(operator, ["n", "c"], ["y"], body=graph())
    branch = helper.make_node("If", ["x"], ["y"], then_branch=graph(nodes=[loop]), else_branch=graph())
    assert summarise(helper.make_model(graph(nodes=[branch])).SerializeToString()).loop == operator
    harmless = helper.make_model(graph(nodes=[helper.make_node("Relu", ["x"], ["y"])]))
    assert not summarise(harmless.SerializeToString()).loop
