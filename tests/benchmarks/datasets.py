"""The real sessions that the benchmark of the engine reads, where they are present."""

from __future__ import annotations

import gzip
import os
from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]

#: Data set → the files that it needs.
FILES: Final = {
    "yoochoose": ("yoochoose_100k/train_full.txt.gz", "yoochoose_100k/test.txt.gz"),
    "diginetica": ("diginetica_sequences/train.txt.gz", "diginetica_sequences/test.txt.gz"),
    "movielens": ("movielens_100k/u.data.gz",),
}


class Sessions(NamedTuple):
    """Sessions to learn and queries to answer.

    Args:
        train: (items, time of the last click in seconds) of each session, by that time.
        queries: (items, time in seconds) of each query.
    """

    train: list[tuple[tuple[str, ...], float]]
    queries: list[tuple[tuple[str, ...], float]]


def data_folder() -> Path:
    """``NEXTCLICK_DATA``, or ``../shared/data`` beside the repository."""
    return Path(os.environ.get("NEXTCLICK_DATA") or ROOT / ".." / "shared" / "data").resolve()


def missing(name, folder) -> list[str]:
    """The files of a data set that are not in the folder; empty: it can be read."""
    return [file for file in FILES[name] if not (folder / file).is_file()]


def read(name, folder) -> Sessions:
    """Read a data set of :data:`FILES`.

    The queries of yoochoose and diginetica are all beginnings of the test sessions that a click follows.
    Those of MovieLens, which has no test part and is learnt whole, are the users' whole histories, as in the
    tutorial of WSKNN.
    """
    files = [folder / file for file in FILES[name]]
    if name == "movielens":
        train = _read_ratings(files[0])
        return Sessions(train, train)
    train, test = map(_read_clicks if name == "yoochoose" else _read_lines, files)
    after = train[-1][1]
    # Sequences have no time of their own: the test's come one a second after the training's.
    shift = after if name == "diginetica" else 0.0
    queries = [(items[:n], end + shift) for items, end in test for n in range(1, len(items))]
    return Sessions(train, queries)


def test_sessions(name, folder) -> list[tuple[str, ...]]:
    """The items of each session of the test part of yoochoose or diginetica, whole."""
    read_part = _read_clicks if name == "yoochoose" else _read_lines
    return [items for items, _ in read_part(folder / FILES[name][1])]


def _read_clicks(file):
    """Lines of session, item, time in seconds, by tabs, below a header."""
    sessions = defaultdict(list)
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            session, item, time_s = line.split("\t")
            sessions[session].append((float(time_s), item))
    return _by_time(sessions)


def _read_ratings(file):
    """Lines of user, item, rating, time in seconds, by tabs."""
    sessions = defaultdict(list)
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            user, item, _, time_s = line.split("\t")
            sessions[user].append((float(time_s), item))
    return _by_time(sessions)


def _by_time(sessions):
    """Clicks of a session by time, those of one time as in the file; sessions by their last click."""
    ordered = (sorted(clicks, key=lambda click: click[0]) for clicks in sessions.values())
    return sorted(
        ((tuple(item for _, item in clicks), clicks[-1][0]) for clicks in ordered),
        key=lambda session: session[1],
    )


def _read_lines(file):
    """One session a line, items apart by spaces; the order of lines is the order of time."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [(tuple(line.split()), float(number)) for number, line in enumerate(lines, 1) if line.strip()]
