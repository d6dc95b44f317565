"""Schema of the output: one row per input, or with `flat` one row per face.

Columns of `rows/*.parquet`. Coordinates are pixels of the upright image, x to the right and y down, from its upper left
corner; *left* and *right* are sides of the image. Probabilities and confidences are in [0, 1].

    id            int64    hash of the location, size and ETag of the input
    uri           string   absolute path or URL of the image or video, or of the tar or Parquet file that contains it
    member        string   name in the tar, or row of the Parquet file; null for a file
    kind          string   image or video
    bytes         int64    size of the input in bytes; null if unknown
    width, height int32    size of the image or video frame in pixels; null for a failed input
    frames        int32    number of processed frames: 1 for an image
    faces         list     detected faces, in an image the largest first:
        box           struct   x, y, width, height: int32, pixels
        landmarks     struct   left_eye, right_eye, nose, left_mouth, right_mouth: struct x, y of float32, pixels
        label         string   the most probable expression, or "uncertain" below min_confidence
        score         float32  probability of the most probable expression
        probabilities struct   a float32 for each expression
        confidence    float32  face detection confidence
        frame         int32    frame number in the video; null for an image
        seconds       float64  time of the frame from the start of the video; null for an image
    error         string   why the input failed; null otherwise
    error_kind    string   missing, forbidden, unreachable, unreadable, too large, memory, timeout (of a video frame)
                           or worker (the input was set aside); null if there is no error
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from mien.bulk.entries import Entry
    from mien.recognition.faces import Face

POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
SIDES = ("x", "y", "width", "height")
SET_ASIDE = "and was set aside."
"""Suffix of the error messages of inputs that were set aside."""

OUTPUT_FORMAT = 1
"""Version of this schema."""


def nested_schema(classes: Sequence[str]) -> pa.Schema:
    """Return the schema with one row per input."""
    import pyarrow as pa

    whole, real, text = pa.int32(), pa.float32(), pa.string()
    point = pa.struct([("x", real), ("y", real)])
    face = pa.struct([
        ("box", pa.struct([(side, whole) for side in SIDES])),
        ("landmarks", pa.struct([(name, point) for name in POINTS])),
        ("label", text),
        ("score", real),
        ("probabilities", pa.struct([(name, real) for name in classes])),
        ("confidence", real),
        ("frame", whole),
        ("seconds", pa.float64()),
    ])  # fmt: skip
    columns = [*_input_columns(), ("faces", pa.list_(face)), ("error", text), ("error_kind", text)]
    return pa.schema(columns, metadata=_metadata())


def flat_schema(classes: Sequence[str]) -> pa.Schema:
    """Return the schema with one row per face; an input without faces has one row, whose face is null."""
    import pyarrow as pa

    whole, real, text = pa.int32(), pa.float32(), pa.string()
    columns = [
        *_input_columns(image="image_"),
        ("face", whole),
        ("frame", whole),
        ("seconds", pa.float64()),
        *((side, whole) for side in SIDES),
        *((f"{name}_{axis}", real) for name in POINTS for axis in "xy"),
        ("label", text),
        ("score", real),
        *((f"probability_{name}", real) for name in classes),
        ("confidence", real),
        ("error", text),
        ("error_kind", text),
    ]
    return pa.schema(columns, metadata=_metadata())


def _input_columns(image: str = "") -> list[tuple[str, Any]]:
    import pyarrow as pa

    whole, text = pa.int32(), pa.string()
    return [
        ("id", pa.int64()), ("uri", text), ("member", text), ("kind", text), ("bytes", pa.int64()),
        (f"{image}width", whole), (f"{image}height", whole), ("frames", whole),
    ]  # fmt: skip


def _metadata() -> dict[str, str]:
    return {"mien.rows": str(OUTPUT_FORMAT)}


def face_row(face: Face, frame: int | None = None, seconds: float | None = None) -> dict[str, Any]:
    """Convert a face to an item of the column `faces`."""
    marks = face.landmarks
    return {
        "box": face.box.to_dict(),
        "landmarks": {name: dict(zip("xy", map(float, getattr(marks, name)), strict=True)) for name in POINTS}
        if marks
        else None,
        "label": face.expression.label,
        "score": float(face.expression.score),
        "probabilities": dict(face.expression.probabilities),
        "confidence": float(face.confidence),
        "frame": frame,
        "seconds": seconds,
    }


def input_row(entry: Entry, **found: Any) -> dict[str, Any]:
    """Return the row of an input; columns that are not given are empty."""
    row: dict[str, Any] = {
        "id": entry.id, "uri": entry.uri, "member": entry.member, "kind": entry.kind,
        "bytes": entry.bytes if entry.bytes >= 0 else None, "width": None, "height": None, "frames": 0,
        "faces": [], "error": None, "error_kind": None,
    }  # fmt: skip
    return row | found


def failed_row(entry: Entry, reason: str, kind: str | None) -> dict[str, Any]:
    """Return the row of a failed input; its error begins with the name of the input."""
    name = quoted_path(entry.name)
    error = reason if reason.startswith(name) else f"{name}: {reason}"
    return input_row(entry, error=error, error_kind=kind)


def set_aside(entry: Entry, attempts: int, reason: str) -> dict[str, Any]:
    """Return the row of an input that reached the maximum number of attempts."""
    times = "once" if attempts == 1 else f"{attempts} times"
    return failed_row(entry, f"it ended its worker {times} ({reason}) {SET_ASIDE}", "worker")


def is_set_aside(error_kind: str | None, error: str | None) -> bool:
    """Return whether the error in a row means that the input was set aside."""
    # Older versions wrote `timeout` for a worker that did not respond; it is also the kind of a late video frame.
    return error_kind == "worker" or (error_kind == "timeout" and bool(error and error.endswith(SET_ASIDE)))


def flatten(row: dict[str, Any], classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield one row per face of an input's row, or one row if it has no faces."""
    common = {
        name: row[name] for name in ("id", "uri", "member", "kind", "bytes", "frames", "error", "error_kind")
    }
    common |= {"image_width": row["width"], "image_height": row["height"]}
    for number, face in enumerate(row["faces"]):
        marks = face["landmarks"] or {name: {"x": None, "y": None} for name in POINTS}
        yield {
            **common,
            **face["box"],
            **{f"{name}_{axis}": marks[name][axis] for name in POINTS for axis in "xy"},
            **{f"probability_{name}": face["probabilities"][name] for name in classes},
            **{name: face[name] for name in ("label", "score", "confidence", "frame", "seconds")},
            "face": number,
        }
    if not row["faces"]:
        yield common


def rows_to_table(rows: Iterable[dict[str, Any]], classes: Sequence[str], *, flat: bool) -> pa.Table:
    """Convert rows of inputs to a table for writing."""
    import pyarrow as pa

    if not flat:
        return pa.Table.from_pylist(list(rows), schema=nested_schema(classes))
    return pa.Table.from_pylist(
        [one for row in rows for one in flatten(row, classes)], schema=flat_schema(classes)
    )
