"""Models on the Hugging Face Hub: upload with the card as README and checksums, download and verify.

import mien

mien.push("runs/mine", "hf://me/my-faces")
mien.pull("hf://me/my-faces", "models/")
"""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import MissingExtra, ModelError
from mien.ownership import guarding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mien.card import ModelCard
    from mien.workflows.run import Run

MODEL = "model.onnx"
CHECKSUMS = "SHA256SUMS"
_PREFIX = "hf://"
_ADDRESS = re.compile(r"hf://(\w[\w.-]*/\w[\w.-]*)(?:@([\w./-]+))?")
_MOST_BYTES = 2 * 2**30
_SECONDS = 20
"""Timeout for the first response of the server."""


@dataclass(frozen=True)
class Address:
    """A repository on the Hub.

    Args:
        repository: `user/model`.
        revision: a branch, tag or commit; `None` for the default branch.
    """

    repository: str
    revision: str | None = None


def parse_address(text: str) -> Address:
    """Parse the address of a repository.

    Raises:
        ModelError: If it is not an address.

    >>> parse_address("hf://me/faces@v1")
    Address(repository='me/faces', revision='v1')
    """
    match = _ADDRESS.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ModelError(f"Expected an address such as hf://user/model, got {str(text)[:80]!r}.")
    return Address(match[1], match[2])


def push(model: str | Path | Run, address: str, *, private: bool = False) -> str:
    """Upload a model.

    Args:
        model: a `mien.Run` or run folder with a `model.onnx`, or an ONNX file with a model card.
        address: `hf://user/model`.
        private: whether a new repository is private.

    Returns:
        The address of its page.

    Raises:
        ModelError: If the model has no card, the server cannot be reached, or it rejects the request.
        MissingExtra: If huggingface_hub is not installed.
    """
    from mien.recognition.model_files import read_model
    from mien.recognition.onnx_card import read_card

    place = parse_address(address)
    name, data = read_model(model if isinstance(model, str | Path) else model.folder)
    card = read_card(name, data)
    hub = _hub()
    with tempfile.TemporaryDirectory() as folder, _explained(address, "upload to"), _quiet(hub):
        files = {
            MODEL: data,
            "card.json": card.to_json().encode(),
            "README.md": write_readme(card).encode(errors="backslashreplace"),
        }
        sums = [f"{hashlib.sha256(content).hexdigest()}  {file}" for file, content in files.items()]
        for file, content in {**files, CHECKSUMS: ("\n".join(sums) + "\n").encode()}.items():
            Path(folder, file).write_bytes(content)
        api = hub.HfApi()
        _require_reachable(hub, api.endpoint)
        api.create_repo(place.repository, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=place.repository,
            folder_path=folder,
            revision=place.revision,
            commit_message=f"Upload {card.name}",
        )
        return f"{api.endpoint}/{place.repository}"


push_model = push
"""Former name of `push`."""


def pull(address: str, out: str | Path | None = None, *, force: bool = False) -> Path:
    """Download a model and verify it.

    Args:
        address: `hf://user/model`, optionally with `@revision`; by default the newest one.
        out: the output folder; by default a folder named for the model in the current folder.
        force: replace files there that mien did not write.

    Returns:
        The path of the ONNX file.

    Raises:
        ModelError: If the server cannot be reached, the repository contains no model with a card, or a file does not
            match its checksum.
        DataError: If there is a file of that name that mien did not write, and `force` is not set.
        MissingExtra: If huggingface_hub is not installed.
    """
    from mien.files import path_on_disk, write_bytes
    from mien.recognition.onnx_card import read_card

    place = parse_address(address)
    folder = path_on_disk(out) if out is not None else Path(place.repository.split("/")[1])
    hub = _hub()
    with tempfile.TemporaryDirectory() as cache, _explained(address, "download from"), _quiet(hub):
        _require_reachable(hub, hub.hf_hub_url(place.repository, MODEL, revision=place.revision))
        found = {}
        for file in (MODEL, CHECKSUMS):
            path = Path(hub.hf_hub_download(place.repository, file, revision=place.revision, cache_dir=cache))
            if path.stat().st_size > _MOST_BYTES:
                raise ModelError(
                    f"{address}: expected a model of at most {_MOST_BYTES >> 30} GiB, got a larger file."
                )
            found[file] = path.read_bytes()
    _verify(address, found)
    card = read_card(f"{address}/{MODEL}", found[MODEL])
    with guarding(
        "Choose another folder with `out`, or replace the files with `force=True`.",
        folder=folder,
        force=force,
    ) as guard:
        for file in (MODEL, "card.json"):
            guard.check(folder / file)
        write_bytes(folder / MODEL, found[MODEL])
        write_bytes(folder / "card.json", (card.to_json() + "\n").encode())
    return folder / MODEL


