"""Malicious videos."""

from __future__ import annotations

import struct

_SDP = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
_PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n%s\n#EXT-X-ENDLIST\n"
_DASH = b'<?xml version="1.0"?><MPD profiles="dash:profile"><BaseURL>http://127.0.0.1:9/</BaseURL></MPD>'

REDIRECTIONS = {
    "SDP after the beginning of Matroska": b"\x1aE\xdf\xa3\n" + _SDP,
    "SDP after a box of JPEG 2000": b"\x01AAAftypjp2 \n" + _SDP,
    "SDP after a box of MP4": b"\x00\x00\x00\x14ftypisom\n" + _SDP,
    "SDP after the beginning of AVI": b"RIFF\x00\x00\x00\x00AVI \n" + _SDP,
    "SDP with a control byte": b"\x01\n" + _SDP,
    "SDP alone in bytes": _SDP + bytes(400),
    "a list of files": b"ffconcat version 1.0\nfile good.mp4\n\x01",
    "a list of files after the beginning of Matroska": b"\x1aE\xdf\xa3\nffconcat version 1.0\nfile good.mp4\n",
    "a playlist": _PLAYLIST % b"good.mp4" + b"\x01",
    "a playlist of addresses": _PLAYLIST % b"http://127.0.0.1:9/x.ts" + b"\x01",
    "a manifest of DASH": _DASH + b"\x01",
    "a script of Avisynth": b'AviSource("good.avi")\n\x01',
    "NUT": b"nut/multimedia container\x00" + b"N\x4d\x7a\x56\x1f\x5f\x04\xad" + bytes(400),
    "an image of JPEG 2000": b"\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x14ftypjp2 " + bytes(400),
    "RTSP in a QuickTime reference": b"rtsptextRTSP rtsp://127.0.0.1:9/x\x00" + bytes(400),
    "RED or other rare codings": b"\x00\x00\x01\x44RED1" + bytes(400),
    "a WAV file": b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(400),
}
"""Files that make FFmpeg open other files, addresses or ports, or that have an unsupported format."""


def box(kind: bytes, *content: bytes) -> bytes:
    """An MP4 box."""
    inside = b"".join(content)
    return struct.pack(">I", 8 + len(inside)) + kind + inside


def table(kind: bytes, count: int, entries: bytes = b"", *, flags: int = 0, before: bytes = b"") -> bytes:
    """An MP4 box with a version, flags and a count."""
    return box(kind, struct.pack(">I", flags), before, struct.pack(">I", count), entries)


def mp4(
    *tables: bytes, handler: bytes = b"vide", tracks: int = 1, edits: bytes = b"", after: bytes = b""
) -> bytes:
    """An MP4 video whose tracks have these tables."""
    return b"".join(
        [
            box(b"ftyp", b"isom\0\0\2\0isomiso2mp41"),
            box(b"moov", _movie_header(), *[_track(tables, handler, edits)] * tracks, after),
            box(b"mdat", bytes(64)),
        ]
    )


def times(samples: int) -> bytes:
    """A table of times: all samples have the same duration."""
    return table(b"stts", 1, struct.pack(">II", samples, 512))


def sizes(samples: int, each: int = 1) -> bytes:
    """A table of sizes: all samples have the same size."""
    return table(b"stsz", samples, before=struct.pack(">I", each))


def chunks(samples: int) -> bytes:
    """All samples in one chunk."""
    return table(b"stsc", 1, struct.pack(">III", 1, samples, 1)) + table(b"stco", 1, struct.pack(">I", 500))


def _movie_header() -> bytes:
    return box(b"mvhd", struct.pack(">5I", 0, 0, 0, 1000, 1000), struct.pack(">I", 0x10000), bytes(76))


def _track(tables: tuple[bytes, ...], handler: bytes, edits: bytes) -> bytes:
    entry = box(b"avc1", bytes(6), b"\0\1", bytes(16), struct.pack(">HH", 64, 48), bytes(50))
    description = table(b"stsd", 1, entry)
    return box(
        b"trak",
        box(b"tkhd", struct.pack(">I", 7), bytes(80)),
        edits,
        box(
            b"mdia",
            box(b"mdhd", struct.pack(">5I", 0, 0, 0, 12800, 1000), bytes(4)),
            box(b"hdlr", bytes(8), handler, bytes(13)),
            box(b"minf", box(b"vmhd", bytes(12)), box(b"stbl", description, *tables)),
        ),
    )


_MANY = 80_000_000
_GOOD = times(4) + table(b"stsz", 4, struct.pack(">4I", 9, 9, 9, 9), before=bytes(4)) + chunks(4)


def _fragment(samples: int, flags: int = 1) -> bytes:
    run = box(b"trun", struct.pack(">III", flags, samples, 0))
    return box(
        b"moof",
        box(b"mfhd", struct.pack(">II", 0, 1)),
        box(b"traf", box(b"tfhd", struct.pack(">II", 0x20000, 1)), run),
    )


