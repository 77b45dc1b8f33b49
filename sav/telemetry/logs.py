"""One pipeline for all logs, ours and the libraries': JSON lines, or a console for people on `local`."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog
from structlog.typing import Processor

# Libraries that report through the pipeline like everybody else, at their own level.
_LIBRARIES = {
    "dramatiq": logging.INFO,
    "gunicorn": logging.INFO,
    "gunicorn.error": logging.INFO,
    "gunicorn.access": logging.INFO,
    "waitress": logging.WARNING,
    # It reports every run of every job.
    "apscheduler": logging.WARNING,
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
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


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
        if any(word in name.lower() for word in _SECRETS):
            fields[name] = HIDDEN
    return fields


def _renderers(app_env: str) -> list[Processor]:
    if app_env == "local":
        return [structlog.dev.ConsoleRenderer(colors=_is_terminal())]
    # Tracebacks as text, without the values of local variables.
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(serializer=_to_json),
    ]


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