pull_model = pull
"""Former name of `pull`."""


def _verify(address: str, found: dict[str, bytes]) -> None:
    lines = found[CHECKSUMS].decode("utf-8", "replace").splitlines()
    known = {name.strip(): digest for digest, _, name in (line.partition("  ") for line in lines)}
    digest = hashlib.sha256(found[MODEL]).hexdigest()
    if known.get(MODEL) != digest:
        raise ModelError(
            f"{address}: expected {MODEL} with the SHA-256 {str(known.get(MODEL))[:12]}…, got {digest[:12]}…: the "
            "download is damaged, or the file was replaced without its checksum. Download it again, or ask its owner."
        )


def write_readme(card: ModelCard) -> str:
    """Return the README of a repository: the model card, with the front matter that the Hub reads."""
    license_ = "other" if card.license == "not stated" else card.license.lower()
    head = ["---", "library_name: mien", "pipeline_tag: image-classification"]
    head += ["tags:", "- facial-expression-recognition"]
    if re.fullmatch(r"[a-z0-9.-]+", license_):
        head.append(f"license: {license_}")
    lines = [
        *head,
        "---",
        "",
        f"# {card.name}",
        "",
        f"Classes ({card.label_set}): {', '.join(card.labels)}.",
        "",
    ]
    spec = card.input
    lines += [
        f"Input: {spec.color} faces of {spec.width}x{spec.height} pixels, {spec.low:g} to {spec.high:g}.",
        "",
    ]
    if card.training_data:
        lines += [f"Training data: {card.training_data}.", ""]
    lines += [f"License: {card.license}.", "", f"Limits: {card.limits}", ""]
    if card.scores:
        lines += ["| data | images | accuracy | macro-F1 |", "|---|---|---|---|"]
        for split, row in card.scores.items():
            if isinstance(row, dict) and isinstance(row.get("accuracy"), float):
                f1 = row.get("macro_f1")
                told = f"{f1:.4f}" if isinstance(f1, float) else ""
                lines.append(f"| {split} | {row.get('n', '')} | {row['accuracy']:.2%} | {told} |")
        lines.append("")
    lines += ["```python", "import mien", "", f'classifier = mien.Classifier("{MODEL}")', "```", ""]
    return "\n".join(lines)


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.utils
    except ImportError as error:
        raise MissingExtra("huggingface_hub", "hub") from error
    return huggingface_hub


@contextmanager
def _explained(address: str, what: str) -> Iterator[None]:
    """Convert exceptions of huggingface_hub to a `ModelError`."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(_sentence(f"{address}: cannot {what} the Hub", error)) from error


def _sentence(begin: str, error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in {401, 403}:
        return f"{begin}: not allowed ({status}). Log in with: hf auth login, or set HF_TOKEN."
    if status == 404 or ("NotFound" in type(error).__name__ and "Local" not in type(error).__name__):
        return (
            f"{begin}: there is no such repository or revision, or it lacks {MODEL} or {CHECKSUMS}, which `mien push` "
            "writes."
        )
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
    return (
        f"{begin}: {reason}. Check the network connection. HF_ENDPOINT selects another server; a file that is here "
        "already needs no download."
    )


@contextmanager
def _quiet(hub: Any) -> Iterator[None]:
    """Suppress huggingface_hub's warnings for each retry, and its progress bars if standard error is not a terminal."""
    utils = hub.utils
    level, shows = utils.logging.get_verbosity(), not utils.are_progress_bars_disabled()
    hides = shows and not (sys.stderr and sys.stderr.isatty())
    utils.logging.set_verbosity_error()
    if hides:
        utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.logging.set_verbosity(level)
        if hides:
            utils.enable_progress_bars()


def _require_reachable(hub: Any, url: str) -> None:
    """Send one request to a server, because huggingface_hub retries for half a minute; any response is accepted.

    Raises:
        Exception: If there is no response; the type depends on the HTTP library of huggingface_hub.
    """
    hub.utils.get_session().head(url, timeout=_SECONDS)
