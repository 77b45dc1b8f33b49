"""One pipeline for all logs, and nothing secret in it."""

import json
import logging
from collections.abc import Iterator
from contextlib import suppress

import pytest
import structlog

from sav.telemetry.logs import HIDDEN, configure_logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # Left by whatever test ran before.
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_our_lines_and_the_libraries_are_json_of_the_same_shape(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("production", "sav-service", "info")
    structlog.contextvars.bind_contextvars(request_id="request-7")
    structlog.get_logger("sav.test").info("ticket opened", action="open_ticket", ticket_id=7)
    for name in ("dramatiq.worker", "gunicorn.error", "waitress", "apscheduler.executors"):
        logging.getLogger(name).warning("library %s speaks", name)
    ours, *theirs = lines(capsys)
    assert ours.pop("timestamp")
    assert ours == {
        "message": "ticket opened",
        "level": "info",
        "logger": "sav.test",
        "service": "sav-service",
        "action": "open_ticket",
        "ticket_id": 7,
        "request_id": "request-7",
    }
    assert [line["message"] for line in theirs] == [
        "library dramatiq.worker speaks",
        "library gunicorn.error speaks",
        "library waitress speaks",
        "library apscheduler.executors speaks",
    ]
    assert all(line["request_id"] == "request-7" for line in theirs)


def test_fields_that_sound_secret_or_personal_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("production", "sav-service", "info")
    structlog.get_logger().info("mistake", DB_PASSWORD="hunter2", access_token="abc", user_email="a@b.c")
    assert {
        line[name] for line in lines(capsys) for name in ("DB_PASSWORD", "access_token", "user_email")
    } == {HIDDEN}


def test_a_traceback_shows_no_values_of_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("production", "sav-service", "info")
    hidden_value = "hunter2"
    try:
        raise ValueError(len(hidden_value))
    except ValueError:
        structlog.get_logger().exception("it failed")
    (line,) = lines(capsys)
    assert "ValueError(7)" in str(line["exception"])
    assert "hunter2" not in json.dumps(line)


@pytest.mark.parametrize(("level", "written"), [("debug", 2), ("info", 1), ("error", 0)])
def test_the_level_counts_for_all(capsys: pytest.CaptureFixture[str], level: str, written: int) -> None:
    configure_logs("production", "sav-service", level)
    structlog.get_logger("sav.test").debug("a detail")
    logging.getLogger("sav.other").info("a fact")
    assert len(lines(capsys)) == written


def test_for_people_it_is_one_readable_line_without_colours(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("local", "sav-service", "info")
    structlog.get_logger("sav.test").info("ticket opened", ticket_id=7)
    (line,) = capsys.readouterr().err.splitlines()
    assert "ticket opened" in line
    assert "ticket_id=7" in line
    assert "\x1b" not in line


def test_nobody_s_work_fails_because_a_line_cannot_be_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr("sys.stderr", full)
        configure_logs("production", "sav-service", "info")
        structlog.get_logger("sav.test").info("ticket opened")
        patch.undo()
        with suppress(OSError):
            full.close()
    assert lines(capsys) == []


def test_configuring_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("production", "sav-service", "info")
    configure_logs("production", "sav-service", "info")
    structlog.get_logger("sav.test").info("ticket opened")
    assert len(lines(capsys)) == 1


@pytest.mark.parametrize("app_env", ["local", "production"])
def test_a_traceback_says_where_and_what_but_quotes_nobody(
    app_env: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(app_env, "sav-service", "info")
    # Put together here, so that the source lines of the traceback do not show it.
    written_by_somebody = "-".join(["camille", "martin"])
    try:
        try:
            raise ValueError(1062, f"Duplicate entry {written_by_somebody}")
        except ValueError as error:
            raise KeyError(written_by_somebody) from error
    except KeyError:
        structlog.get_logger("test").exception("it failed")

    written = capsys.readouterr().err
    assert "camille-martin" not in written
    assert "builtins.KeyError" in written
    assert "builtins.ValueError(1062)" in written
    assert "test_logs.py" in written
