"""Request and response types of the API, from which the OpenAPI document is made."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Probability = Field(ge=0, le=1)

LABEL_SET_OPTIONS = ("label_set", "taxonomy", "labels")
"""The options that name the label set; the first is the documented one."""


class Options(BaseModel):
    """Options of recognition."""

    model_config = ConfigDict(extra="forbid")

    max_faces: int | None = Field(
        None, ge=1, description="Maximum number of faces per image; the largest are kept."
    )
    label_set: str | None = Field(
        None, description="Label set of the predictions; by default that of the model."
    )
    taxonomy: str | None = Field(None, description="Alias of label_set.")
    labels: str | None = Field(None, description="Alias of label_set, after the option of the command.")
    min_confidence: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Below this score the label of a face is `uncertain`; its probabilities and score are kept.",
    )
    min_detection_confidence: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Leave out faces with a lower detection confidence. The bundled detector gives none under 0.3, "
        "except for images of at most 64x64 pixels that are a face crop, where it is 0.15 or more.",
    )
    explain: bool = Field(False, description="Add a heat map to each face.")

    @property
    def chosen_label_set(self) -> str | None:
        """The requested label set, from any of the options that name it."""
        return next(iter(self.named_label_sets.values()), None)

    @property
    def named_label_sets(self) -> dict[str, str]:
        """The options that name a label set, with their values."""
        values = {name: getattr(self, name) for name in LABEL_SET_OPTIONS}
        return {name: value for name, value in values.items() if value is not None}


class VideoOptions(Options):
    """Options of recognition in a video."""

    every: int = Field(1, ge=1, le=100, description="Process every Nth frame.")


class Box(BaseModel):
    """A rectangle in pixels of the upright image; it may extend beyond its edge."""

    x: int
    y: int
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class Heat(BaseModel):
    """Which parts of a face supported its expression."""

    label: str
    values: list[list[float]] = Field(description="Rows over the crop of 48x48 pixels, from 0 to 1.")
    transform: list[list[float]] = Field(description="Two rows: the affine map from image to crop pixels.")


class Face(BaseModel):
    """A face and the expression it shows, which is not what a person feels."""

    box: Box
    label: str = Field(description="The most probable expression, or `uncertain` below min_confidence.")
    score: float = Field(ge=0, le=1, description="The probability of the most probable expression.")
    probabilities: dict[str, float] = Field(description="Of every expression; they sum to 1.")
    confidence: float = Field(ge=0, le=1, description="Face detection confidence.")
    landmarks: dict[str, list[float]] | None = Field(
        description="x and y of eyes, nose and corners of the mouth."
    )
    heat: Heat | None = Field(None, description="With explain only.")


class TrackedFace(Face):
    """A face in a video."""

    track: int = Field(description="A number that the face keeps from frame to frame.")


class Image(BaseModel):
    """The result for one image."""

    source: str = Field(description="The file name that was sent.")
    width: int | None
    height: int | None
    error: str | None = Field(description="Why it failed, if it did.")
    note: str | None = Field(
        None, description="What was left out, if anything: of an animated image all but the first frame."
    )
    faces: list[Face] = Field(description="The largest first.")


_FACE: dict[str, Any] = {
    "box": {"x": 222, "y": 84, "width": 158, "height": 196},
    "label": "happy",
    "score": 0.93,
    "probabilities": {
        "angry": 0.01, "disgust": 0.0, "fear": 0.01, "happy": 0.93, "sad": 0.01, "surprise": 0.01, "neutral": 0.03,
    },
    "confidence": 0.98,
    "landmarks": {
        "left_eye": [262.5, 160.1], "right_eye": [340.2, 158.0], "nose": [303.3, 205.9],
        "left_mouth": [272.4, 238.8], "right_mouth": [336.0, 236.5],
    },
}  # fmt: skip
_MODEL = "small-fer2013"


class Recognized(BaseModel):
    """Faces and expressions in all images of a request, in order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": _MODEL,
                    "images": [
                        {
                            "source": "holiday.jpg",
                            "width": 640,
                            "height": 480,
                            "error": None,
                            "faces": [_FACE],
                        }
                    ],
                }
            ]
        }
    )

    model: str = Field(description="The name on the model's card, see /v1/model.")
    images: list[Image]


class VideoRow(BaseModel):
    """A frame of a video: one line of the response."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"frame": 0, "seconds": 0.0, "width": 640, "height": 480, "faces": [{**_FACE, "track": 1}]}
            ]
        }
    )

    frame: int
    seconds: float
    width: int
    height: int
    faces: list[TrackedFace]


class VideoEnd(BaseModel):
    """The last line of the response to a video."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"done": True, "frames": 250, "error": None}]})

    done: Literal[True]
    frames: int = Field(description="Frames that were processed.")
    error: str | None = Field(description="Why frames are missing, if any are.")


class Model(BaseModel):
    """The model, and the limits of the service."""

    name: str
    version: str = Field(description="Version of mien.")
    class_names: list[str] = Field(
        description="The classes of the default label set of the model, in index order."
    )
    label_sets: dict[str, list[str]] = Field(
        description="The classes of each label set that the model supports, by its name."
    )
    labels: list[str] = Field(description="Alias of class_names.")
    taxonomies: dict[str, list[str]] = Field(description="Alias of label_sets.")
    card: dict[str, Any] = Field(description="The model card: training data, scores and limits.")
    limits: dict[str, float] = Field(description="The limits of one worker.")


class Health(BaseModel):
    """Whether the service is up."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: str


class Problem(BaseModel):
    """Why a request was not served (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unsupported Media Type",
                    "status": 415,
                    "detail": "Expected an image (JPEG, PNG, WebP, BMP, GIF), recognized by its content, "
                    "got a PDF document.",
                    "expected": "an image (JPEG, PNG, WebP, BMP, GIF), recognized by its content",
                    "received": "a PDF document",
                    "remedy": "Convert it to JPEG or PNG.",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    expected: str
    received: str
    remedy: str
