"""The kind of a file comes from its name, and for a web address from its path before its query."""

from __future__ import annotations

import pytest

from mien.bulk.input_kinds import is_packed_tar, kind_of_name, suffix_of, without_query


@pytest.mark.parametrize(
    ("name", "suffix", "kind"),
    [
        ("/photos/A.JPG", ".jpg", "image"),
        ("film.mp4", ".mp4", "video"),
        ("https://host/a.tar?X-Amz-Signature=0.5", ".tar", None),
        ("HTTPS://host/a.tar?X-Amz-Signature=0.5#top", ".tar", None),
        ("https://host/a.csv?name=b.jpg", ".csv", None),
        ("https://host/a.jpg?name=b.tar", ".jpg", "image"),
        ("https://host/a.jpg#top", ".jpg", "image"),
        ("https://host/download?name=a.tar", ".tar", None),
        ("https://host/download.php?name=a.jpg", ".jpg", "image"),
        ("https://host/download.php?version=1.5", ".php", None),
        ("s3://bucket/a?.tar", ".tar", None),
        ("s3://bucket/a.jpg?versionId=1", ".jpg?versionid=1", "image"),
        ("/photos/a?.jpg", ".jpg", "image"),
        ("/photos/.tar", "", None),
    ],
)
def test_the_query_of_a_web_address_is_no_part_of_the_name_of_the_file(
    name: str, suffix: str, kind: str | None
) -> None:
    assert suffix_of(name) == suffix
    assert kind_of_name(name) == kind


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.tgz", True),
        ("https://host/a.tar.gz?X-Amz-Signature=0.5", True),
        ("https://host/a.tar?name=b.tgz", False),
        ("https://host/download?name=b.tgz", True),
        ("a.tar", False),
    ],
)
def test_a_compressed_tar_is_recognized_by_its_name(name: str, *, expected: bool) -> None:
    assert is_packed_tar(name) is expected


def test_only_web_addresses_have_a_query() -> None:
    assert without_query("https://host/in/?list=1#top") == "https://host/in/"
    assert without_query("s3://bucket/in?/#1.jpg") == "s3://bucket/in?/#1.jpg"
