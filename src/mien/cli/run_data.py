"""The data that a run was trained on, found again for its evaluation: the path, and the tenth that it held out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli.options import load_data
from mien.errors import DataError, MienError, ModelError

if TYPE_CHECKING:
    from mien.cli.models import LoadedModel
    from mien.data.dataset import Dataset
    from mien.training.run_folder import Origin


def find_data(
    model: LoadedModel,
    data: str | None,
    taxonomy: str,
    votes: Path | None,
    split: str,
    *,
    class_names: str | None = None,
    cache: bool,
) -> Dataset:
    """The data to judge a model on.

    Args:
        model: the model; where it stands in a run folder, that says what it was trained on.
        data: what the command names, if anything.
        taxonomy: the label set.
        votes: the FER+ votes, where they are named.
        split: what is to be judged. For PublicTest of data that have none it is the tenth of Training that the run held
            out.
        class_names: what the numbers of the data stand for, where it is said; else what the run was told.
        cache: whether the table's arrays are kept for the next time.

    Raises:
        DataError: the data are not there, or have no such split.
        ModelError: no data are named and there is no run that knows them, or they have changed since.
    """
    from mien.data.dataset import PUBLIC_TEST

    folder = model.folder or model.path.parent
    origin = _read_origin(folder)
    if data is None and origin is None:
        raise ModelError(
            f"{model.name}: expected the data to judge on, for it is not in a run folder that knows them. "
            "Name them with --data PATH, or --data synthetic for drawn faces."
        )
    path = data or (origin.path if origin else "")
    votes = votes or (Path(origin.votes) if origin and origin.votes and not data else None)
    class_names = class_names or (origin.class_names if origin and not data else None)
    try:
        dataset = load_data(path, taxonomy, votes, class_names=class_names, cache=cache)
    except MienError as error:
        if data is None and not Path(path).exists() and path.partition(":")[0] != "synthetic":
            raise DataError(
                f"{folder} was trained on {path[-80:]}, which is not there as seen from this folder. Say where it is "
                "now with --data PATH."
            ) from error
        raise
    if origin is None:
        return dataset
    if split == PUBLIC_TEST and not (dataset.split == PUBLIC_TEST).any():
        return _with_held_out(dataset, folder, origin, path)
    if data is None and (told := _changed(dataset, folder, origin)):
        raise ModelError(
            f"{path} has changed since {folder} was trained on it ({told}). To judge on it as it is now, name it: "
            f"--data {path}"
        )
    return dataset


def _read_origin(folder: Path) -> Origin | None:
    if not (folder / "recipe.json").is_file():
        return None
    from mien.cli.models import prepare_keras

    prepare_keras()
    from mien.training.run_folder import read_origin

    try:
        return read_origin(folder)
    except ModelError:  # somebody else's file of that name
        return None


def _with_held_out(dataset: Dataset, folder: Path, origin: Origin, path: str) -> Dataset:
    """The data set with the tenth of Training that a run held out as its PublicTest.

    Raises:
        ModelError: it is not the same any more.
    """
    from mien.data.inspection import hold_out

    if told := _changed(hold_out(dataset), folder, origin):
        raise ModelError(
            f"{path} is not what {folder} was trained on ({told}), so the tenth that it held out cannot be found again. "
            "Judge on another split, or on the data as they were."
        )
    return hold_out(dataset)


def _changed(dataset: Dataset, folder: Path, origin: Origin) -> str:
    """In what a data set differs from the one that a run was trained on; empty where it does not or cannot be told."""
    from mien.data.dataset import PUBLIC_TEST, TRAINING
    from mien.data.inspection import hold_out, without_copies
    from mien.training.checkpoint import read_state
    from mien.training.resume import fingerprint
    from mien.training.run_folder import LAST

    if not (folder / LAST).is_file():
        return ""
    known = read_state(folder / LAST).data
    if dataset.taxonomy.name != known.get("taxonomy") or not (dataset.split == TRAINING).any():
        return ""
    if not (dataset.split == PUBLIC_TEST).any():
        dataset = hold_out(dataset)
    if origin.recipe.drop_copies:
        dataset = without_copies(dataset)
    now = fingerprint(dataset.subset(TRAINING), dataset.subset(PUBLIC_TEST))
    for name in ("training", "validation"):
        if now[name] != known.get(name):
            return f"{known.get(name)} {name} pictures then, {now[name]} now"
    if not origin.teachers and now["sha256"] != known.get("sha256"):
        return "other pictures or labels"
    return ""
