"""ONNX Runtime sessions of untrusted model files: memory is limited and loops are rejected."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mien.errors import ModelError
from mien.recognition.onnx_session import open_session, run_session


def filling(elements: int, *, computed: bool) -> bytes:
    """A network that sums a tensor of that many zeros, whose shape is stored in the file or computed."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    total = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    shape = [helper.make_node("Shape", ["x"], ["one"]), helper.make_node("Mul", ["one", "s"], ["shape"])]
    nodes = [
        *(shape if computed else [helper.make_node("Identity", ["s"], ["shape"])]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["y"], keepdims=1),
    ]
    size = helper.make_tensor("s", TensorProto.INT64, [1], [elements])
    model = helper.make_model(
        helper.make_graph(nodes, "g", [image], [total], [size]), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("computed", [False, True])
def test_network_that_needs_too_much_memory_is_rejected(computed: bool) -> None:
    ones = {"x": np.ones(1, np.float32)}
    with pytest.raises(ModelError, match="GB of memory, got one that needs more"):
        run_session(open_session("m.onnx", filling(1 << 40, computed=computed), 1), ["y"], ones, "m.onnx")
    small = open_session("m.onnx", filling(1000, computed=computed), 1)
    assert run_session(small, ["y"], ones, "m.onnx")[0] == 0


def test_network_that_fails_at_runtime_raises_model_error() -> None:
    session = open_session("m.onnx", filling(10, computed=True), 1)
    with pytest.raises(ModelError, match=r"m\.onnx: expected a network that runs on crops"):
        run_session(session, ["y"], {"x": np.ones((1, 2, 3), np.float32)}, "m.onnx")


def test_network_with_a_loop_is_rejected() -> None:
    body = helper.make_graph([], "b", [], [])
    node = helper.make_node("Loop", ["n", "c"], ["y"], body=body)
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    with pytest.raises(ModelError, match="network without loops, got one with the operator Loop"):
        open_session("m.onnx", model.SerializeToString(), 1)
    assert onnx.__version__


@pytest.mark.slow
def test_recognizer_works_after_the_program_registered_an_allocator() -> None:
    code = (
        "import onnxruntime as ort\n"
        "info = ort.OrtMemoryInfo('Cpu', ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)\n"
        "ort.create_and_register_allocator(info, ort.OrtArenaCfg({'max_mem': 1 << 28}))\n"
        "from mien.recognition import onnx_session\n"
        "print(onnx_session._register_arena())\n"
        "from mien import Recognizer; import numpy as np\n"
        "print(Recognizer()(np.zeros((99, 99, 3), np.uint8)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
