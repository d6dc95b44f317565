"""The Open Inference Protocol (KServe V2), for clients of KServe and Triton.

https://github.com/kserve/open-inference-protocol. The model has one input, `image`: encoded images as BYTES, base64 in
JSON or raw with the binary extension. Its outputs are concatenated over all faces of all images.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

import mien
from mien.service.json_bodies import decode_base64, parse_object
from mien.service.problems import Refusal, counted, plain, shown
from mien.service.schemas import Options
from mien.service.uploads import Upload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.service.engine import Answer, Engine

ALIAS = "mien"
"""Name under which the model is always available, in addition to the name on its card."""

BINARY_HEADER = "inference-header-content-length"
"""Header of the binary extension: the number of bytes of the body that are JSON."""

_LENGTH = re.compile(r"[0-9]{1,12}")
_OPTIONS = ("max_faces", "label_set", "min_confidence", "min_detection_confidence")
_IGNORED = frozenset({"binary_data_output", "binary_data_size"})  # all clients support JSON responses


def server_metadata() -> dict[str, Any]:
    """Return the response body of `GET /v2`."""
    return {"name": "mien", "version": mien.__version__, "extensions": ["binary_tensor_data"]}


def model_metadata(engine: Engine) -> dict[str, Any]:
    """Return the response body of `GET /v2/models/{name}`."""
    classes = len(engine.card.labels)
    return {
        "name": engine.card.name,
        "versions": ["1"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "faces", "datatype": "INT32", "shape": [-1]},
            {"name": "box", "datatype": "INT32", "shape": [-1, 4]},
            {"name": "confidence", "datatype": "FP32", "shape": [-1]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "score", "datatype": "FP32", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
        ],
        "parameters": {"class_names": ",".join(engine.card.labels)},
    }


def check_model(name: str, version: str, engine: Engine) -> None:
    """Check that a request is for the served model.

    Raises:
        Refusal: the name or the version is a different one.
    """
    if name not in {engine.card.name, ALIAS} or version not in {"", "1"}:
        raise Refusal(
            404,
            f"No such model: {plain(name)}.",
            expected=f"the model {engine.card.name} or {ALIAS}, version 1",
            received=f"{shown(name)}, version {shown(version or '1')}",
            remedy=f"Use /v2/models/{ALIAS}.",
            reason="address",
        )


class InferRequest:
    """A parsed inference request.

    Args:
        body: body of the HTTP request.
        header_length: number of bytes of the body that are JSON, from the header of the binary extension; `None` if
            the whole body is JSON.
        most: maximum number of images.

    Raises:
        Refusal: the request is invalid.
    """

    def __init__(self, body: bytes, header_length: str | None, most: int) -> None:
        size = len(body)
        if header_length is not None:
            if not _LENGTH.fullmatch(header_length) or int(header_length) > size:
                raise _wrong("a header length within the body", shown(header_length))
            size = int(header_length)
        document = parse_object(body[:size])
        self.id = document.get("id")
        if self.id is not None and not isinstance(self.id, str):
            raise _wrong("the id as a string", shown(self.id))
        self.uploads = _images(document.get("inputs"), body[size:], most)
        self.options = _options(document.get("parameters") or {})
        self.outputs = _names(document.get("outputs"))

    def answer(self, answers: Sequence[Answer], engine: Engine) -> dict[str, Any]:
        """Return the body of the response.

        Raises:
            Refusal: an image could not be processed, or a requested output does not exist.
        """
        for answer in answers:
            if answer.refusal:
                raise answer.refusal
        rows = [face for answer in answers for face in answer.data["faces"]]
        classes = len(engine.label_sets[self.options.chosen_label_set or engine.card.label_set])
        values: dict[str, tuple[str, list[int], list[Any]]] = {
            "faces": ("INT32", [len(answers)], [len(answer.data["faces"]) for answer in answers]),
            "box": ("INT32", [len(rows), 4], [v for row in rows for v in row["box"].values()]),
            "confidence": ("FP32", [len(rows)], [row["confidence"] for row in rows]),
            "label": ("BYTES", [len(rows)], [row["label"] for row in rows]),
            "score": ("FP32", [len(rows)], [row["score"] for row in rows]),
            "probabilities": (
                "FP32", [len(rows), classes], [v for row in rows for v in row["probabilities"].values()],
            ),
        }  # fmt: skip
        for name in self.outputs or ():
            if name not in values:
                raise _wrong(f"outputs named {', '.join(values)}", shown(name))
        return {
            "model_name": engine.card.name,
            "model_version": "1",
            **({"id": self.id} if self.id else {}),
            "outputs": [
                {"name": name, "datatype": kind, "shape": shape, "data": data}
                for name, (kind, shape, data) in values.items()
                if not self.outputs or name in self.outputs
            ],
        }


def _images(inputs: Any, binary: bytes, most: int) -> list[Upload]:
    one = inputs[0] if isinstance(inputs, list) and len(inputs) == 1 else None
    if not isinstance(one, dict) or one.get("name") != "image" or one.get("datatype") != "BYTES":
        raise _wrong("one input named image, of the datatype BYTES", shown(inputs)[:60])
    parameters = one.get("parameters") or {}
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None:
        if size != len(binary):
            raise _wrong(f"binary data of {shown(size)} bytes", f"{len(binary)} bytes")
        files = _strings(binary, most)
    else:
        data = one.get("data")
        flat = data if isinstance(data, list) else [data]
        if len(flat) == 1 and isinstance(flat[0], list):  # shape [1, n]
            flat = flat[0]
        files = [decode_base64(text, "data") for text in flat[: most + 1]]
    if not 1 <= len(files) <= most:
        raise _wrong(f"1 to {most} images", f"{len(files)}" if len(files) <= most else "more")
    if _elements(one.get("shape"), most) != len(files):
        raise _wrong(f"a shape for {counted(len(files), 'image')}", shown(one.get("shape")))
    return [Upload(f"image-{number}", data) for number, data in enumerate(files, start=1)]


def _elements(shape: Any, most: int) -> int:
    """Return the number of elements of a shape; -1 if it is invalid or has more than `most`."""
    count = 1
    for side in shape if isinstance(shape, list) else [-1]:
        count *= side if type(side) is int and 0 <= side <= most else -1
        if not 0 <= count <= most:
            return -1
    return count


def _strings(binary: bytes, most: int) -> list[bytes]:
    """Split a BYTES tensor into its elements, each preceded by its length as four bytes, little-endian."""
    files: list[bytes] = []
    at = 0
    while at < len(binary) and len(files) <= most:
        size = int.from_bytes(binary[at : at + 4], "little")
        at += 4
        if size > len(binary) - at:
            raise _wrong("elements within the binary data", f"one of {size:,} bytes")
        files.append(binary[at : at + size])
        at += size
    return files


def _options(parameters: Any) -> Options:
    if not isinstance(parameters, dict):
        raise _wrong("parameters as an object", shown(parameters))
    given = {name: value for name, value in parameters.items() if name not in _IGNORED}
    if unknown := [name for name in given if name not in _OPTIONS]:
        raise _wrong(f"the parameters {', '.join(_OPTIONS)}", shown(unknown[0]))
    try:
        return Options(**given)
    except ValidationError as error:
        first = error.errors()[0]
        raise _wrong(f"{first['loc'][0]} as: {first['msg']}", shown(first.get("input"))) from error


def _names(outputs: Any) -> list[str]:
    if outputs is None:
        return []
    if not isinstance(outputs, list) or not all(isinstance(one, dict) and "name" in one for one in outputs):
        raise _wrong("outputs as a list of objects with a name", shown(outputs))
    return [str(one["name"]) for one in outputs]


def _wrong(expected: str, received: str) -> Refusal:
    return Refusal(
        422,
        expected=expected,
        received=received,
        remedy='Send {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["<base64>"]}]}.',
        reason="form",
    )
