"""The rows that are written: one for each input, or with `flat` one for each face.

Schema of `rows/*.parquet`. Coordinates are pixels of the upright image, x to the right and y down, from its upper left
corner; *left* and *right* are those of the image. Probabilities and confidences are in [0, 1].

    id            int64    hash of where the input is and of its size or ETag
    uri           string   absolute path or URL of the file: the image or video, or the tar or Parquet file that holds it
    member        string   name in the tar, or the row of the Parquet file; null for a file
    kind          string   image or video
    bytes         int64    size of the input in bytes; null where it is not known
    width, height int32    of the image in pixels; null where it failed
    frames        int32    frames that were looked at: 1 for an image
    faces         list     of the faces, in an image the largest first:
        box           struct   x, y, width, height: int32, pixels
        landmarks     struct   left_eye, right_eye, nose, left_mouth, right_mouth: struct x, y of float32, pixels
        label         string   the most probable expression, or "uncertain" below min_confidence
        score         float32  its probability
        probabilities struct   a float32 for each expression
        confidence    float32  of the detector that it is a face
        frame         int32    number of the frame in a video; null for an image
        seconds       float64  when it is shown, from the beginning; null for an image
    error         string   why the input failed; null where it did not
    error_kind    string   missing, forbidden, unreachable, unreadable, too large, memory, timeout (of a frame of a
                           video) or worker (set aside)
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
"""The end of the errors of inputs that were set aside."""

OUTPUT_FORMAT = 1
"""The version of this schema."""


def nested_schema(classes: Sequence[str]) -> pa.Schema:
    """The columns of a row for each input."""
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
    """The columns of a row for each face; an input without faces has one row, whose face is null."""
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
    """A face as an item of the column `faces`."""
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
    """The row of an input; what is not given is empty."""
    row: dict[str, Any] = {
        "id": entry.id, "uri": entry.uri, "member": entry.member, "kind": entry.kind,
        "bytes": entry.bytes if entry.bytes >= 0 else None, "width": None, "height": None, "frames": 0,
        "faces": [], "error": None, "error_kind": None,
    }  # fmt: skip
    return row | found


def failed_row(entry: Entry, reason: str, kind: str | None) -> dict[str, Any]:
    """The row of an input that failed; the reason begins with its name."""
    name = quoted_path(entry.name)
    error = reason if reason.startswith(name) else f"{name}: {reason}"
    return input_row(entry, error=error, error_kind=kind)


def set_aside(entry: Entry, attempts: int, reason: str) -> dict[str, Any]:
    """The row of an input that ended its worker as often as it may."""
    times = "once" if attempts == 1 else f"{attempts} times"
    return failed_row(entry, f"it ended its worker {times} ({reason}) {SET_ASIDE}", "worker")


def is_set_aside(error_kind: str | None, error: str | None) -> bool:
    """Whether the row of an input says that it was set aside."""
    # Older versions gave inputs without an answer the kind `timeout`, which is that of a late frame, too.
    return error_kind == "worker" or (error_kind == "timeout" and bool(error and error.endswith(SET_ASIDE)))


def flatten(row: dict[str, Any], classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row for each face of an input's row."""
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
    """Rows of inputs as a table to write."""
    import pyarrow as pa

    if not flat:
        return pa.Table.from_pylist(list(rows), schema=nested_schema(classes))
    return pa.Table.from_pylist(
        [one for row in rows for one in flatten(row, classes)], schema=flat_schema(classes)
    )
