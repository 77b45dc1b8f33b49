"""Who is killed, by whom, and who starts them again."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.system.fleet import Fleet, ProcessName

LONGEST_DEATH_SECONDS = 0.5
"""How late the supervisor notices that somebody has ended."""
POLL_SECONDS = 0.1
JOIN_TIMEOUT_SECONDS = 120.0
START_TRIES = 3


@dataclass(frozen=True)
class Death:
    """Who was killed, after how many seconds of the run, at which share of the work, and for how long."""

    name: str
    at_seconds: float
    share: float
    down_seconds: float

    def __str__(self) -> str:
        when = f"{self.at_seconds:7.1f} s ({self.share:4.0%})"
        return f"{when}  {self.name} killed, back after {self.down_seconds:.1f} s"


class Victim:
    """Something that runs, can be killed in some ways, and be started again."""

    def __init__(
        self,
        name: str,
        *,
        ways: Sequence[Callable[[], None]],
        start: Callable[[], None],
        is_up: Callable[[], bool],
    ) -> None:
        self.name = name
        self._ways = ways
        self._start = start
        self._is_up = is_up
        # Who is being started is not killed: a start that fails is another test's business.
        self.changing = threading.Lock()

    @classmethod
    def process(cls, fleet: Fleet, name: ProcessName) -> "Victim":
        """One of the service's own processes, with its children."""
        return cls(
            name,
            ways=(lambda: fleet.kill9(name),),
            start=lambda: fleet.restart(name),
            is_up=lambda: fleet.is_running(name),
        )

    @property
    def is_up(self) -> bool:
        return self._is_up()

    def die(self, chance: random.Random) -> None:
        chance.choice(self._ways)()

    def rise(self) -> None:
        """Starts it; tries again when that fails because others are down too."""
        for attempt in range(1, START_TRIES + 1):
            try:
                self._start()
                return
            except Exception:
                if attempt == START_TRIES:
                    raise


class Reaper:
    """Kills at shares of the work that chance decides beforehand; a supervisor for each victim revives it."""

    def __init__(
        self, victims: Sequence[Victim], *, deaths: int, chance: random.Random, until_share: float
    ) -> None:
        self._victims = victims
        self._chance = chance
        # Everybody dies once at least, when there are as many deaths; each at a random moment of its turn.
        dying = [victims[n % len(victims)] for n in range(deaths)]
        chance.shuffle(dying)
        shares = [(turn + chance.random()) / deaths * until_share for turn in range(deaths)]
        self._plan = list(zip(shares, dying, strict=True))
        self._share = 0.0
        self._stopping = threading.Event()
        self._began_at = time.monotonic()
        self._died: dict[str, tuple[float, float]] = {}
        self.past: list[Death] = []
        self.errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._guarded, args=(self._reap,), name="reaper", daemon=True),
            *(
                threading.Thread(
                    target=self._guarded,
                    args=(self._supervise, victim),
                    name=f"supervisor-{victim.name}",
                    daemon=True,
                )
                for victim in victims
            ),
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT_SECONDS)

    def tell(self, share: float) -> None:
        """How much of the work is done."""
        self._share = share

    def wait_until_all_live(self) -> None:
        """Returns once all planned deaths are past and everybody is back."""
        while (self._plan or not all(map(_lives, self._victims))) and not self.errors:
            time.sleep(POLL_SECONDS)
        self.raise_errors()

    def raise_errors(self) -> None:
        for error in self.errors:
            raise error

    def _guarded(self, task: Callable[..., None], *arguments: Victim) -> None:
        try:
            task(*arguments)
        except BaseException as error:
            self.errors.append(error)

    def _reap(self) -> None:
        while self._plan and not self._stopping.wait(POLL_SECONDS / 4):
            share, victim = self._plan[0]
            if self._share < share:
                continue
            with victim.changing:
                if not victim.is_up:
                    continue
                self._died[victim.name] = (time.monotonic(), self._share)
                victim.die(self._chance)
            self._plan.pop(0)

    def _supervise(self, victim: Victim) -> None:
        chance = random.Random(victim.name)  # noqa: S311
        while not self._stopping.wait(POLL_SECONDS):
            if victim.is_up:
                continue
            self._stopping.wait(chance.uniform(0, LONGEST_DEATH_SECONDS))
            with victim.changing:
                victim.rise()
            # One that has ended by itself was not killed: it counts, and is named, all the same.
            at, share = self._died.pop(victim.name, (time.monotonic(), self._share))
            self.past.append(Death(victim.name, at - self._began_at, share, time.monotonic() - at))


def _lives(victim: Victim) -> bool:
    if not victim.changing.acquire(blocking=False):
        return False
    try:
        return victim.is_up
    finally:
        victim.changing.release()
