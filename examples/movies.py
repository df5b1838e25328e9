"""Which movie next? The tutorial of the package ``wsknn`` on MovieLens 100k, with titles.

Run it from the project's folder, with the folder that has ``u.data`` and ``u.item``, gzipped or not::

    .venv/bin/python examples/movies.py ml-100k

Without a folder it looks in ``movielens_100k`` of the folder that NEXTCLICK_DATA names, else of
``../shared/data``. One session is one user's ratings in the order of the file, as in the tutorial; so are the
settings of the model.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import os
import sys
import time
from pathlib import Path

from core.errors import NextclickError
from stream_app.compiled import use_kernels
from stream_app.settings import load_settings
from stream_app.terminal.evaluation import EvaluationProgress

#: Before the kernels are imported: where they are kept compiled, so that the next start is quick.
use_kernels(load_settings())

from stream_app.wsknn import fit, parse_flat_file  # noqa: E402 -- see above

DATA = Path(os.environ.get("NEXTCLICK_DATA") or Path(__file__).parents[2] / "shared" / "data")
WHERE_TO_GET_IT = (
    "GroupLens has MovieLens 100k (ml-100k.zip) at https://grouplens.org/datasets/movielens/100k/: "
    "unpack it and give its folder, or set NEXTCLICK_DATA to the folder that has it as movielens_100k"
)
#: Sessions that are answered in one call, between two steps of the bar.
AT_ONCE = 50


def main() -> None:
    """Read, learn, recommend and print."""
    parser = argparse.ArgumentParser(description="Recommends movies to users of MovieLens 100k.")
    parser.add_argument("folder", nargs="?", type=Path, default=DATA / "movielens_100k")
    parser.add_argument("--users", type=int, default=3, help="how many users' recommendations are printed")
    asked = parser.parse_args()
    try:
        show(asked.folder, asked.users)
    except NextclickError as error:
        sys.exit(str(error))


def show(folder: Path, users: int) -> None:
    """Recommend to every user, and print what some of them get."""
    ratings, movies = found(folder, "u.data"), found(folder, "u.item")
    with EvaluationProgress() as bar:
        items, sessions = parse_flat_file(
            ratings,
            sep="\t",
            session_index=0,
            product_index=1,
            time_index=3,
            watch=lambda done, size: bar.update("reading", done, size),
        )
        model = fit(
            sessions,
            items,
            number_of_recommendations=5,
            number_of_neighbors=10,
            sampling_strategy="recent",
            sample_size=50,
            weighting_func="log",
            ranking_strategy="log",
            return_events_from_session=False,
        )
        watched = sessions.session_items_actions_map
        model.recommend(next(iter(watched.values())))  # the first call compiles what is not compiled yet
        recommended, begin = {}, time.perf_counter()
        everybody = iter(watched.items())
        while some := dict(itertools.islice(everybody, AT_ONCE)):
            recommended |= model.recommend(some)
            bar.update("recommending", len(recommended), len(watched))
        took = time.perf_counter() - begin
    print(f"{sessions}\n{items}")
    print(f"{len(recommended)} users answered in {took:.2f} s, {took / len(recommended) * 1e6:.0f} us each")
    titles = titles_of(movies)
    for user in list(watched)[: max(0, users)]:
        print(f"\nUser {user} watched {len(watched[user][0])} movies, at last")
        print(*(f"  {titles[item]}" for item in watched[user][0][-5:]), sep="\n")
        print("and might like")
        print(*(f"  {titles[item]}  ({score:.3f})" for item, score in recommended[user]), sep="\n")


def found(folder: Path, name: str) -> Path:
    """The file of this name in the folder, as it is or gzipped."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise NextclickError(f"there is no {name} in {folder}. {WHERE_TO_GET_IT}")


def titles_of(movies: Path) -> dict[str, str]:
    """Titles of ``u.item`` by the movies' numbers."""
    packed = movies.suffix == ".gz"
    text = (gzip.decompress if packed else bytes)(movies.read_bytes()).decode("ISO-8859-1")
    return dict(line.split("|")[:2] for line in text.splitlines())


if __name__ == "__main__":
    main()
