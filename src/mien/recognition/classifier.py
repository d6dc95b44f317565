"""`Classifier`: an expression classifier in a model file.

>>> import numpy as np
>>> classifier = Classifier()
>>> classifier.class_names[:3]
('angry', 'disgust', 'fear')
>>> classifier.probabilities(np.zeros((2, 48, 48), np.uint8)).shape
(2, 7)
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import DataError, ModelError
from mien.images import CROP_SIZE
from mien.probability_checks import probabilities_of_logits, require_probabilities
from mien.recognition.model_files import DEFAULT, label_set_of_name
from mien.recognition.network_files import Description, open_described
from mien.recognition.values import boolean, check_threads
from mien.renamed import renamed_parameters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.card import ModelCard

MAPS = {"probabilities": "maps", "probabilities_2": "maps_2", "probabilities_3": "maps_3"}
"""Output with probabilities -> output with its class activation maps."""

_MOST_AT_ONCE = 256
"""Maximum number of crops per call of the network; larger batches need more memory and are not faster."""


class Classifier:
    """An expression classifier in a model file. Instances are thread-safe.

    ONNX files need ONNX Runtime only. LiteRT (TensorFlow Lite) files are run by ai-edge-litert or TensorFlow, SavedModel
    folders by TensorFlow, and Keras files (`.keras`, `.h5`, `.hdf5`, or `.json` with the weights beside it) by Keras,
    which must be installed. SavedModels and Keras files can contain code: open only files that you trust.

    A classifier can be copied and pickled: the other process receives the file and the settings, and opens it again.

    Args:
        model: path of a model file, a SavedModel folder or a run folder, or the name of a bundled model.
        label_set: name of the label set to use, of those that the model supports; the main one by default.
        threads: number of CPU threads per call, 0 to 256; 0 lets ONNX Runtime choose.
        class_names: class names in the order of the probabilities, for a file of another program without a model card.
        pixel_scale: factor that pixel values from 0 to 255 are multiplied by, for such a file. By default 1 if the
            network begins with arithmetic or a normalization of its input, else 1/255. The default for a quantized
            LiteRT input is the range it represents.
        pixel_range: input values of black and white pixels for such a file, for example `(-1, 1)`, instead of a scale.
        logits: whether such a file returns logits instead of probabilities; their softmax is taken.
        input_shape: shape of an image for such a file, (height, width, channels) or (channels, height, width), for
            example `(3, 224, 224)`. It sets the dimensions that are variable in the file; by default, the size is
            48x48. Crops are resized to it, and repeated for three channels.
        flip_tta: whether to average the probabilities of each crop and its mirror image (test-time augmentation). It
            takes twice the time, and the result does not change if a face is mirrored.

    Raises:
        ModelError: If the file does not exist, is not a model, stores data in other files or does not match its model
            card; or if it has no model card and no class names are given, or both.
        DataError: If `threads` or `flip_tta` is invalid.
        MissingExtra: If the library that runs its format is not installed.

    >>> import numpy as np
    >>> Classifier().probabilities(np.zeros((2, 48, 48), np.uint8)).shape
    (2, 7)
    """

    def __init__(
        self,
        model: str | Path = DEFAULT,
        *,
        label_set: str | None = None,
        threads: int = 0,
        class_names: Sequence[str] | None = None,
        pixel_scale: float | None = None,
        pixel_range: tuple[float, float] | None = None,
        logits: bool = False,
        input_shape: tuple[int, int, int] | None = None,
        flip_tta: bool = False,
        taxonomy: str | None = None,  # the former name of label_set
    ) -> None:
        check_threads(threads)
        self.flip_tta = boolean(flip_tta, "flip_tta")
        self._logits = boolean(logits, "logits")
        described = Description(class_names, pixel_scale, pixel_range, logits, input_shape)
        self._network, card, self._input = open_described(model, described, threads)
        self.name = self._network.name
        label_set = taxonomy if label_set is None else label_set
        wanted = label_set_of_name(model) if label_set is None else label_set
        self.card = card if wanted is None else card.with_label_set(wanted)

    def __copy__(self) -> Classifier:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __deepcopy__(self, _: dict[int, object]) -> Classifier:
        return copy(self)  # the network is shared: it is immutable

    def __repr__(self) -> str:
        return f"<Classifier {self.name[-80:]} ({self.card.label_set}): {', '.join(self.class_names)[:80]}>"

    def _repr_html_(self) -> str:
        return self.card._repr_html_()

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self.card.labels

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities; the same as `labels`."""
        return self.labels

    @property
    def label_sets(self) -> dict[str, tuple[str, ...]]:
        """Class names of each label set that the model supports, by its name, the current one first."""
        return self.card.label_sets

    @property
    def taxonomies(self) -> dict[str, tuple[str, ...]]:
        """Former name of `label_sets`."""
        return self.label_sets

    def with_label_set(self, label_set: str) -> Classifier:
        """Return a classifier for another label set of the same model. Both share the network in memory.

        Raises:
            ModelError: If the model does not support the label set.
        """
        other = copy(self)
        other.card = self.card.with_label_set(label_set)
        return other

    @renamed_parameters(taxonomy="label_set")
    def answering_in(self, label_set: str) -> Classifier:
        """Old name of `with_label_set`."""
        return self.with_label_set(label_set)

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of each class.

        Args:
            crops: gray face crops uint8 (n, 48, 48); n may be 0.

        Returns:
            float32 (n, classes), each row summing to 1, calibrated with the temperature of the model card.

        Raises:
            DataError: If the crops have another shape or type.
            ModelError: If the network does not return probabilities.
        """
        if not len(self._check_crops(crops)):
            return np.zeros((0, len(self.labels)), np.float32)
        (probabilities,) = self._in_parts(crops, [self.card])
        return probabilities

    def raw_outputs(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the output of the network, float32 (n, classes), not validated and not calibrated."""
        return self._run(self._check_crops(crops), self.card.output)

    @property
    def assumes_size(self) -> bool:
        """Whether the network takes images of any size and the size of its input is assumed to be that of the crops."""
        return self.assumed_size is not None

    @property
    def assumed_size(self) -> tuple[int, int] | None:
        """Width and height in pixels of the crops that a network of any size gets; `None` if its size is known."""
        if self._input.assumed:
            return self._input.width, self._input.height
        found: tuple[int, int] | None = getattr(self._network, "assumed_size", None)
        return found

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of an image that the network takes: (height, width, channels) or (channels, height, width)."""
        return self._input.shape

    @property
    def input_name(self) -> str:
        """Name of the network's input."""
        return self._network.inputs[0].name

    def input_batches(self, crops: NDArray[np.uint8], most: int = _MOST_AT_ONCE) -> list[NDArray[np.float32]]:
        """Convert crops to the input of the network, in one batch or more.

        Args:
            crops: gray face crops uint8 (n, 48, 48).
            most: maximum number of crops per batch; with a fixed batch size, each batch has that size, and the last
                crop is repeated to fill the last one.

        Returns:
            Batches float32 of the size, layout and pixel range that the network takes.
        """
        pixels, size = self._input.prepare(self._check_crops(crops), self.card.input), self._input.batch
        if size:
            lacking = -len(pixels) % size if len(pixels) else size
            filler = pixels[-1:] if len(pixels) else np.zeros((1, *pixels.shape[1:]), pixels.dtype)
            pixels = np.concatenate([pixels, np.repeat(filler, lacking, axis=0)]) if lacking else pixels
        step = size or most
        return [pixels[i : i + step] for i in range(0, max(1, len(pixels)), step)]

    def all_probabilities(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return the probabilities for each label set that the model supports, with one call of the network.

        Args:
            crops: gray face crops uint8 (n, 48, 48), a few hundred at most; n may be 0.

        Returns:
            float32 (n, classes) by the name of the label set.

        Raises:
            DataError: If the crops have another shape or type.
            ModelError: If the network does not return probabilities.
        """
        cards = [self.card.with_label_set(head.label_set) for head in self.card.all_heads]
        if not len(self._check_crops(crops)):
            return {card.label_set: np.zeros((0, len(card.labels)), np.float32) for card in cards}
        given = self._in_parts(crops, cards)
        return {card.label_set: rows for card, rows in zip(cards, given, strict=True)}

    def _in_parts(self, crops: NDArray[np.uint8], cards: list[ModelCard]) -> list[NDArray[np.float32]]:
        """Return the calibrated probabilities of any number of crops for each card."""
        step = _MOST_AT_ONCE // 2 if self.flip_tta else _MOST_AT_ONCE
        parts = [self._run_part(crops[i : i + step], cards) for i in range(0, max(1, len(crops)), step)]
        return [rows[0] if len(rows) == 1 else np.concatenate(rows) for rows in zip(*parts, strict=True)]

    def _run_part(self, crops: NDArray[np.uint8], cards: list[ModelCard]) -> list[NDArray[np.float32]]:
        """Return the calibrated probabilities of one batch for each card, with one call of the network."""
        n = len(crops)
        if self.flip_tta:
            crops = np.concatenate([crops, crops[:, :, ::-1]])
        given = self._outputs(crops, [card.output for card in cards])
        if self._logits:
            given = [probabilities_of_logits(rows, name=self.name) for rows in given]
        for rows in given:
            require_probabilities(rows, name=self.name)
        answers = [card.calibrated(rows) for card, rows in zip(cards, given, strict=True)]
        if not self.flip_tta:
            return answers
        return [np.asarray((rows[:n] + rows[n:]) / 2, np.float32) for rows in answers]

    def activation_maps(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return class activation maps (Zhou et al. 2016, arXiv:1512.04150).

        Args:
            crops: gray face crops uint8 (n, 48, 48).

        Returns:
            float32 (n, h, w, classes) over the whole crop; their spatial mean is the logits.

        Raises:
            DataError: If the crops have another shape or type.
            ModelError: If the network has no class activation maps, because it is not an ONNX file or does not end in
                global average pooling.
        """
        name = MAPS.get(self.card.output, "")
        if name not in {output.name for output in self._network.outputs}:
            raise ModelError(
                f"{self.name}: expected a network with class activation maps. Those in ONNX files that end in global "
                "average pooling have them, such as those of the recipes compact and small."
            )
        maps = self._run(self._check_crops(crops), name)
        if not self.flip_tta:
            return maps
        return np.asarray((maps + self._run(crops[:, :, ::-1], name)[:, :, ::-1]) / 2, np.float32)

    def _check_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if not isinstance(crops, np.ndarray):
            raise DataError.from_parts(
                expected=f"crops as an array uint8 (n, {CROP_SIZE}, {CROP_SIZE})",
                received=type(crops).__name__,
            )
        crops = np.asarray(crops)  # drops subclasses
        if crops.ndim != 3 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE) or crops.dtype != np.uint8:
            raise DataError.from_parts(
                expected=f"crops as uint8 (n, {CROP_SIZE}, {CROP_SIZE})",
                received=f"{crops.dtype} {crops.shape}",
            )
        return crops

    def _run(self, crops: NDArray[np.uint8], output: str) -> NDArray[np.float32]:
        return self._outputs(crops, [output])[0]

    def _outputs(self, crops: NDArray[np.uint8], names: list[str]) -> list[NDArray[np.float32]]:
        """Run the network and return some of its outputs; with a fixed batch size, in several calls."""
        batches = self.input_batches(crops, most=max(1, len(crops)))
        parts = [self._network.run(batch, names) for batch in batches]
        return [np.concatenate(column)[: len(crops)] for column in zip(*parts, strict=True)]
