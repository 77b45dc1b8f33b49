"""The test run: finds or starts the servers, runs every check, sums up, and leaves nothing behind.

    ./scripts/test                        everything
    ./scripts/test tests/unit -k foo      these arguments to one pytest call, nothing else
    ./scripts/test --help

A server of each kind (MySQL or MariaDB, RabbitMQ, S3) is looked for in this order:

    1. SAV_TEST_MYSQL=mysql://user:password@host:port
       SAV_TEST_RABBITMQ=amqp://user:password@host:port[/vhost]
       SAV_TEST_S3=http://accesskey:secretkey@host:port
       (one that does not work is an error)
    2. the default port on 127.0.0.1 with the usual test login
    3. Docker Compose: tests/servers/compose.yml
    4. a private one for this run, from the programs installed on this machine
    5. the same after installing it: apt-get as root, pip for the S3 server

SAV_TEST_PRIVATE=1 leaves out 2 and 3. On shared servers the run touches only its own databases
(sav_test_<run>_...), its own buckets and its own virtual host, and removes them at the end.

Exit code: 0 all passed, 1 something failed (skipped and xfailed count as failed), 2 a server is missing.
"""

import json
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests.servers.belongings import drop_databases, own_virtual_host, prefix, remove_buckets
from tests.servers.find import NoServer, ServerFinder, WrongURL
from tests.servers.kinds import BROKER, DATABASE, KINDS, S3

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent

PASSED, FAILED, NO_SERVER = 0, 1, 2

WORKERS = "3"
"""On two processors: tests wait for servers and processes most of their time."""
# What is fuzzed is the document against the service, not the database.
ON_SQLITE = (
    "tests/integration",
    "tests/http",
    "tests/actors/test_privacy.py",
    "tests/actors/test_privacy_of_whom.py",
    "--ignore=tests/http/test_schemathesis.py",
)
STEP_ENDS_ITSELF_SECONDS = 3.0
STEP_STOP_TIMEOUT_SECONDS = 30.0

# Tests in these directories need no server; alone they are run without looking for one.
SERVERLESS = ("tests/unit", "tests/architecture")


@dataclass(frozen=True)
class Step:
    title: str
    command: tuple[str, ...]
    is_beside: bool = False
    """Runs at the same time as the others and is heard when they are done: it waits more than it computes."""

    @property
    def is_pytest(self) -> bool:
        return self.command[0] == "pytest"


@dataclass(frozen=True)
class Result:
    step: Step
    ok: bool
    seconds: float
    passed: int = 0
    failed: int = 0


