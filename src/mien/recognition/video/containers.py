"""Detect the container format of a video, and restrict FFmpeg to the demuxers and decoders for it.

FFmpeg guesses the demuxer, and some demuxers open other files and network connections: SDP, playlists and concat
lists. So FFmpeg is given an allowlist for each file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BEGINNING = 1024
"""Number of bytes that determine the container format."""


@dataclass(frozen=True, slots=True)
class ContainerKind:
    """A container format.

    Args:
        name: name for error messages.
        demuxers: FFmpeg's names of the allowed demuxers.
    """

    name: str
    demuxers: tuple[str, ...]


MP4 = ContainerKind("MP4 or QuickTime", ("mov",))
MATROSKA = ContainerKind("Matroska or WebM", ("matroska",))
AVI = ContainerKind("AVI", ("avi",))
MXF = ContainerKind("MXF", ("mxf",))
OTHER = ContainerKind(
    "MPEG-TS, MPEG-PS, FLV, ASF, Ogg or an elementary stream",
    (
        "mpegts", "mpeg", "mpegvideo", "m4v", "h264", "hevc", "flv", "asf", "ogg", "gif", "ivf", "yuv4mpegpipe", "dv",
    ),
)  # fmt: skip
"""Containers without tables that could claim more than the file contains, and without references to other files."""

_STARTS = (
    (
        MP4,
        rb".{4}(?:ftyp|styp|moov|moof|mdat|wide|free|skip|junk|pict|pnot|uuid|udta|meta|prfl|ediw|sidx|hoov)",
    ),
    (MATROSKA, rb"\x1aE\xdf\xa3"),
    (AVI, rb"RIFF.{4}AVI[ \x19]"),
    (MXF, rb"\x06\x0e\x2b\x34\x02\x05\x01\x01"),
)

CODECS = (
    "h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "libaom-av1", "vvc", "mpeg4", "mpeg2video", "mpeg1video",
    "msmpeg4v1", "msmpeg4v2", "msmpeg4", "h261", "h263", "h263i", "h263p", "flv", "vp6", "vp6f", "vp6a", "vp3", "theora",
    "wmv1", "wmv2", "wmv3", "vc1", "mjpeg", "mjpegb", "dvvideo", "prores", "dnxhd", "cfhd", "rawvideo", "v210", "ffv1",
    "huffyuv", "ffvhuff", "utvideo", "lagarith", "magicyuv", "svq1", "svq3", "cinepak", "indeo3", "indeo5", "qtrle",
    "rpza", "smc", "8bps", "msvideo1", "msrle", "png", "gif", "wrapped_avframe",
    "aac", "aac_latm", "ac3", "eac3", "mp1float", "mp2float", "mp3float", "mp1", "mp2", "mp3", "opus", "libopus",
    "vorbis", "libvorbis", "flac", "alac", "dca", "truehd", "wmav1", "wmav2", "wmapro", "amrnb", "amrwb", "adpcm_ms",
    "adpcm_ima_wav", "adpcm_ima_qt", "adpcm_swf", "gsm", "nellymoser", "speex", "qdm2", "mace3", "mace6",
    "pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le",
    "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_alaw", "pcm_mulaw", "pcm_bluray", "pcm_dvd",
)  # fmt: skip
"""FFmpeg's names of the decoders that may be used while it probes a file."""


def container_kind(beginning: bytes) -> ContainerKind:
    """Return the container format of a file by its first `BEGINNING` bytes."""
    for kind, start in _STARTS:
        if re.match(start, beginning, re.DOTALL):
            return kind
    return OTHER


def ffmpeg_options(kind: ContainerKind, *, in_memory: bool) -> dict[str, str]:
    """Return FFmpeg options that prevent it from reading other files and from opening network connections.

    Args:
        kind: the container format.
        in_memory: whether the data is in memory, so that no protocol is needed.
    """
    return {
        "format_whitelist": ",".join(kind.demuxers),
        "protocol_whitelist": "none" if in_memory else "file",
        "codec_whitelist": ",".join(CODECS),
    }
