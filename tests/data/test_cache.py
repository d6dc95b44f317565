import logging
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mien.data
from mien.data.fer2013 import cache
from mien.data.fer2013.cache import KEPT_ENTRIES, read_cached
from mien.errors import DataError
from mien.files import cache_folder

HEADER = "emotion,pixels,Usage\n"


def write_table(path, seed=0, n=4):
    """Write a table of random faces; the same seed gives the same table, another seed one of the same length."""
    rng = np.random.default_rng(seed)
    images = rng.integers(100, 256, (n, 48, 48))  # three digits each
    rows = [f"{i % 7},{' '.join(map(str, image.ravel()))},Training\n" for i, image in enumerate(images)]
    path.write_text(HEADER + "".join(rows))
    return images


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "fer2013.csv"
    write_table(path)
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def parses(monkeypatch):
    """The lists of files that were parsed instead of read from the cache."""
    calls = []
    read_arrays = cache.read_arrays

    def spy(paths, **settings):
        calls.append(paths)
        return read_arrays(paths, **settings)

    monkeypatch.setattr(cache, "read_arrays", spy)
    return calls


def test_the_second_load_uses_the_cache(table, folder, parses):
    first = read_cached([table], classes=7, folder=folder)
    second = read_cached([table], classes=7, folder=folder)
    assert len(parses) == 1
    assert np.array_equal(second.images, first.images)
    assert np.array_equal(second.labels, first.labels)
    assert np.array_equal(second.splits, first.splits)
    assert [array.dtype for array in (second.images, second.labels, second.splits)] == ["u1", "i1", "u1"]
    second.images[0] = 0  # the caller's copy, not the cached array
    assert np.array_equal(read_cached([table], classes=7, folder=folder).images, first.images)


def test_a_copied_table_uses_the_same_cache_entry(table, folder, tmp_path, parses):
    read_cached([table], classes=7, folder=folder)
    copy = tmp_path / "copy.csv"
    copy.write_bytes(table.read_bytes())
    read_cached([copy], classes=7, folder=folder)
    assert len(parses) == 1


def test_unlabeled_rows_are_cached(tmp_path, folder):
    path = tmp_path / "test.csv"
    path.write_text("pixels\n" + " ".join(["7"] * 2304))
    for _ in range(2):
        table = read_cached([path], classes=7, folder=folder)
        assert (table.labels.tolist(), table.splits.tolist()) == ([-1], [2])


def test_a_changed_source_of_the_same_size_and_time_is_read_again(table, folder, parses):
    read_cached([table], classes=7, folder=folder)
    before = table.stat()
    images = write_table(table, seed=1)
    os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = table.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert np.array_equal(read_cached([table], classes=7, folder=folder).images, images)
    assert len(parses) == 2


def test_number_of_classes_and_order_of_files_are_part_of_the_cache_key(table, tmp_path, folder, parses):
    other = tmp_path / "other.csv"
    write_table(other, seed=1)
    read_cached([table], classes=7, folder=folder)
    read_cached([table], classes=8, folder=folder)
    read_cached([table, other], classes=7, folder=folder)
    read_cached([other, table], classes=7, folder=folder)
    assert len(parses) == 4


def flip(at):
    def damage(data):
        data = bytearray(data)
        data[at(len(data))] ^= 1
        return bytes(data)

    return damage


