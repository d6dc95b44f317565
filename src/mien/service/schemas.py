"""The API in types: what may be asked and what is answered; the OpenAPI document is made of these."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Probability = Field(ge=0, le=1)


class Options(BaseModel):
    """How pictures are to be recognised."""

    model_config = ConfigDict(extra="forbid")

    max_faces: int | None = Field(
        None, ge=1, description="Keep only so many faces of a picture, the largest."
    )
    taxonomy: Literal["fer2013", "ferplus"] | None = Field(
        None, description="The label set to answer in; the model's own by default."
    )
    labels: Literal["fer2013", "ferplus"] | None = Field(
        None, description="Another name of taxonomy, that of the command's option."
    )
    min_confidence: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Leave out faces of which the detector is less sure. It gives none under 0.3.",
    )
    explain: bool = Field(False, description="Add a heat map to each face.")

    @property
    def label_set(self) -> str | None:
        """What to answer in, under either name."""
        return self.taxonomy or self.labels


class FilmOptions(Options):
    """How a film is to be recognised."""

    every: int = Field(1, ge=1, le=100, description="Look at each first, second, … frame.")


class Box(BaseModel):
    """A rectangle in pixels of the upright picture; it may reach beyond its edge."""

    x: int
    y: int
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class Heat(BaseModel):
    """Where in a face its expression was seen."""

    label: str
    values: list[list[float]] = Field(description="Rows over the crop of 48x48 pixels, from 0 to 1.")
    transform: list[list[float]] = Field(description="Two rows: the affine map from picture to crop pixels.")


class Face(BaseModel):
    """A face and the expression it shows, which is not what a person feels."""

    box: Box
    label: str
    score: float = Probability
    probabilities: dict[str, float] = Field(description="Of every expression; they sum to 1.")
    confidence: float = Field(ge=0, le=1, description="How sure the detector is that it is a face.")
    landmarks: dict[str, list[float]] | None = Field(
        description="x and y of eyes, nose and corners of the mouth."
    )
    heat: Heat | None = Field(None, description="With explain only.")


class TrackedFace(Face):
    """A face of a film."""

    track: int = Field(description="A number that the face keeps from frame to frame.")


class Picture(BaseModel):
    """What came of one picture."""

    source: str = Field(description="What its sender called it.")
    width: int | None
    height: int | None
    error: str | None = Field(description="Why it failed, where it did.")
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


class Recognised(BaseModel):
    """Faces and expressions of all pictures of a request, in order."""

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
    images: list[Picture]


class FilmRow(BaseModel):
    """A frame of a film: one line of the answer."""

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


class FilmEnd(BaseModel):
    """The last line of the answer to a film."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"done": True, "frames": 250, "error": None}]})

    done: Literal[True]
    frames: int = Field(description="Frames that were looked at.")
    error: str | None = Field(description="Why there are no more, where something was at fault or left out.")


class Model(BaseModel):
    """What the model is, and what the service takes."""

    name: str
    version: str = Field(description="Of mien.")
    labels: list[str] = Field(description="The model's own, in index order.")
    taxonomies: dict[str, list[str]] = Field(description="The label sets that it answers in.")
    card: dict[str, Any] = Field(description="What it is, was trained on, is worth and must not be used for.")
    limits: dict[str, float] = Field(description="What one worker takes.")


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
                    "detail": "Expected a picture as JPEG, PNG, WebP, BMP, GIF, told by its content, "
                    "got bytes that begin with 25 50 44 46 2d 31 2e 37.",
                    "expected": "a picture as JPEG, PNG, WebP, BMP, GIF, told by its content",
                    "received": "bytes that begin with 25 50 44 46 2d 31 2e 37",
                    "remedy": "Save it anew in one of these formats.",
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
