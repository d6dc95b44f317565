"""`mien export`: copies of ONNX files, refused exports, and files saved by plain Keras."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from mien import Classifier
from mien.labels import FER2013, FERPLUS
from mien.recognition.model_files import read_bundled
from tests.builders.models import CARD, make_onnx
from tests.builders.portraits import PORTRAIT
from tests.helpers.command import is_one_sentence, mien, mien_process

LABELS = ("--model-class-names", ",".join(FER2013.classes))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks saved by plain Keras: `theirs.h5`, and `logits.keras` without a softmax."""
    import warnings

    import keras

    folder = tmp_path_factory.mktemp("foreign")
    layers = keras.layers
    for name, activation in (("theirs.h5", "softmax"), ("logits.keras", None)):
        network = keras.Sequential(
            [keras.Input((48, 48, 1)), layers.Flatten(), layers.Dense(7, activation=activation)]
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            network.save(folder / name)
    return folder


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 48, 48), dtype=np.uint8)


def test_a_bundled_model_is_copied_byte_by_byte(tmp_path: Path) -> None:
    (tmp_path / "small.onnx").write_text("somebody else's file")
    refused = mien("export", "small", "--format", "onnx", cwd=tmp_path)
    assert refused.returncode == 2
    assert (tmp_path / "small.onnx").read_text() == "somebody else's file"
    done = mien("export", "small", "--format", "onnx", "--force", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "small.onnx").read_bytes() == read_bundled("small.onnx")


@pytest.mark.slow
def test_an_exported_bundled_model_keeps_its_label_set(tmp_path: Path) -> None:
    done = mien("export", "ferplus", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    copy, bundled = Classifier(tmp_path / "ferplus.onnx"), Classifier("ferplus")
    assert copy.card == bundled.card
    assert copy.card.label_set == "ferplus"
    np.testing.assert_array_equal(copy.probabilities(crops()), bundled.probabilities(crops()))


@pytest.mark.slow
def test_an_onnx_file_is_copied_but_never_over_itself(tmp_path: Path) -> None:
    source = make_onnx(tmp_path / "m.onnx")
    before = source.read_bytes()
    (tmp_path / "link.onnx").symlink_to(source)
    for arguments in (
        (),
        ("--out", source),
        ("--out", tmp_path / "link.onnx"),
        ("--format", "int8", "--out", source),
    ):
        is_one_sentence(mien("export", source, *arguments), r"onnx: this is the model itself.*--out")
    assert source.read_bytes() == before
    assert (tmp_path / "link.onnx").is_symlink()
    done = mien("export", source, "--out", tmp_path / "new" / "copy.onnx")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new" / "copy.onnx").read_bytes() == before


@pytest.mark.slow
def test_onnx_to_keras_and_int8_to_int8_are_refused(tmp_path: Path) -> None:
    for model in ("small", make_onnx(tmp_path / "m.onnx")):
        for format_ in ("h5", "keras"):
            done = mien("export", model, "--format", format_, cwd=tmp_path)
            is_one_sentence(
                done, f"a Keras file or a run folder for the format {format_}, .* cannot be turned back"
            )
    is_one_sentence(mien("export", "small", "--format", "int8", cwd=tmp_path), "small: .* int8 already")
    assert files(tmp_path) == {"m.onnx"}


@pytest.mark.slow
def test_export_help_lists_the_accepted_models() -> None:
    told = " ".join(mien_process("export", "--help", COLUMNS="400").stdout.split())
    for word in (".keras or .h5 file", "run folder", ".onnx file", "large-ferplus", "Copy an ONNX file"):
        assert word in told


@pytest.mark.slow
def test_an_onnx_file_without_softmax_is_refused_by_every_command(tmp_path: Path) -> None:
    model = onnx.load(make_onnx(tmp_path / "m.onnx"))
    model.graph.node[-1].op_type = "Identity"
    del model.graph.node[-1].attribute[:]
    onnx.save(model, tmp_path / "m.onnx")
    for command in (
        ("export", tmp_path / "m.onnx", "--out", tmp_path / "copy.onnx"),
        ("predict", PORTRAIT, "--model", tmp_path / "m.onnx"),
        ("predict", PORTRAIT, "--model", tmp_path / "m.onnx", "--save", tmp_path / "out"),
        ("evaluate", tmp_path / "m.onnx", "--data", "synthetic:70"),
    ):
        is_one_sentence(
            mien(*command),
            r"m\.onnx: expected probabilities .*The network may lack a softmax as its last layer\.",
        )
    assert files(tmp_path) <= {"m.onnx", "out"}


@pytest.mark.parametrize(
    ("command", "scale"),
    [
        (("evaluate", "--data", "synthetic:70"), "-1"),
        (("evaluate", "--data", "synthetic:70"), "inf"),
        (("export",), "0"),
        (("export",), "nan"),
    ],
)
def test_an_invalid_pixel_scale_is_refused(tmp_path: Path, command: tuple[str, ...], scale: str) -> None:
    name, *rest = command
    done = mien(name, tmp_path / "theirs.h5", *rest, *LABELS, f"--pixel-scale={scale}")
    is_one_sentence(done, f"Expected --pixel-scale to be a number over 0, got {scale}")


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["onnx", "keras", "h5", "int8"])
def test_a_network_without_softmax_is_not_exported(foreign: Path, tmp_path: Path, format_: str) -> None:
    target = tmp_path / f"out.{format_.replace('int8', 'onnx')}"
    done = mien("export", foreign / "logits.keras", *LABELS, "--format", format_, "--out", target)
    is_one_sentence(done, r"0 or more and sum to 1, got .*The network may lack a softmax as its last layer\.")
    assert not files(tmp_path)


