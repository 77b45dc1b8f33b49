"""What the service must show, and what of that a run has shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.bench.blocks import Sample
from benchmarks.bench.bounds import FEWEST_ROUNDS, FLAT_GROWTH, SMALL_PROCESS_MIB
from benchmarks.bench.figures import growth, ratio

DATABASE, NOOP, THINNEST = "probe: database", "probe: Falcon no-op", "probe: thinnest app"
COLD, WARM = "service, caches off", "service, warm"
STOCK, SHIPPED = "django-helpdesk, stock REST views", "django-helpdesk, as shipped"
READS = "service, reads"
EFFECTS, ACTOR, EVENTS = "worker throughput", "dramatiq no-op", "commit to exchange"
NOTHING = "-"
"""What a table shows where nothing was measured."""
UP, DOWN, MEMORY = "broker up", "broker down", "memory"


def at(block: str, size: str) -> str:
    return f"{block}, {size}"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of one block, as the rounds gave it."""

    block: str
    what: str
    name: str = "per_second"

    def values(self, samples: Iterable[Sample]) -> list[float]:
        return [
            sample[self.name]
            for sample in samples
            if sample["block"] == self.block and sample["what"] == self.what and self.name in sample
        ]


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A figure, as a multiple of another one or by itself, and its bound."""

    title: str
    ours: Figure
    theirs: Figure | None = None
    bound: float
    at_most: bool = False
    unit: str = " x"

    def shown(self, samples: Sequence[Sample]) -> Shown:
        ours = self.ours.values(samples)
        theirs = self.theirs.values(samples) if self.theirs else [1.0] * len(ours)
        value = ratio(ours, theirs)
        return Shown(self, value, min(len(ours), len(theirs)))


@dataclass(frozen=True)
class Shown:
    """What a run says about a requirement; `value` is None when it was not measured."""

    requirement: Requirement
    value: float | None
    rounds: int

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if self.rounds < FEWEST_ROUNDS:
            return "too few rounds"
        bound = self.requirement.bound
        met = self.value <= bound if self.requirement.at_most else self.value >= bound
        return "met" if met else "NOT met"


def _faster(
    title: str, ours: str, theirs: str, what: Sequence[str], bounds: Sequence[float]
) -> list[Requirement]:
    return [
        Requirement(
            title=f"{kind} / {title}",
            ours=Figure(block=ours, what=kind),
            theirs=Figure(block=theirs, what=kind),
            bound=bound,
        )
        for kind, bound in zip(what, bounds, strict=True)
    ]


def _deep_and_wide(kinds: Sequence[str]) -> list[Requirement]:
    return [
        Requirement(
            title=f"{kind}: p95 at 1 M / at 10 k",
            ours=Figure(block=at(READS, "1m"), what=kind, name="p95_ms"),
            theirs=Figure(block=at(READS, "10k"), what=kind, name="p95_ms"),
            bound=1.3,
            at_most=True,
        )
        for kind in kinds
    ]


LISTS = ("newest", "by user", "inbox of an agent", "filtered", "numbered pages", "deep cursors")
WRITE_READ_LIST = ("create", "get", "list")
SEARCH_BOUNDS_MS = {"rare": 60, "mid": 60, "common": 100}


def requirements() -> list[Requirement]:
    """Everything that is asked of the service, in the order of the table."""
    wanted = [
        *_faster(
            "raw transaction on the same tables", at(COLD, "10k"), at(DATABASE, "10k"), ["create"], [0.30]
        ),
        *_faster(
            "the thinnest app (caches off)", at(COLD, "10k"), at(THINNEST, "10k"), WRITE_READ_LIST, [0.70] * 3
        ),
        *_faster(
            "the thinnest app (caches off)",
            at(COLD, "10k"),
            at(THINNEST, "10k"),
            ["get with messages"],
            [0.70],
        ),
        Requirement(
            title="get (warm) / Falcon no-op",
            ours=Figure(block=at(WARM, "10k"), what="get"),
            theirs=Figure(block=NOOP, what="nothing"),
            bound=0.40,
        ),
        Requirement(
            title="list 25 (warm) / Falcon no-op",
            ours=Figure(block=at(WARM, "10k"), what="list"),
            theirs=Figure(block=NOOP, what="nothing"),
            bound=0.35,
        ),
    ]
    for size in ("10k", "100k"):
        wanted += _faster(
            f"stock REST views, {size}", at(WARM, size), at(STOCK, size), WRITE_READ_LIST, [3, 5, 8]
        )
        wanted += [
            Requirement(
                title=f"{kind}: p99 / that of stock REST views, {size}",
                ours=Figure(block=at(WARM, size), what=kind, name="p99_ms"),
                theirs=Figure(block=at(STOCK, size), what=kind, name="p99_ms"),
                bound=0.6,
                at_most=True,
            )
            for kind in WRITE_READ_LIST
        ]
    wanted += _faster("django-helpdesk as shipped", at(WARM, "10k"), at(SHIPPED, "10k"), ["create"], [10])
    wanted += _deep_and_wide(LISTS)
    for kind, bound in SEARCH_BOUNDS_MS.items():
        wanted += [
            Requirement(
                title=f"search for {kind} words{filters}: p95 at 1 M",
                ours=Figure(block=at(READS, "1m"), what=f"search {kind}{filters}", name="p95_ms"),
                bound=bound,
                at_most=True,
                unit=" ms",
            )
            for filters in ("", ", filtered")
        ]
    return [
        *wanted,
        Requirement(
            title="commit → event on the exchange, p99 at half load",
            ours=Figure(block=EVENTS, what="half load", name="p99_ms"),
            bound=150,
            at_most=True,
            unit=" ms",
        ),
        Requirement(
            title="event effects per second / dramatiq no-op actor",
            ours=Figure(block=EFFECTS, what="effects"),
            theirs=Figure(block=ACTOR, what="messages"),
            bound=0.40,
        ),
        Requirement(
            title="p99 of writes with the broker down / up",
            ours=Figure(block=DOWN, what="create", name="p99_ms"),
            theirs=Figure(block=UP, what="create", name="p99_ms"),
            bound=1.2,
            at_most=True,
        ),
    ]


def memory_lines(samples: Sequence[Sample]) -> list[tuple[str, str, str, str]]:
    """Title, required, shown, verdict: how memory grew, and how large it became."""
    sizes = [sample["largest_mib"] for sample in samples if sample["block"] == MEMORY]
    grown = growth(sizes)
    if grown is None:
        return [("memory per web process", f"flat, < {SMALL_PROCESS_MIB} MiB", NOTHING, "not measured")]
    last = [sample["what"] for sample in samples if sample["block"] == MEMORY][-1]
    return [
        (
            f"memory of the largest web process after {last}",
            f"< {SMALL_PROCESS_MIB} MiB",
            f"{sizes[-1]:.0f} MiB",
            "met" if sizes[-1] < SMALL_PROCESS_MIB else "NOT met",
        ),
        (
            "its growth over the second half of them",
            f"flat (< {FLAT_GROWTH:.0%})",
            f"{grown:+.1%}",
            "met" if grown < FLAT_GROWTH else "NOT met",
        ),
    ]