def _edited(edits: int, samples: int) -> bytes:
    """A video in which every edit shows all samples."""
    entry = struct.pack(">IiI", 1_000_000, 0, 0x10000)
    lists = box(b"edts", table(b"elst", edits, entry * edits))
    table_of_sizes = table(b"stsz", samples, struct.pack(">I", 9) * samples, before=bytes(4))
    return mp4(times(samples), table_of_sizes, chunks(samples), edits=lists)


def _avi_of_indexes() -> bytes:
    """An AVI index that refers many times to another index, which claims many frames."""
    below = b"ix00" + struct.pack("<IHBBI", 20, 2, 0, 1, 500_000) + bytes(12)
    entries = struct.pack("<QII", 12, len(below), 500_000) * 4000
    above = b"indx" + struct.pack("<IHBBI", 24 + len(entries), 4, 0, 0, 4000) + b"00dc" + bytes(12) + entries
    inside = b"hdrl" + above
    return (
        b"RIFF"
        + struct.pack("<I", 200_000)
        + b"AVI "
        + below
        + b"LIST"
        + struct.pack("<I", len(inside))
        + inside
    )


def element(kind: str, content: bytes, *, width: int = 8) -> bytes:
    """A Matroska element."""
    return bytes.fromhex(kind) + (1 << 7 * width | len(content)).to_bytes(width) + content


def matroska(*parts: bytes) -> bytes:
    """A Matroska file."""
    return element("1a45dfa3", element("4282", b"matroska")) + element("18538067", b"".join(parts))


def _hidden_tags() -> bytes:
    """Tags inside an element that readers skip, and an index that points to them."""
    tags = element("1254c367", b"\x73\x73\x80" * 200_000)

    def seek(place: int) -> bytes:
        there = element("53ab", b"\x12\x54\xc3\x67") + element("53ac", place.to_bytes(4))
        return element("114d9b74", element("4dbb", there))

    return matroska(seek(len(seek(0)) + len(element("ec", b""))), element("ec", tags))


def _mxf_of_frames() -> bytes:
    key = bytes.fromhex("060e2b34025301010d010201011001") + b"\0"
    start = bytes.fromhex("060e2b34020501010d01020101020400") + b"\x83\0\0\x04" + bytes(4)
    segment = b"\x3f\x0c\0\x08" + struct.pack(">Q", _MANY)
    return start + key + bytes([len(segment)]) + segment


BOMBS = {
    "sizes": mp4(times(_MANY), sizes(_MANY), chunks(_MANY)),
    "sizes of one byte in sound that is said to be stored by chunks": mp4(
        table(b"stts", 1, struct.pack(">II", _MANY, 1)), sizes(_MANY), chunks(_MANY), handler=b"soun"
    ),
    "sizes of several tracks": mp4(times(600_000), sizes(600_000), chunks(600_000), tracks=4),
    "sizes with an extended box": mp4(times(4), b"\0\0\0\1stsz" + struct.pack(">QIII", 28, 0, 1, _MANY), chunks(4)),
    "compact sizes": mp4(times(4), table(b"stz2", _MANY, before=b"\0\0\0\x04"), chunks(4)),
    "times": mp4(times(_MANY), sizes(4), chunks(4)),
    "time offsets": mp4(_GOOD, table(b"ctts", 1, struct.pack(">II", _MANY, 1))),
    "entries of times": mp4(sizes(4), chunks(4), table(b"stts", _MANY)),
    "entries of offsets": mp4(_GOOD, table(b"ctts", _MANY)),
    "entries of chunks": mp4(times(4), sizes(4), table(b"stsc", _MANY), table(b"stco", 1, bytes(4))),
    "chunks": mp4(times(4), sizes(4), table(b"stco", _MANY)),
    "long chunks": mp4(times(4), sizes(4), table(b"co64", _MANY)),
    "key frames": mp4(_GOOD, table(b"stss", _MANY)),
    "samples of a chunk": mp4(
        table(b"stts", 1, struct.pack(">II", 4, 1)), sizes(4), chunks(2_000_000_000), handler=b"soun"
    ),
    "a fragment": mp4(_GOOD) + _fragment(_MANY),
    "many fragments": mp4(_GOOD) + _fragment(100_000) * 40,
    "edits": _edited(4000, 4000),
    "a compressed header": box(b"ftyp", b"isom\0\0\2\0") + box(b"moov", box(b"cmov", bytes(64))),
    "a header in free space": box(b"ftyp", b"isom\0\0\2\0")
    + mp4(times(_MANY), sizes(_MANY), chunks(_MANY))[28:].replace(b"moov", b"free", 1),
    "sizes in the description of samples": mp4(
        table(b"stsd", 1, box(b"avc1", bytes(78), sizes(_MANY))), times(4), chunks(4)
    ),
    "tags of Matroska": matroska(element("1254c367", b"\x73\x73\x80" * 200_000)),
    "tags that only the index of Matroska names": _hidden_tags(),
    "indexes of indexes of AVI": _avi_of_indexes(),
    "frames of MXF": _mxf_of_frames(),
}  # fmt: skip
"""Small files whose headers claim more data than they contain."""