class Interrupted(Exception):
    """SIGINT or SIGTERM arrived."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


ALL_STEPS = (
    Step("ruff check", ("ruff", "check")),
    Step("ruff format", ("ruff", "format", "--check")),
    Step("mypy", ("mypy", "sav")),
    Step("import layers", ("lint-imports",)),
    Step("tests, server database", ("pytest", "-n", WORKERS, "tests", "--ignore", "tests/system")),
    Step("tests, SQLite", ("pytest", "-n", WORKERS, *ON_SQLITE, "--database=sqlite")),
    Step(
        "tests, whole system",
        # Tests of one file share the processes that they are about.
        ("pytest", "-n", WORKERS, "--dist", "loadfile", "tests/system"),
        is_beside=True,
    ),
)


def main(arguments: Sequence[str]) -> int:
    """Run it all, or one pytest call with these arguments; returns the exit code."""
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return PASSED
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # it logs every login that fails; we say it better
    steps = [Step("pytest", ("pytest", *arguments))] if arguments else ALL_STEPS
    _raise_on(signal.SIGINT, signal.SIGTERM)
    try:
        with ExitStack() as stack:
            stack.callback(_ignore, signal.SIGINT, signal.SIGTERM)
            run_id = secrets.token_hex(4)
            directory = stack.enter_context(_run_directory(run_id))
            os.environ["SAV_TEST_RUN_ID"] = run_id
            if needs_servers(arguments) and not provide_servers(run_id, directory, stack):
                return NO_SERVER
            results = run_all(steps, directory, stack)
            stack.callback(summarise, results)
            return PASSED if all(result.ok for result in results) else FAILED
    except Interrupted as interrupt:
        print(f"\n{interrupt}: stopped and cleaned up", flush=True)
        return 128 + interrupt.number


def needs_servers(arguments: Sequence[str]) -> bool:
    """False when the arguments name tests, and only such as never use a server."""
    named = [argument for argument in arguments if (ROOT / argument.partition("::")[0]).exists()]
    return not named or not all(argument.startswith(SERVERLESS) for argument in named)


def provide_servers(run_id: str, directory: Path, stack: ExitStack) -> bool:
    """Find or start a server of each kind and export their URLs; False after saying what is missing."""
    only_private = os.environ.get("SAV_TEST_PRIVATE") == "1"
    finder = ServerFinder(run_id=run_id, directory=directory, stack=stack, only_private=only_private)
    found = {}
    for kind in KINDS:
        try:
            found[kind] = finder.find(kind)
        except (NoServer, WrongURL) as missing:
            print(missing, file=sys.stderr, flush=True)
        else:
            print(found[kind], flush=True)
    if len(found) < len(KINDS):
        return False
    addresses = {kind: server.address for kind, server in found.items()}
    addresses[BROKER] = stack.enter_context(own_virtual_host(found[BROKER], run_id))
    for kind, address in addresses.items():
        os.environ[kind.variable] = address.url
    stack.callback(
        _best_effort, "dropping the databases", lambda: drop_databases(addresses[DATABASE], run_id)
    )
    stack.callback(_best_effort, "removing the buckets", lambda: remove_buckets(addresses[S3], run_id))
    return True


def run_all(steps: Sequence[Step], directory: Path, stack: ExitStack) -> list[Result]:
    """Run each step to its end, whatever the outcome; returns their results in the order of the steps."""
    numbers = {step: number for number, step in enumerate(steps, start=1)}
    beside = {
        step: stack.enter_context(Running(step, directory, number=numbers[step]))
        for step in steps
        if step.is_beside
    }
    results = {}
    for step in steps:
        if step not in beside:
            with Running(step, directory, number=numbers[step]) as running:
                results[step] = running.result()
    results |= {step: running.result() for step, running in beside.items()}
    return [results[step] for step in steps]


class Running:
    """A step that has been started; its output goes to the terminal, at once or when it is heard."""

    def __init__(self, step: Step, directory: Path, *, number: int) -> None:
        self._step = step
        own = Path(tempfile.mkdtemp(dir=directory))
        self._outcomes = own / "outcomes.json"
        self._log = own / "output" if step.is_beside else None
        if not self._log:
            self._announce()
        program, *arguments = step.command
        if step.is_pytest:
            arguments.insert(0, f"--basetemp={own / 'tmp'}")
        self._started_at = time.monotonic()
        with ExitStack() as stack:
            self._process = subprocess.Popen(
                [TOOLS / program, *arguments],
                cwd=ROOT,
                env=os.environ | {"SAV_TEST_OUTCOMES": str(self._outcomes), "SAV_TEST_STEP": str(number)},
                stdout=stack.enter_context(self._log.open("wb")) if self._log else None,
                stderr=subprocess.STDOUT if self._log else None,
            )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            _ignore(signal.SIGINT, signal.SIGTERM)
            _end(self._process)

    def result(self) -> Result:
        """Waits for its end."""
        ok = self._process.wait() == 0
        seconds = time.monotonic() - self._started_at
        if self._log:
            self._announce()
            print(self._log.read_text(errors="replace"), flush=True)
        outcomes = _read_outcomes(self._outcomes) if self._step.is_pytest else {}
        return Result(self._step, ok, seconds, **outcomes)

    def _announce(self) -> None:
        print(f"\n=== {self._step.title}: {' '.join(self._step.command)}", flush=True)


def summarise(results: Sequence[Result]) -> None:
    """One line a step; the last line of all is the sum over the pytest steps."""
    print("\n=== summary")
    for result in results:
        print(f"{'ok    ' if result.ok else 'FAILED'}  {result.seconds:6.1f} s  {result.step.title}")
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    print(f"{passed} passed, {failed} failed", flush=True)


def _read_outcomes(path: Path) -> dict[str, int]:
    # Written by tests/plugins/outcomes.py; a pytest that died before its end must not count as "0 failed".
    if not path.exists():
        return {"passed": 0, "failed": 1}
    outcomes: dict[str, int] = json.loads(path.read_text())
    return outcomes


def _end(process: "subprocess.Popen[bytes]") -> None:
    # Ctrl-C has reached the step as well and it may be tidying up already; a signal to us alone has not.
    for patience_seconds, number in (
        (STEP_ENDS_ITSELF_SECONDS, signal.SIGINT),
        (STEP_STOP_TIMEOUT_SECONDS, signal.SIGKILL),
    ):
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_seconds)
            return
        process.send_signal(number)
    process.wait()


@contextmanager
def _run_directory(run_id: str) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix=prefix(run_id)))
    directory.chmod(0o711)  # private servers run under other accounts and must get to their own part
    try:
        yield directory
    finally:
        for left in directory.parent.glob(f"{prefix(run_id)}*"):
            shutil.rmtree(left, ignore_errors=True)


def _best_effort(what: str, action: Callable[[], None]) -> None:
    try:
        action()
    except Exception as error:
        print(f"warning: {what} of this run failed: {error}", file=sys.stderr, flush=True)


def _raise_on(*numbers: signal.Signals) -> None:
    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    for number in numbers:
        signal.signal(number, interrupt)


def _ignore(*numbers: signal.Signals) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
