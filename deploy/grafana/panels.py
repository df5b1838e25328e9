"""What the dashboards are made of: queries, graphs, numbers, variables and links, all in one manner.

Grafana's own types check them: https://github.com/grafana/grafana-foundation-sdk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLink,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.runbook import section_url

#: What every query chooses its workers by; a recorded series is of a whole job.
OURS: Final = '{job=~"$job", instance=~"$instance"}'
JOB: Final = '{job=~"$job"}'

PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")

#: Units, by Grafana's names.
PER_SECOND: Final = "cps"
SECONDS: Final = "s"
BYTES: Final = "bytes"
SHARE: Final = "percentunit"
COUNT: Final = "short"

GREEN, YELLOW, RED = "green", "yellow", "red"


Panel = TypeVar("Panel", timeseries.Panel, stat.Panel)
Panels = Sequence[timeseries.Panel | stat.Panel]


class Query(NamedTuple):
    """A PromQL expression and how its series are called, in Grafana's `{{label}}` notation."""

    promql: str
    legend: str


class Limits(NamedTuple):
    """Where a value becomes a warning and where it is bad; `warning > bad`: small values are the bad ones."""

    warning: float
    bad: float


def rate(metric: str, by: str = "", chosen: str = "", over: str = "$__rate_interval") -> str:
    """The sum of a counter's rates, by some labels.

    Args:
        metric: the counter.
        by: labels, apart by commas; none: one sum.
        chosen: further matchers, with a comma before them.
        over: the time over which the rate is taken.
    """
    grouped = f"by ({by}) " if by else ""
    return f"sum {grouped}(rate({metric}{OURS[:-1]}{chosen}}}[{over}]))"


def quantile(share: float, metric: str) -> str:
    """A quantile of a histogram over all chosen workers."""
    return f"histogram_quantile({share:g}, {rate(f'{metric}_bucket', 'le')})"


def graph(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = 12,
    stacked: bool = False,
    limits: Limits | None = None,
    most: float | None = None,
    alerts: Sequence[str] = (),
) -> timeseries.Panel:
    """Series over time.

    Args:
        title: a noun.
        description: what is seen, and what is good.
        unit: by Grafana's name.
        queries: one or more.
        width: of 24.
        stacked: the series are parts of a whole.
        limits: are drawn as lines.
        most: the axis' end, where the values have one.
        alerts: that watch the same; the panel links to their sections of the runbook.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(PROMETHEUS)
        .height(8)
        .span(width)
        .min(0)
        .show_points(VisibilityMode.NEVER)
        .fill_opacity(40 if stacked else 8)
        .span_nulls(False)
        .links(_runbook_links(alerts))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if most is not None:
        panel = panel.max(most)
    if limits:
        panel = panel.thresholds(_thresholds(limits)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        )
    return _ask(panel, queries)


def number(
    title: str,
    description: str,
    unit: str,
    query: Query,
    *,
    width: int = 4,
    limits: Limits | None = None,
    decimals: int | None = None,
    alerts: Sequence[str] = (),
) -> stat.Panel:
    """The newest value as a number, with its past behind it; see :func:`graph`."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(PROMETHEUS)
        .height(4)
        .span(width)
        .graph_mode(BigValueGraphMode.AREA)
        .color_mode(BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .links(_runbook_links(alerts))
        .thresholds(
            _thresholds(limits) if limits else dashboard.ThresholdsConfig().steps([Threshold(color=GREEN)])
        )
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    return _ask(panel, [query])


def new_dashboard(
    name: str, title: str, description: str, *, by_partition: bool = False
) -> dashboard.Dashboard:
    """A dashboard without panels, with the variables and links that all have.

    Args:
        name: its place in Grafana, `/d/nextclick-NAME`, and the name of its file.
        title: as it is called.
        description: the question that it answers.
        by_partition: the partitions can be chosen, too.
    """
    made = (
        dashboard.Dashboard(f"nextclick: {title}")
        .uid(f"nextclick-{name}")
        .description(description)
        .tags(["nextclick"])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("10s")
        .time("now-30m", "now")
        .timezone("browser")
        .link(
            dashboard.DashboardLink("nextclick")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["nextclick"])
            .keep_time(True)
            .include_vars(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_choice("job", "nextclick_build_info", "The group of workers"))
        .with_variable(_choice("instance", f"nextclick_build_info{JOB}", "The workers"))
    )
    if by_partition:
        made = made.with_variable(_choice("partition", f"nextclick_consumer_lag{JOB}", "Of the input"))
    return made


def rows(made: dashboard.Dashboard, *parts: tuple[str, Panels]) -> dashboard.Dashboard:
    """Add panels under headings."""
    for heading, panels in parts:
        made = made.with_row(dashboard.Row(heading))
        for panel in panels:
            made = made.with_panel(panel)
    return made


def _choice(name: str, series: str, label: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query({"query": f"label_values({series}, {name})", "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
    )


def _ask(panel: Panel, queries: Iterable[Query]) -> Panel:
    for at, query in enumerate(queries):
        panel = panel.with_target(
            prometheus.Dataquery()
            .ref_id(chr(ord("A") + at))
            .datasource(PROMETHEUS)
            .expr(query.promql)
            .legend_format(query.legend)
            .range()
        )
    return panel


def _thresholds(limits: Limits) -> dashboard.ThresholdsConfig:
    low, high = sorted(limits)
    colors = (GREEN, YELLOW, RED) if limits.warning <= limits.bad else (RED, YELLOW, GREEN)
    steps = [Threshold(color=colors[0])]
    steps += [Threshold(value=low, color=colors[1]), Threshold(value=high, color=colors[2])]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _runbook_links(alerts: Sequence[str]) -> list[Builder[DashboardLink]]:
    return [dashboard.DashboardLink(f"Runbook: {alert}").url(section_url(alert)) for alert in alerts]
