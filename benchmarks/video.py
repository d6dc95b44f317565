"""Process a generated video completely: speed, memory, tracks, and whether the copy is complete.

usage: python benchmarks/video.py [--minutes 10] [--every 1] [--keep DIR] [--out FILE.json]

The video is 640x480 at 25 frames per second: four heads from matplotlib's sample photograph, mirrored, tinted and
scaled, move over a drifting background with noise and changing brightness. Two cross each other repeatedly, one comes
closer and moves away, and one walks through the background and counts as a new face each time. So the ground truth is
known: a face should keep its track number while it is visible, and two people should never share one. The pipeline, in
its own process, is that of `mien predict VIDEO --save DIR --csv rows.csv`: frames, faces, tracks, smoothing, drawing, an
H.264 copy, rows and the chart.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from machine import describe_machine

PACKAGES = ("mien", "numpy", "opencv-python-headless", "onnxruntime", "av")
WIDTH, HEIGHT, FPS = 640, 480, 25
HEAD = (120, 10, 400, 340)  # left, top, right, bottom of the head in the photograph
FACE = (0.22, 0.34, 0.56, 0.60)  # left, top, width, height of the face, as shares of the head
CROSSING_SECONDS = 12.0
VISIT_SECONDS = 20.0
LOOP_SECONDS = 60.0  # drawn and encoded once, then repeated
GAP_SECONDS = 1.0  # after a longer absence, the tracker assigns a new number


class Place(NamedTuple):
    """The position of a head: its center and height in pixels, and the number of this person's appearance."""

    x: float
    y: float
    height: float
    visit: int = 0


def wave(seconds: float, times: int) -> float:
    """Return a sine with `times` periods in the minute that is repeated."""
    return math.sin(2 * math.pi * times * seconds / LOOP_SECONDS)


def places(seconds: float) -> dict[str, Place]:
    """Return the ground truth: the positions of all heads, from the farthest to the nearest."""
    turn = math.cos(2 * math.pi * seconds / CROSSING_SECONDS)
    visit, since = divmod(seconds, VISIT_SECONDS)
    found = {
        "walker": Place(
            -120 + 880 * since / (VISIT_SECONDS - 4), 105 + 8 * wave(seconds, 48), 130, int(visit)
        ),
        "behind": Place(330 - 190 * turn, 285 + 10 * wave(seconds, 16), 165),
        "before": Place(330 + 190 * turn, 330 + 8 * wave(seconds, 20), 190),
        "nearing": Place(90, 130 + 6 * wave(seconds, 10), 150 + 40 * wave(seconds, 3)),
    }
    return {name: place for name, place in found.items() if -20 < place.x < WIDTH + 20}


def face_box(place: Place) -> tuple[float, float, float, float]:
    """Return x, y, width and height of the face of a head."""
    width = place.height * (HEAD[2] - HEAD[0]) / (HEAD[3] - HEAD[1])
    left, top = place.x - width / 2, place.y - place.height / 2
    return left + FACE[0] * width, top + FACE[1] * place.height, FACE[2] * width, FACE[3] * place.height


