"""The table of a run, for people: `benchmarks/RESULTS.md`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.bench.bounds import NOISE
from benchmarks.bench.figures import is_noise, ratio
from benchmarks.bench.plan import SECOND_TIME
from benchmarks.bench.requirements import (
    DATABASE,
    NOTHING,
    READS,
    WARM,
    Figure,
    Requirement,
    at,
    memory_lines,
    requirements,
)
from benchmarks.bench.results import Results, errors

METHOD = f"""All in one session on one machine: the database, broker, competitor and load generator share its
processors, so only ratios say something. A round has every block once, in an order that is drawn
anew; each block starts its competitor, measures, and ends it. Numbers are medians over the rounds.
Differences below {NOISE:.0%} count as none; "The same twice" shows how far a block differs from itself.

The load generator keeps its connections open and sends the next request when it has the answer; what it
takes of the processors is in the column "client CPU". Without another word there are 8 connections, so
8 requests at a time; for "reads" there is one. Caches off means `CACHE_MEMORY_MB=0`; warm means the same
200 tickets, 5 lists and 20 inboxes again and again, after a second that does not count.

Databases that are written to grow by what is written, for all competitors on them alike; "reads" are
measured on one that is only read. No workers run beside the blocks of HTTP. They do in "commit to
exchange", whose times begin when the service has received the request, before its transaction: they are
a little longer than the time since the commit. "Broker down" is one that refuses connections.
"""


def report(results: Results, explanations: str) -> str:
    """The whole text, with what people have written about it at the end."""
    parts = [
        "# Results\n\nWritten by `./scripts/bench`; what it means is in `benchmarks/README.md`.\n",
        _facts(results),
        "## What it must show\n",
        _required(results),
        _plot_line() if results.samples else "",
        "## The same twice\n",
        _twice(results),
        "## Searches and a read by primary key\n",
        _searches(results),
        "## Everything that was measured\n",
        _measured(results),
        "## How\n",
        METHOD,
        explanations,
    ]
    return "\n".join(part for part in parts if part)


def write_report(results: Results, output: Path, explanations: Path) -> None:
    text = explanations.read_text() if explanations.exists() else ""
    output.write_text(report(results, text))


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _facts(results: Results) -> str:
    if not results.samples:
        return "Nothing has been measured yet.\n"
    known = ", ".join(f"{name} {value}" for name, value in results.facts.items())
    text = f"{known}.\n\n{errors(results.samples)} answers were errors.\n"
    if results.troubles:
        text += (
            "\nBlocks that broke off:\n\n" + "\n".join(f"- {trouble}" for trouble in results.troubles) + "\n"
        )
    return text


def _required(results: Results) -> str:
    lines = []
    for requirement in requirements():
        shown = requirement.shown(results.samples)
        bound = f"{'≤' if requirement.at_most else '≥'} {requirement.bound:g}{requirement.unit}"
        value = NOTHING if shown.value is None else f"{shown.value:.3g}{requirement.unit}"
        lines.append((requirement.title, bound, value, str(shown.rounds), shown.verdict))
    lines += [
        (title, bound, value, "1", verdict) for title, bound, value, verdict in memory_lines(results.samples)
    ]
    return table(("what", "required", "shown", "rounds", ""), lines)


def _plot_line() -> str:
    return "![Shown, as a share of what is required](results/plot.svg)\n"


def _twice(results: Results) -> str:
    lines = []
    for block in results.blocks:
        if not block.startswith(WARM):
            continue
        other = block.replace(WARM, SECOND_TIME)
        for what in results.whats(block):
            one, again = (results.spread(name, what, "per_second") for name in (block, other))
            if one and again:
                verdict = "same" if is_noise(one.median, again.median, noise=NOISE) else "more than noise"
                lines.append(
                    (
                        what,
                        f"{one.median:,.0f} ({one.lowest:,.0f} to {one.highest:,.0f})",
                        f"{again.median:,.0f} ({again.lowest:,.0f} to {again.highest:,.0f})",
                        f"{again.median / one.median - 1:+.1%}" if one.median else NOTHING,
                        verdict,
                    )
                )
    return (
        table(("what, a second", "once", "once more", "difference", ""), lines)
        if lines
        else "Not measured.\n"
    )


def _searches(results: Results) -> str:
    sizes = results.facts["sizes"]
    reads = next((at(READS, size) for size in reversed(sizes) if at(READS, size) in results.blocks), None)
    key = next(
        (
            Figure(block=block, what="primary_key", name="p50_ms").values(results.samples)
            for block in results.blocks
            if block.startswith(DATABASE)
        ),
        [],
    )
    if reads is None or not key:
        return "Not measured.\n"
    lines = []
    for what in results.whats(reads):
        middle, high = (results.spread(reads, what, name) for name in ("p50_ms", "p95_ms"))
        if middle and high:
            times = ratio([middle.median], key)
            lines.append(
                (what, f"{middle.median:.1f}", f"{high.median:.1f}", f"{times:.1f}" if times else NOTHING)
            )
    return f"Of {reads}, one connection; milliseconds.\n\n" + table(
        ("what", "p50", "p95", "p50 / raw read by primary key"), lines
    )


def _measured(results: Results) -> str:
    names = ("per_second", "p50_ms", "p95_ms", "p99_ms", "cpu_ms", "client_cpu_ms")
    lines = []
    for block in sorted(results.blocks):
        for what in results.whats(block):
            spreads = [results.spread(block, what, name) for name in names]
            rounds = max((spread.count for spread in spreads if spread), default=0)
            if rounds:
                shown = [
                    f"{spread.median:,.{0 if spread.median >= 100 else 2}f}" if spread else NOTHING
                    for spread in spreads
                ]
                lines.append((block, what, *shown, str(rounds)))
    head = (
        "block",
        "what",
        "a second",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "CPU ms each",
        "client CPU ms",
        "rounds",
    )
    return table(head, lines) + _processes(results)


def _processes(results: Results) -> str:
    kinds = ("http", "worker", "scheduler")
    spreads = {kind: results.spread("commit to exchange", "half load", f"{kind}_cpu_ms") for kind in kinds}
    known = ", ".join(f"{kind} {spread.median:.2f}" for kind, spread in spreads.items() if spread)
    return f"\nCPU milliseconds per created ticket at half load, by process: {known}.\n" if known else ""


def shares(results: Results) -> list[tuple[Requirement, float]]:
    """How much of what is required was shown: 1 is just enough, also where less is better."""
    found = []
    for requirement in requirements():
        value = requirement.shown(results.samples).value
        if value:
            share = requirement.bound / value if requirement.at_most else value / requirement.bound
            found.append((requirement, share))
    return found
