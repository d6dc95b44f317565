"""Options of `mien train`, and the examples in its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.completion import choices, complete_devices, complete_models, complete_recipes
from mien.cli.help_text import examples

EXAMPLES = examples(
    "mien train --data fer2013.csv",
    "mien train --data my-folders/ --from small",
    "mien train --data faces/ --recipe compact --epochs 20 --out runs/mine",
    "mien train --resume --out runs/mine",
)

_OF_THE_RECIPE = "from the recipe"
"""The default of an option that changes a setting of the recipe."""

RecipeOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=complete_recipes,
        help="Recipe name (see mien recipes), or path of a JSON recipe.",
        show_default="classic; with --from, fine-tune",
    ),
]
EpochsOption = Annotated[
    int | None, typer.Option(metavar="N", help="Maximum number of epochs.", show_default=_OF_THE_RECIPE)
]
BatchSizeOption = Annotated[
    int | None, typer.Option(metavar="N", help="Batch size in images.", show_default=_OF_THE_RECIPE)
]
LearningRateOption = Annotated[
    float | None,
    typer.Option(
        metavar="X", help="Initial (plateau) or peak (cosine) learning rate.", show_default=_OF_THE_RECIPE
    ),
]
ScheduleOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("plateau", "cosine"),
        help="Learning rate schedule: plateau or cosine.",
        show_default=_OF_THE_RECIPE,
    ),
]
StoppingPatienceOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Stop after this many epochs without a better validation score.",
        show_default=_OF_THE_RECIPE,
    ),
]
LabelSmoothingOption = Annotated[
    float | None,
    typer.Option(metavar="X", help="Label smoothing, 0 to 0.99.", show_default=_OF_THE_RECIPE),
]
ClassWeightsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("none", "balanced"),
        help="Class weights of the loss: none, or balanced (inverse class frequency).",
        show_default=_OF_THE_RECIPE,
    ),
]
JointOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Loss weight of a second head trained on the FER+ votes; 0 for no second head.",
        show_default=_OF_THE_RECIPE,
    ),
]
TeacherOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL",
        autocompletion=complete_models,
        help="Model to distill from: an ONNX or Keras file, a run folder or a bundled model; repeatable.",
        show_default="the teachers of the recipe, which are trained first",
    ),
]
DistillationWeightOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Share of each target that comes from the teachers' predictions, 0 to 1.",
        show_default=_OF_THE_RECIPE,
    ),
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="MODEL",
        autocompletion=complete_models,
        help="Fine-tune this model (a Keras or ONNX file, a run folder or a bundled model) for the classes of the data. "
        "With --recipe: start from its weights; the network must be the same.",
        show_default="random weights",
    ),
]
FreezeOption = Annotated[
    bool,
    typer.Option("--freeze", help="With --from: train only the last layer; the others keep their weights."),
]
FrozenEpochsOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Number of epochs at the start in which only the last layer is trained.",
        show_default=_OF_THE_RECIPE,
    ),
]
TrunkRateOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Learning rate of all layers but the last, as a share of the learning rate, 0 to 1.",
        show_default=_OF_THE_RECIPE,
    ),
]
SelectOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("loss", "macro_f1", "last"),
        help="How to choose the epoch to keep: the lowest loss or the highest macro_f1 on the validation split, or "
        "last. Early stopping watches the same score.",
        show_default=_OF_THE_RECIPE,
    ),
]
SamplingOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("shuffled", "balanced"),
        help="shuffled: each image once per epoch; balanced: each class equally often.",
        show_default=_OF_THE_RECIPE,
    ),
]
LossOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("cross_entropy", "focal"),
        help="Loss function: cross_entropy, or focal, which gives less weight to images that are classified well.",
        show_default=_OF_THE_RECIPE,
    ),
]
FocalGammaOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Focusing parameter of the focal loss; 2 in the built-in recipes.",
        show_default=_OF_THE_RECIPE,
    ),
]
KfoldOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Cross-validate: train N times, test each time on another fold of the images, and print mean and standard "
        "deviation of the scores.",
        show_default="off",
    ),
]
FindLrOption = Annotated[
    bool,
    typer.Option(
        "--find-lr",
        help="Run a learning rate range test instead of a training: plot the loss and suggest a learning rate.",
    ),
]
AugmentedCopiesOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Precomputed augmented copies per image; 0 to augment during training.",
        show_default=_OF_THE_RECIPE,
    ),
]
AugmentationCacheOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        file_okay=False,
        help="Folder for the augmented copies and the teachers' predictions for them; other runs on the same images "
        "reuse them.",
        show_default="in the run folder until the training ends",
    ),
]
MixupOption = Annotated[
    float | None,
    typer.Option(metavar="X", help="Mixup alpha; 0 turns mixup off.", show_default=_OF_THE_RECIPE),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("float32", "bfloat16"),
        help="Precision of the computation: float32 or bfloat16. The saved model is float32.",
        show_default=_OF_THE_RECIPE,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Random seed of the initial weights, the order of the images, augmentation and dropout.",
        show_default=_OF_THE_RECIPE,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        file_okay=False,
        help="The run folder.",
        show_default="runs/RECIPE-LABELS-seedN",
    ),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Resume the training in the run folder from its last checkpoint.")
]
SaveEveryOption = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0,
        help="Minimum time between two checkpoints.",
        show_default="0, after every epoch",
    ),
]
TensorboardOption = Annotated[
    bool | None,
    typer.Option(
        "--tensorboard/--no-tensorboard",
        help="Log to TensorBoard, in the folder tensorboard of the run folder. Needs the extra tensorboard.",
    ),
]
MlflowOption = Annotated[
    bool | None,
    typer.Option(
        "--mlflow/--no-mlflow",
        help="Log settings and scores to MLflow (see --mlflow-uri). Needs the package mlflow.",
    ),
]
MlflowUriOption = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="MLflow tracking URI, such as http://127.0.0.1:5000; turns --mlflow on.",
        show_default="MLFLOW_TRACKING_URI, else mlflow.db in the run folder",
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("tensorflow", "jax", "torch"),
        help="Keras backend: tensorflow, jax or torch.",
        show_default="the installed one",
    ),
]
DevicesOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|all",
        autocompletion=complete_devices,
        help="Number of devices per host to train on; each batch is divided evenly among them. Needs the JAX backend.",
        show_default="1",
    ),
]
HostsOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT,HOST,...",
        help="Hosts to train on; they connect to the first. Run the same command with the same files on each. Needs the "
        "JAX backend.",
        show_default="this host only",
    ),
]
HostIndexOption = Annotated[
    int | None,
    typer.Option(
        metavar="I",
        min=0,
        help="Index of this host in --hosts, from 0; required with --hosts.",
        show_default="none",
    ),
]