class Stage:
    """Draw the frames of the video."""

    def __init__(self) -> None:
        import matplotlib.cbook

        from mien.images import read_image

        photo = read_image(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
        head = photo[HEAD[1] : HEAD[3], HEAD[0] : HEAD[2]].astype(np.float32)
        tints = {
            "walker": (0.8, 0.9, 1.1),
            "behind": (1.1, 0.9, 0.8),
            "before": (1, 1, 1),
            "nearing": (0.9, 1, 0.8),
        }
        self._heads = {
            name: (head[:, ::-1] if name in {"behind", "walker"} else head) * np.float32(tint)
            for name, tint in tints.items()
        }
        rows, columns = np.mgrid[-1 : 1 : head.shape[0] * 1j, -1 : 1 : head.shape[1] * 1j]
        edge = np.hypot(columns, rows)
        self._cover = np.clip((1 - edge) / 0.12, 0, 1).astype(np.float32)
        random = np.random.default_rng(0)
        blobs = random.integers(30, 170, (9, 16, 3)).astype(np.float32)
        self._ground = cv2.resize(blobs, (2 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        self._grain = [random.normal(0, 7, (HEIGHT, WIDTH, 3)).astype(np.float32) for _ in range(8)]

    def frame(self, index: int) -> np.ndarray:
        """Return a frame, RGB uint8 (480, 640, 3)."""
        seconds = index / FPS
        drift = round(WIDTH / 2 * (1 + wave(seconds, 1)))
        image = self._ground[:, drift : drift + WIDTH].copy()
        for name, place in places(seconds).items():
            self._add(image, name, place)
        image *= 1 + 0.12 * wave(seconds, 2)
        image += np.roll(self._grain[index % 8], 37 * index, axis=1)
        return np.clip(image, 0, 255).astype(np.uint8)

    def _add(self, image: np.ndarray, name: str, place: Place) -> None:
        head = self._heads[name]
        scale = place.height / head.shape[0]
        matrix = np.array(
            [[scale, 0, place.x - scale * head.shape[1] / 2], [0, scale, place.y - place.height / 2]]
        )
        moved = cv2.warpAffine(head, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
        cover = cv2.warpAffine(self._cover, matrix, (WIDTH, HEIGHT))[..., None]
        image += cover * (moved - image)


def make_video(path: Path, minutes: float) -> int:
    """Write the video, whole minutes or a part of one; return the number of frames."""
    from mien.recognition.video import VideoWriter

    stage, loop = Stage(), path.with_stem("loop")
    repeats = max(math.ceil(60 * minutes / LOOP_SECONDS), 1)
    frames = round(min(60 * minutes, LOOP_SECONDS) * FPS)
    with VideoWriter(loop, FPS, (WIDTH, HEIGHT)) as writer:
        for i in range(frames):
            writer.write(stage.frame(i))
    repeat_video(loop, path, repeats)
    loop.unlink()
    return repeats * frames


def repeat_video(loop: Path, path: Path, repeats: int) -> None:
    """Concatenate several copies of a video without encoding it again."""
    import av

    with av.open(str(path), "w") as copy:
        begin = 0
        for _ in range(repeats):
            with av.open(str(loop)) as source:
                video = source.streams.video[0]
                stream = copy.streams.video[0] if begin else copy.add_stream_from_template(video)
                for packet in source.demux(video):
                    if packet.dts is not None and packet.pts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + begin, packet.dts + begin, stream
                        copy.mux(packet)
                begin += video.duration or 0


def resident_mb() -> float:
    """Return the resident memory of this process in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def run_chain(video: Path, folder: Path, every: int) -> dict[str, Any]:
    """Run the pipeline; return times of its parts, memory over time, and the positions of each track."""
    from mien import Recognizer
    from mien.evaluation.figures.timeline import Timeline
    from mien.recognition.drawing import draw_faces
    from mien.recognition.export_rows import RowWriter
    from mien.recognition.video import VideoWriter, probe, read_frames, watch

    recognizer, info, timeline = Recognizer(), probe(video), Timeline()
    memory, ends, rows, frames = [], [], 0, 0
    begin, cpu, drawing = time.perf_counter(), time.process_time(), 0.0
    with (
        read_frames(video, every=every) as source,
        VideoWriter(folder / "copy.mp4", info.fps, (info.width, info.height)) as writer,
        RowWriter(folder / "rows.csv", recognizer.labels) as table,
    ):
        for frame, faces in watch(recognizer, source):
            before = time.perf_counter()
            writer.write(draw_faces(frame.image, faces), frame.seconds)
            table.write(str(video), faces, frame=frame.index, seconds=frame.seconds)
            timeline.add(frame.seconds, faces)
            drawing += time.perf_counter() - before
            rows, frames = rows + len(faces), frames + 1
            if frames % (10 * FPS) == 0:
                memory.append(round(resident_mb(), 1))
                ends.append(time.perf_counter())
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    timeline.plot(folder / "chart.png", "Expressions in the made video")
    return {
        "frames": frames,
        "rows": rows,
        "seconds": round(seconds, 1),
        "processor_seconds": round(cpu, 1),
        "seconds_drawing_and_writing": round(drawing, 1),
        "seconds_of_each_250_frames": [
            round(later - earlier, 2) for earlier, later in itertools.pairwise([begin, *ends])
        ],
        "memory_mb_every_250_frames": memory,
    }


def compare_tracks(rows: Path, every: int) -> dict[str, Any]:
    """Compare the track numbers with the ground truth."""
    import pandas as pd

    table = pd.read_csv(rows)
    sightings: dict[tuple[str, int], list[tuple[float, int]]] = {}
    nobody = 0
    for row in table.itertuples():
        middle = row.x + row.width / 2, row.y + row.height / 2
        person = _nearest(middle, places(row.seconds))
        nobody += person is None
        if person is not None:
            sightings.setdefault(person, []).append((row.seconds, int(row.track)))
    changes = [
        (later - earlier > GAP_SECONDS)
        for seen in sightings.values()
        for (earlier, old), (later, new) in itertools.pairwise(seen)
        if old != new
    ]
    owners: dict[int, set[tuple[str, int]]] = {}
    for person, seen in sightings.items():
        for _, track in seen:
            owners.setdefault(track, set()).add(person)
    present = sum(len(places(i / FPS)) for i in range(0, int(table.frame.max()) + 1, every))
    return {
        "people_and_visits": len(sightings),
        "identities": int(table.track.nunique()),
        "changes_in_sight": changes.count(False),
        "changes_after_a_second_or_more_unseen": changes.count(True),
        "identities_given_to_two_people": sum(len(people) > 1 for people in owners.values()),
        "found_of_present": round(sum(map(len, sightings.values())) / present, 4),
        "false_faces": nobody,
    }


def _nearest(middle: tuple[float, float], truth: dict[str, Place]) -> tuple[str, int] | None:
    """Return the person whose face is nearest, within half a face."""
    best, who = 0.5, None
    for name, place in truth.items():
        x, y, width, height = face_box(place)
        distance = math.hypot(middle[0] - x - width / 2, middle[1] - y - height / 2) / height
        if distance < best:
            best, who = distance, (name, place.visit)
    return who


def check_copy(path: Path) -> dict[str, Any]:
    """Decode every frame of the copy with another reader."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        seconds = float((stream.duration or 0) * stream.time_base)
        return {
            "copy_frames": frames,
            "copy_seconds": round(seconds, 3),
            "copy_codec": f"{stream.codec_context.name} {stream.codec_context.pix_fmt}",
            "copy_mb": round(path.stat().st_size / 1e6, 1),
        }


def pace(stretches: list[float], every: int) -> float | None:
    """Return seconds per second of video in the median stretch of 250 frames, which ignores pauses of the machine."""
    return round(statistics.median(stretches) / (250 * every / FPS), 3) if stretches else None


def measure(folder: Path, minutes: float, every: int) -> dict[str, Any]:
    """Generate the video, run the pipeline in its own process and evaluate the results."""
    video = folder / "video.mp4"
    frames = make_video(video, minutes)
    command = [sys.executable, __file__, "--chain", str(video), "--keep", str(folder), "--every", str(every)]
    chain = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    memory = chain["memory_mb_every_250_frames"]
    return {
        "video_frames": frames,
        "video_seconds": frames / FPS,
        "every": every,
        **chain,
        "seconds_per_second_of_video": round(chain["seconds"] / (frames / FPS), 3),
        "the_same_by_the_median_stretch": pace(chain["seconds_of_each_250_frames"], every),
        "processor_seconds_per_second_of_video": round(chain["processor_seconds"] / (frames / FPS), 3),
        "memory_mb_first_minute": max(memory[:6], default=None),
        "memory_mb_rest": max(memory[6:], default=None),
        **compare_tracks(folder / "rows.csv", every),
        **check_copy(folder / "copy.mp4"),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the video, its copy, rows and chart")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--chain", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.chain:
        print(json.dumps(run_chain(options.chain, options.keep, options.every)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = options.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        result = measure(folder, options.minutes, options.every)
    for key, value in result.items():
        print(f"{key:32} {value}")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({**result, "machine": describe_machine(PACKAGES)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
