"""Who is measured: how each of them is started, behind the same gunicorn settings."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from benchmarks.bench.ground import Ground, database_settings
from benchmarks.bench.processes import PROGRAMS, Running, running
from benchmarks.bench.workloads import SECRET
from sav.settings import Settings
from tests.servers.addresses import Address
from tests.servers.ports import LOOPBACK, free_port

COLD = {"CACHE_MEMORY_MB": "0"}
"""The setting that turns every cache off."""
_DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}
WEB_PROCESSES, WEB_THREADS = int(_DEFAULTS["WEB_PROCESSES"]), int(_DEFAULTS["WEB_THREADS"])
WORKER_PROCESSES, WORKER_THREADS = int(_DEFAULTS["WORKER_PROCESSES"]), int(_DEFAULTS["WORKER_THREADS"])
KEEPALIVE_SECONDS = 75


@dataclass(frozen=True, kw_only=True)
class WebServer:
    """A competitor that answers HTTP."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    port: int
    ready_path: str = "/"

    @contextmanager
    def started(self, ground: Ground) -> Iterator[Running]:
        url = f"http://{LOOPBACK}:{self.port}{self.ready_path}"
        with running(
            self.command, environment=self.environment, log=ground.log(self.name), url=url
        ) as process:
            yield process


def gunicorn(program: str, application: str, port: int) -> tuple[str, ...]:
    """The settings of `sav http`, for another application."""
    return (
        program,
        application,
        f"--bind={LOOPBACK}:{port}",
        "--worker-class=gthread",
        f"--workers={WEB_PROCESSES}",
        f"--threads={WEB_THREADS}",
        "--reuse-port",
        f"--keep-alive={KEEPALIVE_SECONDS}",
        "--no-control-socket",
    )


def noop() -> WebServer:
    port = free_port()
    command = gunicorn(str(PROGRAMS / "gunicorn"), "benchmarks.probes.noop_app:app", port)
    return WebServer(name="Falcon no-op", command=command, port=port)


def thinnest(address: Address) -> WebServer:
    port = free_port()
    return WebServer(
        name="thinnest app",
        command=gunicorn(str(PROGRAMS / "gunicorn"), "benchmarks.probes.thinnest_app:app", port),
        environment={"PROBE_DATABASE": address.url, "PROBE_SECRET": SECRET},
        port=port,
    )


def service(ground: Ground, address: Address, **settings: str) -> WebServer:
    """`sav http` as it is shipped, but for what `settings` says."""
    port = free_port()
    return WebServer(
        name="service",
        command=(str(PROGRAMS / "sav"), "http"),
        environment=service_settings(ground, address) | {"APP_PORT": str(port)} | settings,
        port=port,
        ready_path="/health",
    )


def service_settings(ground: Ground, address: Address) -> dict[str, str]:
    """The environment of every process of the service."""
    return {
        **database_settings(address),
        "RABBITMQ_HOST": ground.broker.host,
        "RABBITMQ_PORT": str(ground.broker.port),
        "RABBITMQ_USER": ground.broker.user,
        "RABBITMQ_PASSWORD": ground.broker.password,
        "RABBITMQ_VHOST": ground.broker.path or "/",
        "RABBITMQ_EXCHANGE": ground.exchange,
        "RABBITMQ_QUEUE": ground.queue,
        "SAV_STORAGE": "disk",
        "SAV_DATA_DIR": str(ground.directory / "var"),
        "SAV_MIGRATE_AT_START": "false",
        "APP_ENV": "staging",
        "APP_HOST": LOOPBACK,
        "JWT_SECRET": SECRET,
    }


@contextmanager
def fleet(ground: Ground, address: Address, *names: str, **settings: str) -> Iterator[dict[str, Running]]:
    """Further processes of the service, `worker` and `scheduler`, but for what `settings` says."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                running(
                    (str(PROGRAMS / "sav"), name),
                    environment=service_settings(ground, address) | settings,
                    log=ground.log(name),
                )
            )
            for name in names
        }
