"""What stands in an ONNX file: held against the package onnx itself, and against bytes of any kind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from mien.recognition.onnx_inspect import NotOnnxError, OnnxSummary, summarise
from tests.conftest import make_onnx

FLOAT = onnx.TensorProto.FLOAT


def outside(name: str = "w") -> onnx.TensorProto:
    """A tensor that lies in another file."""
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
def test_data_outside_is_found_wherever_it_hides(make: Callable[[], onnx.ModelProto]) -> None:
    assert summarise(make().SerializeToString()).external


def test_a_model_that_stands_alone_is_told_so_with_its_metadata(tmp_path: Path) -> None:
    model = onnx.load(make_onnx(tmp_path / "m.onnx"))
    helper.set_model_props(model, {"a": "1", "größe": "ü" * 300, "empty": ""})
    assert summarise(model.SerializeToString()) == OnnxSummary(
        {"a": "1", "größe": "ü" * 300, "empty": ""}, external=False
    )


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(NotOnnxError):
        summarise(data)  # any other error would fail the test


@settings(deadline=None)
@given(st.data())
def test_a_damaged_model_is_read_or_refused(data: st.DataObject) -> None:
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
    """A model with an initialiser outside, graphs within graphs around it."""
    inner = field(5, outside().SerializeToString())
    for _ in range(levels):
        inner = field(1, field(5, field(6, inner)))  # node, attribute, graph
    return field(7, inner)


def test_nesting_is_followed_and_has_an_end() -> None:
    assert summarise(nested(10)).external
    with pytest.raises(NotOnnxError, match="nested beyond reason"):
        summarise(nested(40))