DAMAGES = {
    "first byte": flip(lambda _: 0),
    "byte of the header": flip(lambda _: 40),
    "byte of an image": flip(lambda n: n // 2),
    "last byte": flip(lambda n: n - 1),
    "truncated": lambda data: data[: len(data) // 2],
    "truncated by one byte": lambda data: data[:-1],
    "truncated in the digest": lambda data: data[:10],
    "empty": lambda _: b"",
    "longer": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entries_are_detected_and_rewritten(table, folder, parses, caplog, damage):
    first = read_cached([table], classes=7, folder=folder)
    (entry,) = folder.iterdir()
    entry.write_bytes(DAMAGES[damage](entry.read_bytes()))
    again = read_cached([table], classes=7, folder=folder)
    assert np.array_equal(again.images, first.images)
    assert np.array_equal(again.labels, first.labels)
    assert "damaged or of another version" in caplog.text
    assert len(parses) == 2
    read_cached([table], classes=7, folder=folder)
    assert len(parses) == 2


def test_change_of_any_byte_of_an_entry_is_detected(tmp_path, folder):
    path = tmp_path / "x.csv"
    write_table(path, n=1)
    read_cached([path], classes=7, folder=folder)
    (entry,) = folder.iterdir()
    whole = np.fromfile(entry, np.uint8)
    assert cache._decode(whole, entry.stem) is not None
    for at in range(whole.size):
        whole[at] ^= 0x10
        assert cache._decode(whole, entry.stem) is None
        whole[at] ^= 0x10


def test_entry_of_another_format_version_is_rewritten(table, folder, parses, monkeypatch):
    read_cached([table], classes=7, folder=folder)
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    read_cached([table], classes=7, folder=folder)
    read_cached([table], classes=7, folder=folder)
    assert len(parses) == 2


def test_an_entry_renamed_to_another_key_is_ignored(table, tmp_path, folder, parses):
    other = tmp_path / "other.csv"
    images = write_table(other, seed=1)
    read_cached([table], classes=7, folder=folder)
    (entry,) = folder.iterdir()
    read_cached([other], classes=7, folder=folder)
    (theirs,) = set(folder.iterdir()) - {entry}
    theirs.write_bytes(entry.read_bytes())
    assert np.array_equal(read_cached([other], classes=7, folder=folder).images, images)
    assert len(parses) == 3


def test_unwritable_cache_folder_only_logs_a_warning(table, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        read = read_cached([table], classes=7, folder=tmp_path / "file" / "cache")
    assert len(read) == 4
    assert "cannot be written" in caplog.text


def test_full_disk_leaves_no_partial_files(table, folder, monkeypatch, caplog):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    assert len(read_cached([table], classes=7, folder=folder)) == 4
    assert "No space left on device" in caplog.text
    assert list(folder.iterdir()) == []


def test_a_file_that_changes_while_it_is_read_is_not_cached(table, folder, monkeypatch):
    read_arrays = cache.read_arrays

    def grow(paths, **settings):
        with table.open("a") as file:
            file.write(f"6,{' '.join(['9'] * 2304)},PublicTest\n")
        return read_arrays(paths, **settings)

    monkeypatch.setattr(cache, "read_arrays", grow)
    assert len(read_cached([table], classes=7, folder=folder)) == 5
    assert not folder.exists()


def test_an_invalid_table_is_not_cached(table, folder):
    with table.open("a") as file:
        file.write("6,1 2 3,Training\n")
    for _ in range(2):
        with pytest.raises(DataError, match="row 5"):
            read_cached([table], classes=7, folder=folder)
    assert not folder.exists()


def test_only_the_newest_entries_are_kept(tmp_path, folder):
    path = tmp_path / "x.csv"
    for seed in range(KEPT_ENTRIES + 2):
        write_table(path, seed, n=1)
        read_cached([path], classes=7, folder=folder)
        newest = max(folder.iterdir(), key=lambda entry: entry.stat().st_mtime_ns)
        os.utime(newest, (seed, seed))
    assert len(list(folder.iterdir())) == KEPT_ENTRIES
    assert newest.exists()


MARK = bytes(32) + b"mien 2 " + b"0" * 64 + b"\n"


def test_temporary_files_of_killed_processes_are_removed(table, folder):
    folder.mkdir()
    for name, age in (("mien-old_0000.part", 7200), ("tmpold_0000.part", 7200), ("mien-young_00.part", 60)):
        (folder / name).write_bytes(MARK + b"cut off")
        os.utime(folder / name, (time.time() - age,) * 2)
    read_cached([table], classes=7, folder=folder)
    assert [path.name for path in folder.glob("*.part")] == ["mien-young_00.part"]


def test_other_files_in_the_cache_folder_are_kept(tmp_path, folder):
    folder.mkdir()
    key = "0" * 64
    theirs = {
        "video.mp4.part": b"a download",
        "mien-downloaded.part": MARK,  # longer than a name that mien writes
        "mien-abcdefgh.part": b"named as ours, without the mark",
        "tmpabcdefgh.part": b"",
        "browser.cache": b"x",
        f"{key}.cache": b"named as ours, without the mark",
        f"{'1' * 64}.cache": MARK,  # the mark of another entry
        "mien.cache": MARK,
    }
    for name, content in theirs.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (0, 0))
    target = tmp_path / "precious"
    target.write_bytes(MARK)
    links = (f"{'2' * 64}.cache", "mien-link_000.part")
    for name in links:
        (folder / name).symlink_to(target)
        os.utime(folder / name, (0, 0), follow_symlinks=False)
    os.utime(target, (0, 0))
    (folder / "mien-folder00.part").mkdir()
    for seed in range(KEPT_ENTRIES + 2):
        write_table(tmp_path / "x.csv", seed, n=1)
        read_cached([tmp_path / "x.csv"], classes=7, folder=folder)
    assert {name: (folder / name).read_bytes() for name in theirs} == theirs
    assert all((folder / name).is_symlink() for name in links)
    assert target.read_bytes() == MARK
    assert (folder / "mien-folder00.part").is_dir()
    assert len(list(folder.iterdir())) == len(theirs) + len(links) + 1 + KEPT_ENTRIES


def test_tilde_in_mien_cache_expands_to_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MIEN_CACHE", "~/Downloads")
    assert cache_folder() == tmp_path / "Downloads"


def test_split_implied_by_the_file_name_is_part_of_the_cache_key(tmp_path, folder):
    rows = f"emotion,pixels\n0,{' '.join(['7'] * 2304)}\n"
    for name, split in (("train.csv", 0), ("test.csv", 2), ("val.csv", 1), ("train.csv", 0)):
        (tmp_path / name).write_text(rows)
        assert read_cached([tmp_path / name], classes=7, folder=folder).splits.tolist() == [split]


@pytest.mark.slow
def test_several_processes_can_write_the_same_entry(table, folder):
    code = (
        "import sys; from pathlib import Path; from mien.data.fer2013.cache import read_cached; import logging;"
        "logging.basicConfig();"
        "print(read_cached([Path(sys.argv[1])], classes=7, folder=Path(sys.argv[2])).images.sum())"
    )
    command = [sys.executable, "-c", code, table, folder]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    outputs = [process.communicate() for process in running]
    assert outputs == [(f"{write_table(table).sum()}\n", "")] * 3
    assert len(list(folder.iterdir())) == 1


def test_progress_reaches_the_end_when_the_table_is_cached(table, folder):
    read_cached([table], classes=7, folder=folder)
    calls = []
    read_cached([table], classes=7, folder=folder, progress=lambda *call: calls.append(call))
    assert calls == [(table.stat().st_size,) * 2]


def test_cache_folder_is_read_from_environment_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MIEN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "mien"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache_folder() == tmp_path / ".cache" / "mien"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "mien"
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_table_is_read_without_a_cache_when_there_is_no_home_folder(table, monkeypatch, caplog):
    def fail(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MIEN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", fail)
    assert len(read_cached([table], classes=7)) == 4
    assert "Set MIEN_CACHE" in caplog.text


def test_load_uses_the_cache_unless_cache_is_false(table, monkeypatch, tmp_path):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "own"))
    mien.data.load(table, cache=False)
    assert not (tmp_path / "own").exists()
    first = mien.data.load(table)
    assert len(list((tmp_path / "own").iterdir())) == 1
    second = mien.data.load(table)
    assert np.array_equal(first.images, second.images)
    assert np.array_equal(first.targets, second.targets)
    assert second.source == str(table)


@pytest.mark.skipif(os.name != "posix", reason="looks at modes")
def test_cache_folder_is_private_and_a_world_writable_one_is_not_used(tmp_path, table, caplog):
    private = tmp_path / "private"
    read_cached([table], classes=7, folder=private)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    read_cached([table], classes=7, folder=open_to_all)
    assert not list(open_to_all.iterdir())
    assert "other users can write into it; run: chmod go-w" in caplog.text
