"""`Classifier`: an ONNX session and its card; crops in, probabilities out."""

from __future__ import annotations

import os
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from mien.card import METADATA_KEY, ModelCard, require_probabilities
from mien.errors import DataError, ModelError
from mien.quoting import quoted
from mien.recognition.model_origin import ModelOrigin
from mien.recognition.models import DEFAULT, answers_in, read_model
from mien.recognition.onnx_file import NotOnnxError, OnnxSummary, summarise

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAPS = {"probabilities": "maps", "probabilities_2": "maps_2"}
"""Name of the output with the class activation maps that belong to an output with probabilities."""

MOST_THREADS = 256
"""More than this are refused: they would take longer to start than to work."""

_MOST_AT_ONCE = 256
"""Crops in one call of the network; more take more memory and no less time."""


class Classifier:
    """An expression classifier in an ONNX file made by mien. One may serve many threads at once.

    It can be copied and pickled: another process gets the file and the settings, and opens it anew.

    Args:
        model: path of an ONNX file, a run folder, or the name of a bundled model.
        taxonomy: the label set to answer in, of those that the model knows; its own by default.
        threads: processor threads that one call uses; 0 lets ONNX Runtime choose.

    Raises:
        ModelError: the file is missing, is no ONNX file, keeps data in other files, has no card or does not take
            what its card says.

    >>> import numpy as np
    >>> Classifier().probabilities(np.zeros((2, 48, 48), np.uint8)).shape
    (2, 7)
    """

    def __init__(self, model: str | Path = DEFAULT, *, taxonomy: str | None = None, threads: int = 0) -> None:
        check_threads(threads)
        self.name, data = read_model(model)
        card = read_card(self.name, data)
        wanted = answers_in(model) if taxonomy is None else taxonomy
        self.card = card if wanted is None else card.answering_in(wanted)
        self._session = open_session(self.name, data, threads)
        self._threads, self._origin = threads, ModelOrigin.of(model, self.name, data)
        self._check_shapes()

    def __copy__(self) -> Classifier:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __deepcopy__(self, _: dict[int, object]) -> Classifier:
        return copy(self)  # the network is shared: nothing in it changes

    def __getstate__(self) -> dict[str, Any]:
        """All but the session, which cannot go to another process; in its place the file, unless it is bundled.

        Raises:
            ModelError: the file is gone, or has changed since it was opened.
        """
        state = {name: value for name, value in self.__dict__.items() if name != "_session"}
        return {**state, "_data": None if self._origin.bundled else self._origin.read()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        data = state.pop("_data")
        self.__dict__.update(state)
        self._session = open_session(self.name, data or self._origin.read(), self._threads)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self.card.labels

    @property
    def taxonomies(self) -> dict[str, tuple[str, ...]]:
        """The label sets that the model knows, by name, the one it answers in first."""
        return self.card.taxonomies

    def answering_in(self, taxonomy: str) -> Classifier:
        """The same model, in memory once, as it answers in another of its label sets.

        Raises:
            ModelError: it does not know that label set.
        """
        other = copy(self)
        other.card = self.card.answering_in(taxonomy)
        return other

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of each expression.

        Args:
            crops: gray uint8 (n, 48, 48); n may be 0.

        Returns:
            float32 (n, classes), each row summing to 1, calibrated by the card's temperature.

        Raises:
            DataError: the crops have another shape or type.
            ModelError: what the network gives are no probabilities.
        """
        if not len(self._checked(crops)):
            return np.zeros((0, len(self.labels)), np.float32)
        parts = [
            self._run(crops[i : i + _MOST_AT_ONCE], self.card.output)
            for i in range(0, len(crops), _MOST_AT_ONCE)
        ]
        given = parts[0] if len(parts) == 1 else np.concatenate(parts)
        require_probabilities(given, name=self.name)
        return self.card.calibrated(given)

    def all_probabilities(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The probabilities in every label set that the model knows, by its name, from one call of the network.

        Args:
            crops: gray uint8 (n, 48, 48), some hundreds at most.

        Raises:
            DataError: the crops have another shape or type.
            ModelError: what the network gives are no probabilities.
        """
        answers = self.card.answers
        pixels = self._checked(crops)[..., np.newaxis].astype(np.float32)  # (n, 48, 48, 1)
        given = self._session.run([answer.output for answer in answers], {self._input: pixels})
        cards = (self.card.answering_in(answer.taxonomy) for answer in answers)
        for rows in given:
            require_probabilities(rows, name=self.name)
        return {card.taxonomy: card.calibrated(rows) for card, rows in zip(cards, given, strict=True)}

    def activation_maps(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What each place of a crop adds to the logit of each class (Zhou et al. 2016, arXiv:1512.04150).

        Args:
            crops: gray uint8 (n, 48, 48).

        Returns:
            float32 (n, h, w, classes) over the whole crop; their mean over all places are the logits.

        Raises:
            DataError: the crops have another shape or type.
            ModelError: the network does not end in global average pooling, so it has no such maps.
        """
        name = MAPS.get(self.card.output, "")
        if name not in {output.name for output in self._session.get_outputs()}:
            raise ModelError(
                f"{self.name}: expected a network with class activation maps, which those that end in global "
                "average pooling give (recipes compact and small). Export it anew with: "
                "mien export MODEL --format onnx"
            )
        return self._run(self._checked(crops), name)

    def _checked(self, crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
        spec = self.card.input
        if not isinstance(crops, np.ndarray):
            raise DataError(
                f"Expected crops as an array uint8 (n, {spec.height}, {spec.width}), got {type(crops).__name__}."
            )
        crops = np.asarray(crops)  # of a subclass too
        if crops.ndim != 3 or crops.shape[1:] != (spec.height, spec.width) or crops.dtype != np.uint8:
            raise DataError(
                f"Expected crops as uint8 (n, {spec.height}, {spec.width}), got {crops.dtype} {crops.shape}."
            )
        return crops

    def _run(self, crops: NDArray[np.uint8], output: str) -> NDArray[np.float32]:
        pixels = crops[..., np.newaxis].astype(np.float32)  # (n, 48, 48, 1)
        answer: NDArray[np.float32] = self._session.run([output], {self._input: pixels})[0]
        return answer

    def _check_shapes(self) -> None:
        inputs = self._session.get_inputs()
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        spec = self.card.input
        expected = [spec.height, spec.width, 1]
        if (spec.colour, spec.low, spec.high) != ("gray", 0, 255):
            raise ModelError(
                f"{self.name}: expected a model of gray pixels from 0 to 255, got one of {spec.colour} pixels from "
                f"{spec.low} to {spec.high}. Export it anew with: mien export MODEL --format onnx"
            )
        if len(inputs) != 1 or list(inputs[0].shape[1:]) != expected or isinstance(inputs[0].shape[0], int):
            raise ModelError(
                f"{self.name}: expected one input of shape (n, {', '.join(map(str, expected))}), n free, "
                f"got {[entry.shape for entry in inputs]}. Export it anew with: mien export MODEL --format onnx"
            )
        types = {inputs[0].type} | {output.type for output in self._session.get_outputs()}
        if types != {"tensor(float)"}:
            raise ModelError(
                f"{self.name}: expected float32 in and out, got {', '.join(sorted(types))}. "
                "Export it anew with: mien export MODEL --format onnx"
            )
        for answer in self.card.answers:
            if answer.output not in outputs or outputs[answer.output][-1] != len(answer.labels):
                raise ModelError(
                    f"{self.name}: expected an output {answer.output} with {len(answer.labels)} classes, "
                    f"got {outputs}."
                )
        self._input = inputs[0].name


def check_threads(threads: int) -> None:
    """Refuse a number of threads that is none, or that no machine has.

    Raises:
        DataError: it is.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or not 0 <= threads <= MOST_THREADS:
        raise DataError(
            f"Expected threads as a whole number from 0 (all) to {MOST_THREADS}, got {quoted(threads)}."
        )


def open_session(name: str, data: bytes, threads: int) -> ort.InferenceSession:
    """An ONNX Runtime session of a model file that stands alone, on the processor.

    Args:
        name: what to call it in an error.
        data: the bytes of the file.
        threads: processor threads that one call uses; 0 lets ONNX Runtime choose.

    Raises:
        ModelError: it keeps data in other files or does not load.
    """
    if _summary(name, data).external:
        raise ModelError(
            f"{name}: expected a model in one file, got one that keeps data in others, which could be any file of "
            "this machine. Save it with its data inside."
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if threads > (os.cpu_count() or 1):  # threads that wait in a loop would take each other's core
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{name}: expected an ONNX model, got a file that does not load as one.") from error


def read_card(name: str, data: bytes) -> ModelCard:
    """The card inside the bytes of an ONNX file.

    Args:
        name: what to call the file in an error.
        data: its bytes.

    Raises:
        ModelError: it is no ONNX file, or has no card or a damaged one.
    """
    metadata = _summary(name, data).metadata
    if METADATA_KEY not in metadata:
        raise ModelError(
            f"{name}: expected a model card in the file's metadata, found none, so its labels are unknown. "
            "Export it with: mien export MODEL --format onnx"
        )
    try:
        return ModelCard.from_json(metadata[METADATA_KEY])
    except ModelError as error:
        raise ModelError(
            f"{name}: {_lowered(str(error))} Export it anew with: mien export MODEL --format onnx"
        ) from error


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _summary(name: str, data: bytes) -> OnnxSummary:
    try:
        return summarise(data)
    except NotOnnxError as error:
        raise ModelError(
            f"{name}: expected an ONNX model, got something else or a cut file ({error})."
        ) from error