@pytest.mark.slow
def test_a_keras_file_without_softmax_is_refused_even_with_a_card(foreign: Path, tmp_path: Path) -> None:
    from mien.training.keras_io import save_network
    from mien.training.keras_loading import load_network

    for card in (CARD, replace(CARD, temperature=1.3)):  # which would make them sum to 1
        logits = save_network(load_network(foreign / "logits.keras"), tmp_path / "logits.keras", card)
        is_one_sentence(
            mien("predict", PORTRAIT, "--model", logits),
            r"The network may lack a softmax as its last layer\.",
        )


def test_the_second_head_of_an_onnx_file_is_checked_too(tmp_path: Path) -> None:
    import onnx

    from mien.recognition.model_files import read_model

    model = onnx.load_model_from_string(read_model("small")[1])
    for node in model.graph.node:
        if "probabilities_2" in node.output:
            node.op_type = "Identity"
            del node.attribute[:]
    onnx.save(model, tmp_path / "m.onnx")
    done = mien("export", tmp_path / "m.onnx", "--out", tmp_path / "copy.onnx")
    is_one_sentence(done, r"The network may lack a softmax as its last layer\.")
    assert files(tmp_path) == {"m.onnx"}


@pytest.mark.slow
def test_the_remedy_for_unknown_labels_is_an_option_of_the_same_command(foreign: Path) -> None:
    theirs = foreign / "theirs.h5"
    for command in (
        ("predict", PORTRAIT, "--model", theirs),
        ("evaluate", theirs, "--data", "synthetic:70"),
        ("export", theirs),
    ):
        done = mien(*command)
        is_one_sentence(done, "for example --model-class-names angry,disgust")
        assert "mien export" not in done.stderr


@pytest.mark.slow
def test_custom_class_names_are_exported_and_mapped_where_possible(foreign: Path, tmp_path: Path) -> None:
    own = ("--model-class-names", "Anger,Disgust,Fear,Joy,Sadness,Surprised,Foo")
    done = mien("export", foreign / "theirs.h5", *own, "--format", "keras", "--out", tmp_path / "m.keras")
    assert done.returncode == 0, done.stderr
    assert json.loads(mien("model", tmp_path / "m.keras", "--json").stdout)["card"]["labels"][-1] == "Foo"
    done = mien("evaluate", foreign / "theirs.h5", "--data", "synthetic:70", *own)
    assert done.returncode == 0, done.stderr
    assert "neutral 1" in done.stderr  # images of a class that the model lacks are left out


@pytest.mark.slow
def test_every_head_of_a_network_is_checked(tmp_path: Path) -> None:
    import keras

    from mien.card import Head
    from mien.training.keras_io import save_network
    from mien.training.networks import Compact, build_network

    card = replace(CARD, temperature=1.3, heads=(Head("ferplus", FERPLUS.classes, "probabilities_2"),))
    network = build_network(Compact(), (7, 8))
    good = save_network(network, tmp_path / "good.keras", card)
    done = mien("export", good, "--format", "keras", "--out", tmp_path / "copy.keras")
    assert done.returncode == 0, done.stderr
    first, second = network.outputs
    broken = keras.Model(network.inputs, [first, keras.layers.Rescaling(2.0, name="doubled")(second)])
    bad = save_network(broken, tmp_path / "bad.keras", card)
    done = mien("export", bad, "--format", "keras", "--out", tmp_path / "not.keras")
    is_one_sentence(done, r"sums from 2 to 2\. The network may lack a softmax as its last layer\.")
    assert files(tmp_path) - {".mien-files.jsonl"} == {"good.keras", "copy.keras", "bad.keras"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "small"])
def test_the_license_of_a_bundled_model_cannot_be_changed(tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy.onnx"
    done = mien("export", name, "--out", copy, "--license", "CC0-1.0")
    is_one_sentence(done, f"{name} is bundled", f"mien model {name}")
    assert not copy.exists()
    assert mien("export", name, "--out", copy).returncode == 0
    assert "MIT, as far as it is ours to give. Trained on FER2013" in mien("model", copy).stdout
