"""One pipeline for all logs, ours and the libraries': JSON lines, or a console for people on `local`."""

import logging
import sys
import threading
import traceback
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import ExcInfo, Processor

# Libraries that report through the pipeline like everybody else, at their own level.
_LIBRARIES = {
    "dramatiq": logging.INFO,
    "gunicorn": logging.INFO,
    "gunicorn.error": logging.INFO,
    "gunicorn.access": logging.INFO,
    "waitress": logging.WARNING,
    # It reports every run of every job.
    "apscheduler": logging.WARNING,
    # It writes whole addresses, and with those the signatures that open a file or the store.
    "urllib3": logging.CRITICAL + 1,
    # It shouts about every connection that is lost; whoever uses the connection says what that means.
    "pika": logging.CRITICAL + 1,
}
_SECRETS = (
    "password",
    "secret",
    "token",
    "authorization",
    "cookie",
    "email",
    "contact",
    "body",
    "content",
)
"""Fields whose names contain one of these words are not written, whoever logs them."""
HIDDEN = "[hidden]"


def configure_logs(app_env: str, app_name: str, level: str) -> None:
    """Sets up structlog and the standard library's logging, to standard error; may be called again.

    `level` is `debug`, `info`, `warning` or `error`.
    """
    handler = logging.StreamHandler(sys.stderr)
    shared = _shared_processors(app_name)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(app_env)],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    _route_libraries(logging.getLogger().level)
    # Our own lines do not pass through the standard library: that took longer than making them.
    structlog.configure(
        processors=[*shared, *_renderers(app_env)],
        logger_factory=_writers(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )


class _Writer:
    """Writes lines, whole ones though threads write at once, and knows whose they are."""

    def __init__(self, file: TextIO, lock: threading.RLock, name: str) -> None:
        self._file = file
        self._lock = lock
        self.name = name

    def msg(self, line: str) -> None:
        # Where logs go may be full or gone, and nobody's request fails for that.
        with self._lock, suppress(OSError, ValueError):
            self._file.write(line + "\n")
            self._file.flush()

    debug = info = warning = error = critical = exception = msg


def _writers(file: TextIO) -> Callable[..., _Writer]:
    """One writer for each name that asks for a logger."""
    # A signal's handler may write while its thread is writing.
    lock = threading.RLock()

    @cache
    def writer(name: str = "sav") -> _Writer:
        return _Writer(file, lock, name)

    return writer


def _shared_processors(app_name: str) -> list[Processor]:
    def name_service(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        fields["service"] = app_name
        return fields

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_service,
        hide_secrets,
    ]


def hide_secrets(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A net under the rule that neither secrets nor personal data are logged."""
    for name in fields:
        if _is_secret(name):
            fields[name] = HIDDEN
    return fields


@lru_cache(1_000)
def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRETS)


def _renderers(app_env: str) -> list[Processor]:
    tracebacks = structlog.processors.ExceptionRenderer(private_traceback)
    if app_env == "local":
        return [tracebacks, structlog.dev.ConsoleRenderer(colors=_is_terminal())]
    return [
        tracebacks,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(serializer=_to_json),
    ]


def private_traceback(exc_info: ExcInfo) -> str:
    """Where something went wrong, and of which kind it is: without messages and local variables.

    Both quote what people wrote: a refused row, for one, is in the text of the database's error.
    """
    lines: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None:
        number = next((part for part in error.args if isinstance(part, int)), None)
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
        lines.append(
            "\n".join(part for part in (frames, kind if number is None else f"{kind}({number})") if part)
        )
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nwhich came of\n".join(lines)


def _is_terminal() -> bool:
    # Dramatiq gives its workers a pipe that does not know the question.
    return bool(getattr(sys.stderr, "isatty", lambda: False)())


def _to_json(fields: dict[str, Any], **_: Any) -> str:
    return orjson.dumps(fields, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _route_libraries(least: int) -> None:
    for name, level in _LIBRARIES.items():
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(level, least))
