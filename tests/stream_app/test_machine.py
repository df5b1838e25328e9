"""What the machine gives: the limit of a container that has one, and room on the disk of any folder."""

from __future__ import annotations

import shutil

from stream_app.machine import disk_room, memory_limit_bytes


def test_the_least_limit_counts_and_what_is_no_limit_does_not(tmp_path):
    """A number is a limit; "max", a huge number, an empty and a missing file leave the machine's memory."""
    files = {"v2": "1073741824\n", "none": "max\n", "v1": "9223372036854771712\n", "empty": ""}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    machine = memory_limit_bytes(())
    assert machine > 64 * 1024 * 1024
    others = tuple(tmp_path / name for name in ("none", "v1", "empty", "missing"))
    assert memory_limit_bytes(others) == machine
    assert memory_limit_bytes((*others, tmp_path / "v2")) == min(machine, 1024**3)


def test_a_folder_that_is_not_there_yet_has_the_room_of_its_parent(tmp_path):
    """The disk's size is the same, however deep the folder will be."""
    assert (
        disk_room(tmp_path / "a" / "b").size == disk_room(tmp_path).size == shutil.disk_usage(tmp_path).total
    )
    assert disk_room(tmp_path).free > 0
