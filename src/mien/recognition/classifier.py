"""`Classifier`: an ONNX session and its card; crops in, probabilities out."""

from __future__ import annotations

import os
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from mien.card import require_probabilities
from mien.errors import DataError, ModelError
from mien.images import CROP_SIZE
from mien.model_kinds import shown
from mien.quoting import quoted
from mien.recognition.model_files import DEFAULT, answers_in, read_model
from mien.recognition.model_origin import ModelOrigin
from mien.recognition.network_input import REMAKE, read_input
from mien.recognition.onnx_card import card_of, check_class_names, has_card, read_card, summary_of
from mien.recognition.values import flag

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.card import ModelCard

MAPS = {"probabilities": "maps", "probabilities_2": "maps_2", "probabilities_3": "maps_3"}
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
        class_names: in the order of the probabilities, for an ONNX file of another program, which has no card.
        pixel_scale: what pixels from 0 to 255 are multiplied by, for such a file; 1 where it rescales by itself, else
            1/255, when not given.
        pixel_range: what black and white are for such a file, `(-1, 1)` say, in place of a scale. Its layout, size and
            number of channels are read off its input; crops are resized, and repeated for three channels.
        flip_tta: average the probabilities of each crop with those of its mirror image (horizontal-flip test-time
            augmentation). It takes twice the time and makes the answer the same for a mirrored face.

    Raises:
        ModelError: the file is missing, is no ONNX file, keeps data in other files, does not take what its card says,
            or has no card and no class names are given, or has one and they are.

    >>> import numpy as np
    >>> Classifier().probabilities(np.zeros((2, 48, 48), np.uint8)).shape
    (2, 7)
    """

    def __init__(
        self,
        model: str | Path = DEFAULT,
        *,
        taxonomy: str | None = None,
        threads: int = 0,
        class_names: Sequence[str] | None = None,
        pixel_scale: float | None = None,
        pixel_range: tuple[float, float] | None = None,
        flip_tta: bool = False,
    ) -> None:
        check_threads(threads)
        self.flip_tta = flag(flip_tta, "flip_tta")
        self.name, data = read_model(model)
        described = class_names is not None or pixel_scale is not None or pixel_range is not None
        foreign = described and not has_card(self.name, data)
        card = None if foreign and class_names else read_card(self.name, data)
        if card and described:
            raise ModelError(
                f"{shown(self.name)}: its model card tells its class names and scale; leave them out."
            )
        self._session = open_session(self.name, data, threads)
        if card is None:
            names = check_class_names(class_names)
            card = card_of(self.name, data, self._session, names, pixel_scale, check_pixel_range(pixel_range))
        wanted = answers_in(model) if taxonomy is None else taxonomy
        self.card = card if wanted is None else card.answering_in(wanted)
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
        (probabilities,) = self._in_parts(crops, [self.card])
        return probabilities

    def raw_outputs(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network gives, float32 (n, classes), unchecked and not calibrated."""
        return self._run(self._checked(crops), self.card.output)

    def all_probabilities(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The probabilities in every label set that the model knows, by its name, from one call of the network.

        Args:
            crops: gray uint8 (n, 48, 48), some hundreds at most.

        Raises:
            DataError: the crops have another shape or type.
            ModelError: what the network gives are no probabilities.
        """
        self._checked(crops)
        cards = [self.card.answering_in(answer.taxonomy) for answer in self.card.answers]
        given = self._in_parts(crops, cards)
        return {card.taxonomy: rows for card, rows in zip(cards, given, strict=True)}

    def _in_parts(self, crops: NDArray[np.uint8], cards: list[ModelCard]) -> list[NDArray[np.float32]]:
        """The calibrated probabilities of any number of crops, by card."""
        step = _MOST_AT_ONCE // 2 if self.flip_tta else _MOST_AT_ONCE
        parts = [self._answer(crops[i : i + step], cards) for i in range(0, max(1, len(crops)), step)]
        return [rows[0] if len(rows) == 1 else np.concatenate(rows) for rows in zip(*parts, strict=True)]

    def _answer(self, crops: NDArray[np.uint8], cards: list[ModelCard]) -> list[NDArray[np.float32]]:
        """The same of a part of them, from one call of the network."""
        n = len(crops)
        if self.flip_tta:
            crops = np.concatenate([crops, crops[:, :, ::-1]])
        given = self._outputs(crops, [card.output for card in cards])
        for rows in given:
            require_probabilities(rows, name=self.name)
        answers = [card.calibrated(rows) for card, rows in zip(cards, given, strict=True)]
        if not self.flip_tta:
            return answers
        return [np.asarray((rows[:n] + rows[n:]) / 2, np.float32) for rows in answers]

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
                "average pooling give (recipes compact and small)."
            )
        maps = self._run(self._checked(crops), name)
        if not self.flip_tta:
            return maps
        return np.asarray((maps + self._run(crops[:, :, ::-1], name)[:, :, ::-1]) / 2, np.float32)

    def _checked(self, crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if not isinstance(crops, np.ndarray):
            raise DataError(
                f"Expected crops as an array uint8 (n, {CROP_SIZE}, {CROP_SIZE}), got {type(crops).__name__}."
            )
        crops = np.asarray(crops)  # of a subclass too
        if crops.ndim != 3 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE) or crops.dtype != np.uint8:
            raise DataError(
                f"Expected crops as uint8 (n, {CROP_SIZE}, {CROP_SIZE}), got {crops.dtype} {crops.shape}."
            )
        return crops

    def _run(self, crops: NDArray[np.uint8], output: str) -> NDArray[np.float32]:
        return self._outputs(crops, [output])[0]

    def _outputs(self, crops: NDArray[np.uint8], names: list[str]) -> list[NDArray[np.float32]]:
        """Some outputs of the network; one that takes a fixed number of crops is asked again and again."""
        pixels, size = self._form.prepare(crops, self.card.input), self._form.batch
        if not size:
            found: list[NDArray[np.float32]] = self._session.run(names, {self._input: pixels})
            return found
        lacking = -len(pixels) % size
        filled = np.concatenate([pixels, np.repeat(pixels[-1:], lacking, axis=0)]) if lacking else pixels
        parts = [
            self._session.run(names, {self._input: filled[i : i + size]}) for i in range(0, len(filled), size)
        ]
        return [np.concatenate(column)[: len(pixels)] for column in zip(*parts, strict=True)]

    def _check_shapes(self) -> None:
        inputs = self._session.get_inputs()
        outputs = {output.name: output for output in self._session.get_outputs()}
        spec = self.card.input
        shapes = [entry.shape for entry in inputs]
        if not -1e6 <= spec.low < spec.high <= 1e6:
            raise ModelError(
                f"{self.name}: expected a range of pixel values from black to white, got {spec.low} to {spec.high}. "
                f"{REMAKE}"
            )
        if len(inputs) != 1:
            raise ModelError(f"{self.name}: expected one input, got {shapes}. {REMAKE}")
        self._form = read_input(self.name, shapes[0])
        told = (spec.height, spec.width, spec.colour)
        if told != (self._form.height, self._form.width, self._form.color):
            raise ModelError(
                f"{self.name}: expected one input of shape (n, {spec.height}, {spec.width}, 1) or (n, 1, {spec.height}, "
                f"{spec.width}) of {spec.colour} pixels, as its model card says, got {shapes}. {REMAKE}"
            )
        self._input = inputs[0].name
        for answer in self.card.answers:
            found = outputs.get(answer.output)
            if found is None or len(found.shape) != 2 or found.shape[-1] not in {len(answer.labels), None}:
                raise ModelError(
                    f"{self.name}: expected an output {answer.output} with {len(answer.labels)} classes, "
                    f"got { {name: output.shape for name, output in outputs.items()} }."
                )
        types = {inputs[0].type} | {outputs[answer.output].type for answer in self.card.answers}
        if types != {"tensor(float)"}:
            raise ModelError(
                f"{self.name}: expected float32 in and out, got {', '.join(sorted(types))}. {REMAKE}"
            )


def check_pixel_range(given: Any) -> tuple[float, float] | None:
    """What black and white are for a network, as two numbers.

    Raises:
        ModelError: they are not two numbers that rise.
    """
    if given is None:
        return None
    try:
        low, high = (float(value) for value in given)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"Expected the pixel range as two numbers such as (-1, 1), got {quoted(given)}."
        ) from error
    if not -1e6 <= low < high <= 1e6:
        raise ModelError(
            f"Expected the pixel range as two rising numbers such as (-1, 1), got {quoted(given)}."
        )
    return low, high


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
    if summary_of(name, data).external:
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
