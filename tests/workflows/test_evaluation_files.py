"""The folder of an evaluation: data sets of the same name do not replace each other's results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mien.workflows.evaluation_files import folder_for


def test_other_data_with_the_same_name_get_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = tmp_path / "run" / "test-PrivateTest"
    for source, expected in (
        ("a/test", "test-PrivateTest"),
        ("b/test", "test-PrivateTest-2"),
        ("c/test", "test-PrivateTest-3"),
        (str(tmp_path / "b" / "test"), "test-PrivateTest-2"),
        ("a/../a/test", "test-PrivateTest-4"),
    ):
        folder = folder_for(wanted, source)
        assert folder == wanted.with_name(expected)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evaluation.json").write_text(json.dumps({"data": source}))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"data": null}', "[" * 100_000])
def test_folder_with_an_evaluation_of_unknown_data_is_reused(tmp_path: Path, content: str) -> None:
    (tmp_path / "evaluation.json").write_text(content)
    assert folder_for(tmp_path, "faces") == tmp_path
