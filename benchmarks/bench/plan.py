"""Which blocks a run has, from the sizes and names that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from benchmarks.bench.blocks import WARMED_SECONDS, Block, Measure, Tidy, database_block, web_block
from benchmarks.bench.bounds import (
    HUNDRED_THOUSAND,
    MANY_CONNECTIONS,
    MILLION,
    ONE_CONNECTION,
    SLOW_ANSWERS,
    SLOW_ROUNDS,
    TICKETS,
    TINY,
    Profile,
)
from benchmarks.bench.competitors import COLD as CACHES_OFF
from benchmarks.bench.competitors import noop, service, thinnest
from benchmarks.bench.ground import RING, Ground
from benchmarks.bench.pipeline import actor_block, effects_block, latency_block, memory_block, outage_blocks
from benchmarks.bench.requirements import COLD, DATABASE, NOOP, READS, SHIPPED, STOCK, THINNEST, WARM, at
from benchmarks.bench.workloads import Requests, Workload, request
from benchmarks.peers.django_helpdesk import Helpdesk

READ_ONLY_SIZES = (MILLION,)
"""Too large to be copied for writing."""
READ_WARM_UP_SECONDS = 0.4
"""Lists and searches look first how many rows a filter leaves, and remember it."""
SECOND_TIME = "service, warm, once more"


def databases(sizes: Collection[str]) -> Mapping[str, bool]:
    """The databases that these sizes need: each to read, and the smaller ones to write to."""
    wanted = {}
    for size in sizes:
        if size != HUNDRED_THOUSAND:
            wanted[size] = size == TINY
        if size not in (*READ_ONLY_SIZES, TINY):
            wanted[f"{size}_{RING}"] = True
    return wanted


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`sizes` are sorted by their number of tickets; of the peers, `reuse` takes what is there already."""

    ground: Ground
    sizes: tuple[str, ...]
    profile: Profile
    peers: bool
    reuse: bool

    def blocks(self, only: Callable[[str], bool]) -> list[Block]:
        """Those whose names are wanted; nothing is prepared for the others."""
        made: list[Block] = []
        for names, make in self._makers():
            if any(only(name) for name in names):
                made += [block for block in make() if only(block.name)]
        return made

    def _makers(self) -> list[tuple[tuple[str, ...], Callable[[], list[Block]]]]:
        first = self.small
        makers: list[tuple[tuple[str, ...], Callable[[], list[Block]]]] = [
            ((NOOP,), lambda: [self._noop()]),
        ]
        if first:
            makers += [
                ((at(DATABASE, first),), lambda: [self._database(first)]),
                ((at(THINNEST, first),), lambda: [self._thinnest(first)]),
                ((at(COLD, first),), lambda: [self._cold(first)]),
                ((at(WARM, first),), lambda: [self._warm(at(WARM, first), first)]),
                ((at(SECOND_TIME, first),), lambda: [self._warm(at(SECOND_TIME, first), first)]),
                ((f"{at(COLD, first)}, 32 connections",), lambda: [self._crowd(COLD, first, warm=False)]),
                ((f"{at(WARM, first)}, 32 connections",), lambda: [self._crowd(WARM, first, warm=True)]),
                (("commit to exchange",), lambda: [latency_block(*self._writes(first))]),
                (("worker throughput",), lambda: [effects_block(*self._writes(first))]),
                (("dramatiq no-op",), lambda: [actor_block(self.ground, self.profile)]),
                (("broker up", "broker down"), lambda: outage_blocks(*self._writes(first))),
                (("memory",), lambda: [self._memory(first)]),
            ]
        if HUNDRED_THOUSAND in self.sizes and first != HUNDRED_THOUSAND:
            makers.append(
                (
                    (at(WARM, HUNDRED_THOUSAND),),
                    lambda: [self._warm(at(WARM, HUNDRED_THOUSAND), HUNDRED_THOUSAND)],
                )
            )
        for size in self.sizes:
            if size in self.ground.databases:
                makers.append(((at(READS, size),), partial(self._reads, size)))
            if self.peers and size not in READ_ONLY_SIZES:
                makers.append(((at(STOCK, size), at(SHIPPED, size)), partial(self._helpdesk, size)))
        return makers

    @cached_property
    def small(self) -> str | None:
        """The size that most is measured at: the smallest that may be written to."""
        return next((size for size in self.sizes if size not in READ_ONLY_SIZES), None)

    def _workload(self, size: str) -> Workload:
        return Workload(self.ground.address(size), tickets=TICKETS[size])

    def _writes(self, size: str) -> tuple[Tidy, Requests, Profile]:
        return self._tidy(size), self._workload(size).create(), self.profile

    def _tidy(self, size: str) -> Tidy:
        return Tidy(ground=self.ground, address=self.ground.address(size), seeded=TICKETS[size])

    def _noop(self) -> Block:
        nothing = Measure(what="nothing", requests=[request("GET", "/")], seconds=self.profile.seconds)
        crowd = Measure(
            what="nothing, 32 connections",
            requests=[request("GET", "/")],
            seconds=self.profile.seconds,
            connections=MANY_CONNECTIONS,
        )
        return web_block(NOOP, self.ground, noop(), [nothing, crowd])

    def _database(self, size: str) -> Block:
        return database_block(at(DATABASE, size), self.ground.address(size), size, self.profile)

    def _thinnest(self, size: str) -> Block:
        work, seconds = self._workload(size), self.profile.seconds
        measures = [
            Measure(what="create", requests=work.create(), seconds=seconds),
            Measure(what="get", requests=work.get(), seconds=seconds),
            Measure(what="get with messages", requests=work.get(query="?with=messages"), seconds=seconds),
            Measure(what="list", requests=work.by_user(), seconds=seconds),
        ]
        return web_block(at(THINNEST, size), self.ground, thinnest(self.ground.address(size)), measures)

    def _cold(self, size: str) -> Block:
        work, seconds = self._workload(size), self.profile.seconds
        get = work.get()
        measures = [
            Measure(what="create", requests=work.create(), seconds=seconds),
            Measure(what="reply", requests=work.reply(), seconds=seconds),
            Measure(what="get", requests=get, seconds=seconds),
            # The same requests again, beside the thinnest app's answers with messages.
            Measure(what="get with messages", requests=get, seconds=seconds),
            Measure(what="list", requests=work.by_user(), seconds=seconds),
            Measure(what="inbox of an agent", requests=work.inbox(), seconds=seconds),
            Measure(what="statistics", requests=work.statistics(), seconds=seconds),
        ]
        return self._service(at(COLD, size), size, measures, CACHES_OFF)

    def _warm(self, name: str, size: str) -> Block:
        work, seconds = self._workload(size), self.profile.seconds
        measures = [
            Measure(what="create", requests=work.create(), seconds=seconds),
            self._warmed("get", work.get(warm=True)),
            self._warmed("list", work.by_user()),
        ]
        if size == self.small and not name.startswith(SECOND_TIME):
            measures += [
                self._warmed("inbox of an agent", work.inbox()),
                self._warmed("statistics", work.statistics()),
            ]
        return self._service(name, size, measures, {})

    def _crowd(self, name: str, size: str, *, warm: bool) -> Block:
        work = self._workload(size)
        warm_up = WARMED_SECONDS
        measures = [
            Measure(
                what=what,
                requests=requests,
                seconds=self.profile.seconds,
                connections=MANY_CONNECTIONS,
                warm_up=warm_up,
            )
            for what, requests in (
                ("create", work.create()),
                ("get", work.get(warm=warm)),
                ("list", work.by_user()),
            )
        ]
        settings = {} if warm else CACHES_OFF
        return self._service(
            f"{at(name, size)}, 32 connections", size, measures, settings, self.profile.few_rounds
        )

    def _warmed(self, what: str, requests: Requests) -> Measure:
        return Measure(what=what, requests=requests, seconds=self.profile.seconds, warm_up=WARMED_SECONDS)

    def _service(
        self,
        name: str,
        size: str,
        measures: list[Measure],
        settings: dict[str, str],
        rounds: int | None = None,
    ) -> Block:
        address = self.ground.address(size)
        tidy = self._tidy(size)
        server = service(self.ground, address, **settings)
        return web_block(name, self.ground, server, measures, tidy=tidy, rounds=rounds)

    def _reads(self, size: str) -> list[Block]:
        address = self.ground.databases[size]
        work = Workload(address, tickets=TICKETS[size])
        kinds = {
            "newest": work.newest(),
            "by user": work.by_user(),
            "inbox of an agent": work.inbox(),
            "filtered": work.filtered(),
            "numbered pages": work.numbered_page(),
            "deep cursors": work.cursor_page(),
        }
        for kind in ("rare", "mid", "common"):
            kinds[f"search {kind}"] = work.search(kind)
            kinds[f"search {kind}, filtered"] = work.search(kind, status="closed", category="order")
        measures = [
            Measure(
                what=what,
                requests=requests,
                seconds=self.profile.read_seconds,
                connections=ONE_CONNECTION,
                warm_up=READ_WARM_UP_SECONDS,
            )
            for what, requests in kinds.items()
        ]
        server = service(self.ground, address, **CACHES_OFF)
        return [web_block(at(READS, size), self.ground, server, measures)]

    def _helpdesk(self, size: str) -> list[Block]:
        site = Helpdesk.seeded(self.ground, size, reuse=self.reuse)
        work, seconds = self._workload(size), self.profile.seconds
        stock = [
            Measure(what="create", requests=site.create(work, "stock"), seconds=seconds),
            Measure(what="get", requests=site.get("stock"), seconds=seconds),
            Measure(what="list", requests=site.list("stock"), seconds=seconds),
        ]
        blocks = [web_block(at(STOCK, size), self.ground, site.server(), stock)]
        if size == self.small:
            shipped = [Measure(what="create", requests=site.create(work, "api"), seconds=seconds)]
            blocks += [
                web_block(at(SHIPPED, size), self.ground, site.server(), shipped),
                self._slow_reads(site, size),
            ]
        return blocks

    def _slow_reads(self, site: Helpdesk, size: str) -> Block:
        measures = [
            Measure(
                what=what, requests=requests, seconds=5.0, connections=ONE_CONNECTION, answers=SLOW_ANSWERS
            )
            for what, requests in (("get", site.get("api")), ("list", site.list("api")))
        ]
        name = f"{at(SHIPPED, size)}, its reads"
        return web_block(name, self.ground, site.server(), measures, rounds=SLOW_ROUNDS)

    def _memory(self, size: str) -> Block:
        work = self._workload(size)
        # Of ten requests six read tickets, three lists, and one writes.
        mixed = [
            request
            for parts in zip(
                *(_cycled(work.get(), n) for n in range(6)),
                *(_cycled([*work.by_user(), *work.inbox()], n) for n in range(3)),
                _cycled(work.create(), 0),
                strict=True,
            )
            for request in parts
        ]
        return memory_block(self._tidy(size), mixed, self.profile)


def _cycled(requests: Requests, start: int) -> list[bytes]:
    return [requests[(start * 331 + n) % len(requests)] for n in range(1000)]
