"""The figures of one method over one set of sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from core.measure.metrics import MEANS, Tally
from core.measure.significance import Difference, Estimate, clustered_mean, paired_differences

Protocol = Literal["holdout", "prequential"]

#: The figures that methods are compared by, at the largest cut-off.
COMPARED: Final = ("hr", "mrr", "ndcg", "precision", "recall")


@dataclass(frozen=True, slots=True)
class Timing:
    """What answering took, by the wall clock.

    Args:
        us_per_query: microseconds a query, when as many are asked in one call as the protocol allows
            (holdout: 1,000; prequential: those between two changes of the index); all calls' time by all
            queries.
        us_alone_p50: median of calls with one query each, after all others, on the index as it is then.
        us_alone_p99: the 99th percentile of the same calls.
        alone: how many such calls were measured.
    """

    us_per_query: float
    us_alone_p50: float
    us_alone_p99: float
    alone: int


@dataclass(frozen=True, slots=True)
class Report:
    """One method, evaluated.

    Args:
        method: its name.
        exclude: what its answers leave out.
        protocol: ``holdout`` or ``prequential``.
        tally: its answers, judged.
        learnt: how often each item was learnt, by the item's number.
        train_sessions: sessions learnt before the first query.
        fit_seconds: how long learning them took.
        seconds: how long all of it took.
        timing: of its answers.
        settings: its parameters.
    """

    method: str
    exclude: str
    protocol: Protocol
    tally: Tally
    learnt: Sequence[int]
    train_sessions: int
    fit_seconds: float
    seconds: float
    timing: Timing
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def queries(self) -> int:
        """Queries answered and judged."""
        return self.tally.queries

    @property
    def sessions(self) -> int:
        """Sessions that asked them: the independent units."""
        return int((self.tally.counts > 0).sum())

    def estimate(self, name: str) -> Estimate:
        """A mean such as ``hr_20`` with its 95 % confidence interval over sessions.

        Raises:
            KeyError: no figure of this name.
        """
        if name not in self.tally.columns:
            raise KeyError(f"no figure {name!r}, expected one of {', '.join(self.tally.columns)}")
        return clustered_mean(self.tally.column(name), self.tally.counts)

    def value(self, name: str) -> float:
        """A mean such as ``mrr_20``, over all queries."""
        return self.estimate(name).value

    def differences(self, other: Report) -> dict[str, Difference]:
        """By how much this one is above another that answered the same queries, figure by figure.

        Raises:
            ValueError: the other one answered other queries.
        """
        alike = self.tally.cases is other.tally.cases or self.tally.cases.same_as(other.tally.cases)
        if not alike or self.tally.cutoffs != other.tally.cutoffs:
            raise ValueError("expected two reports on the same queries with the same cut-offs")
        names = [f"{name}_{self.tally.cutoffs[-1]}" for name in COMPARED]
        places = [self.tally.columns.index(name) for name in names]
        found = paired_differences(self.tally.sums[:, places], other.tally.sums[:, places], self.tally.counts)
        return dict(zip(names, found, strict=True))

    def row(self, first: Report | None = None) -> dict[str, Any]:
        """All of it as one flat object of plain values, for JSON.

        Args:
            first: a report to be compared with; None for none.
        """
        row: dict[str, Any] = {
            "method": self.method,
            "exclude": self.exclude,
            "protocol": self.protocol,
            "queries": self.queries,
            "sessions": self.sessions,
            "train_sessions": self.train_sessions,
            "items": sum(times > 0 for times in self.learnt),
        }
        for k in self.tally.cutoffs:
            for name in MEANS:
                estimate = self.estimate(f"{name}_{k}")
                row[f"{name}_{k}"] = estimate.value
                row[f"{name}_{k}_low"], row[f"{name}_{k}_high"] = estimate.low, estimate.high
        row |= self.tally.shown(self.learnt)
        if first is not None:
            row["against"] = first.method
            for name, difference in self.differences(first).items():
                row[f"{name}_difference"] = difference.value
                row[f"{name}_difference_low"], row[f"{name}_difference_high"] = (
                    difference.low,
                    difference.high,
                )
                row[f"{name}_p"] = difference.p
        return row | {
            "us_per_query": self.timing.us_per_query,
            "us_alone_p50": self.timing.us_alone_p50,
            "us_alone_p99": self.timing.us_alone_p99,
            "fit_seconds": self.fit_seconds,
            "seconds": self.seconds,
            "settings": dict(self.settings),
        }
