"""What was measured: medians for each contender, the bounds that must hold, and their JSON and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import markdown
from benchmarks.bounds import Bound
from benchmarks.machine_facts import sentence
from benchmarks.measures import Spread, spread
from benchmarks.report import workload
from benchmarks.report.contenders import Contender
from benchmarks.report.rounds import Outcome

# What a run may take beyond the limit: the last batch, and its answer.
ALLOWANCE_S = 1.6


@dataclass(frozen=True)
class Row:
    """One contender over all rounds."""

    contender: Contender
    outcomes: list[Outcome]

    def of(self, name: str) -> Spread:
        """The spread of one of the times or counts."""
        return spread(float(getattr(outcome, name)) for outcome in self.outcomes)

    @property
    def success(self) -> float:
        """The worst round's."""
        return min(outcome.verdict.success for outcome in self.outcomes)

    @property
    def losses(self) -> str:
        """The worst round's."""
        return min(self.outcomes, key=lambda outcome: outcome.verdict.success).verdict.losses()

    @property
    def typical(self) -> Outcome:
        """The round with the median time."""
        return sorted(self.outcomes, key=lambda outcome: outcome.total_s)[len(self.outcomes) // 2]


@dataclass(frozen=True)
class Results:
    """Everything that one command measured."""

    scale: workload.Scale
    upstream: str
    machine: dict[str, str]
    fault_rate: float
    rows: list[Row]

    def row(self, key: str) -> Row:
        """The row of a contender."""
        return next(row for row in self.rows if row.contender.key == key)

    @property
    def extraction_s(self) -> float:
        """E, measured in the same rounds: the source with a sink that takes everything and does nothing."""
        return self.row("extraction").of("total_s").median

    def bounds(self) -> list[Bound]:
        """Ours against the limit, against every Python design, and without a loss."""
        ours = self.row("ours-4")
        total = ours.of("total_s").median
        work = workload.server_seconds(self.scale)
        limit = max(self.extraction_s, work / 4) + ALLOWANCE_S
        found = []
        if not self.fault_rate:
            text = f"ours, 4 workers, <= max(E, S / 4) + {ALLOWANCE_S} s (E {self.extraction_s:.1f} s, S {work:.1f} s)"
            found.append(Bound(text, total, limit, beside=self.row("upstream").of("total_s").median))
        found += [
            Bound(f"ours, 4 workers, against {row.contender.title}", total, row.of("total_s").median)
            for row in self.rows
            if row.contender.is_python_design and (row.success == 1.0 or not self.fault_rate)
        ]
        return found + [
            Bound(f"{row.contender.title}: records lost", 100 * (1 - row.success), 0.0, "%")
            for row in self.rows
            if row.contender.kind == "ours"
        ]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "workload": {"scale": workload.scale_as_dict(self.scale), "rates_ms": workload.rates()},
            "upstream": self.upstream,
            "machine": self.machine,
            "fault_rate": self.fault_rate,
            "extraction_s": self.extraction_s,
            "server_s": workload.server_seconds(self.scale),
            "contenders": [
                {
                    "key": row.contender.key,
                    "title": row.contender.title,
                    "workers": row.contender.workers,
                    **{name: row.of(name).as_dict() for name in _MEASURED},
                    "success": row.success,
                    "losses": row.losses,
                    "runs": [outcome.as_dict() for outcome in row.outcomes],
                }
                for row in self.rows
            ],
            "bounds": [bound.as_dict() for bound in self.bounds()],
        }

    def cells(self) -> list[list[str]]:
        """The table, its head first."""
        head = ["design", "total", "extraction", "blocked", "tail", "over E", "requests", "rows a batch"]
        table = [[*head, "in flight", "success", "lost"]]
        for row in self.rows:
            typical = row.typical
            is_source = row.contender.kind == "extraction"
            table.append(
                [
                    row.contender.title,
                    row.of("total_s").text(),
                    *(f"{row.of(name).median:.1f} s" for name in ("extraction_s", "blocked_s", "tail_s")),
                    "E" if is_source else f"+{row.of('total_s').median - self.extraction_s:.1f} s",
                    *(["-"] * 5 if is_source else _request_cells(row, typical)),
                ]
            )
        return table

    def markdown(self, charts: Sequence[tuple[str, str]]) -> str:
        """The document. charts: (title, file name)."""
        count, cells = len(self.rows[0].outcomes), self.cells()
        rates = ", ".join(f"{name} {value:g} ms" for name, value in workload.rates().items())
        faults = f" Of all requests {self.fault_rate:.0%} fail (status 503)." if self.fault_rate else ""
        lines = [
            "# The report's table",
            "",
            f"Workload: {self.scale.describe()}. Rates as in the report: {rates}.{faults}",
            f"Medians of {count} interleaved round{'s' * (count > 1)} (least-most), upstream {self.upstream}.",
            f"Machine: {sentence(self.machine)}.",
            "",
            "`extraction` is time in the source, `blocked` time that the source waited in the sink, `tail` the time",
            "after the last table; they add up to `total`. E is the same source with a sink that does nothing.",
            "",
            *markdown.table(cells, left=(0, len(cells[0]) - 1)),
            "",
            *(f"- {bound.line()}" for bound in self.bounds()),
        ]
        for title, file in charts:
            lines += ["", f"![{title}]({file})"]
        return "\n".join(lines) + "\n"


_MEASURED = ("total_s", "extraction_s", "blocked_s", "tail_s", "cpu_s", "peak_rss_kb", "requests")


def _request_cells(row: Row, typical: Outcome) -> list[str]:
    refused = ", ".join(f"{count} x {status}" for status, count in typical.bad_statuses.items())
    return [
        f"{typical.requests}" + (f" ({refused})" if refused else ""),
        f"{typical.mean_batch:.0f}" if typical.mean_batch else "-",
        str(typical.most_in_flight),
        f"{row.success:.2%}" if row.success < 1 else "100 %",
        row.losses,
    ]
