"""Options of `mien train`, and the examples in its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.completion import choices, complete_models, complete_recipes
from mien.cli.help_text import examples

EXAMPLES = examples(
    "mien train --data fer2013.csv",
    "mien train --data my-folders/ --from small",
    "mien train --data faces/ --recipe compact --epochs 20 --out runs/mine",
    "mien train --resume --out runs/mine",
)

RecipeOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=complete_recipes,
        help="A recipe or the path of its JSON file; mien recipes lists them. Default: classic, or fine-tune with "
        "--from.",
    ),
]
EpochsOption = Annotated[
    int | None, typer.Option(metavar="N", help="Maximum number of epochs. Default: the recipe's.")
]
BatchSizeOption = Annotated[
    int | None, typer.Option(metavar="N", help="Batch size in images. Default: the recipe's.")
]
LearningRateOption = Annotated[
    float | None,
    typer.Option(
        metavar="X", help="Initial (plateau) or peak (cosine) learning rate. Default: the recipe's."
    ),
]
ScheduleOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("plateau", "cosine"),
        help="Learning rate schedule: plateau or cosine. Default: the recipe's.",
    ),
]
StoppingPatienceOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Epochs without a better score before training stops. Default: the recipe's."
    ),
]
LabelSmoothingOption = Annotated[
    float | None, typer.Option(metavar="X", help="Label smoothing, 0 to 0.99. Default: the recipe's.")
]
ClassWeightsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("none", "balanced"),
        help="none, or balanced: weight the loss by inverse class frequency. Default: the recipe's.",
    ),
]
JointOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Weight of a second head that learns the FER+ votes; 0 leaves it out. Default: the recipe's.",
    ),
]
TeacherOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL",
        autocompletion=complete_models,
        help="A model to learn from (ONNX, Keras, run folder or bundled); repeatable. Default: those of the recipe, "
        "which are trained first.",
    ),
]
DistillationWeightOption = Annotated[
    float | None,
    typer.Option(
        metavar="X", help="Share of each target that comes from the teachers, 0 to 1. Default: the recipe's."
    ),
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="MODEL",
        autocompletion=complete_models,
        help="Fine-tune a Keras or ONNX file, run folder or bundled model, for any classes; or start from its "
        "weights with another recipe of the same network.",
    ),
]
FreezeOption = Annotated[
    bool, typer.Option("--freeze", help="With --from: train the last layer only, on the trunk as it is.")
]
FrozenEpochsOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Epochs at the start in which only the last layer learns. Default: the recipe's."
    ),
]
TrunkRateOption = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Learning rate of all other layers, as a share of that of the last one, 0 to 1. Default: the recipe's.",
    ),
]
SelectOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("loss", "macro_f1", "last"),
        help="The epoch to keep, and what early stopping watches: loss, macro_f1 (of the validation split) or last. "
        "Default: the recipe's.",
    ),
]
SamplingOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("shuffled", "balanced"),
        help="shuffled: each image once per epoch; balanced: each class equally often. Default: the recipe's.",
    ),
]
LossOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("cross_entropy", "focal"),
        help="cross_entropy, or focal: weight down images that the network is sure of. Default: the recipe's.",
    ),
]
FocalGammaOption = Annotated[
    float | None, typer.Option(metavar="X", help="Strength of the focal loss. Default: 2.")
]
KfoldOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Cross-validate: N trainings, each tested on another part of the images; prints mean and spread. "
        "Default: one training.",
    ),
]
FindLrOption = Annotated[
    bool,
    typer.Option(
        "--find-lr", help="Do not train: try rising learning rates, plot the loss, and suggest one."
    ),
]
AugmentedCopiesOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Precomputed augmented copies per image; 0 augments while it trains. Default: the recipe's.",
    ),
]
AugmentationCacheOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        file_okay=False,
        help="Where they are kept, with the teachers' predictions, for other runs too. Default: in the run folder.",
    ),
]
MixupOption = Annotated[
    float | None, typer.Option(metavar="X", help="Alpha of mixup; 0 turns it off. Default: the recipe's.")
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("float32", "bfloat16"),
        help="Compute in float32 or bfloat16; the saved model is float32. Default: the recipe's.",
    ),
]
SeedOption = Annotated[
    int | None, typer.Option(metavar="N", help="Seed of all randomness. Default: the recipe's.")
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="RUN",
        file_okay=False,
        help="The run folder. Default: runs/RECIPE-LABELS-seedN.",
    ),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Resume the training in the run folder where it stopped.")
]
SaveEveryOption = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", min=0, help="Minimum seconds between two checkpoints. Default: 0, every epoch."
    ),
]
TensorboardOption = Annotated[
    bool | None,
    typer.Option(
        "--tensorboard/--no-tensorboard",
        help="Write logs for TensorBoard into the folder tensorboard of the run folder. Needs the extra tensorboard. "
        "View all runs with: tensorboard --logdir runs",
    ),
]
MlflowOption = Annotated[
    bool | None,
    typer.Option(
        "--mlflow/--no-mlflow",
        help="Log settings and scores with MLflow, to the address of --mlflow-uri. Needs the package mlflow.",
    ),
]
MlflowUriOption = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="Tracking URI of MLflow, such as http://127.0.0.1:5000; turns --mlflow on. Default: the environment "
        "variable MLFLOW_TRACKING_URI, else the file mlflow.db in the run folder.",
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=choices("tensorflow", "jax", "torch"),
        help="The Keras backend: tensorflow, jax or torch. Default: the one that is installed.",
    ),
]
DevicesOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|all", help="Devices to train on, with JAX; they share each batch evenly. Default: one."
    ),
]
HostsOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT,HOST,...",
        help="Hosts that train together, with JAX; the others meet at the first. Run the same command on each, with "
        "the same files. Default: this one alone.",
    ),
]
HostIndexOption = Annotated[
    int | None, typer.Option(metavar="I", min=0, help="Place of this host in --hosts, from 0. No default.")
]
