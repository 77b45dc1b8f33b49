"""`scripts/replay_events`: the same events again, in order, from where it was."""

import json
import subprocess
from pathlib import Path

import pytest

from sav.actors.event_exchange import EventExchange
from sav.actors.event_replay import EventReplay
from sav.actors.publish_event import publish_events
from sav.hands.replay_events import main
from sav.models.tables import DueEffect
from sav.queries.event_replay import PublishedEvent
from sav.settings import Settings
from tests.actors.conftest import Subscriber
from tests.actors.hands.conftest import CommandLine, DeadQueue, environment
from tests.actors.owed import add_message, new_ticket

SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.fixture
def published(settings: Settings, subscriber: Subscriber) -> tuple[int, int]:
    """Two tickets with three published events each; the subscriber has heard them all."""
    tickets = (new_ticket(messages=2), new_ticket(messages=2))
    exchange = EventExchange(settings)
    for ticket_id in tickets:
        publish_events([ticket_id], publish=exchange)
    exchange.release()
    subscriber.wait_for(6)
    return tickets


def test_copies_are_the_originals(
    command_line: CommandLine, subscriber: Subscriber, published: tuple[int, int]
) -> None:
    originals, properties = list(subscriber.events), list(subscriber.properties)
    result = command_line(main, "--ticket", str(published[0]))
    assert result.exit_code == 0, result.output
    assert "3 events were published" in result.output
    copies, copied = subscriber.collect()[6:], subscriber.properties[6:]
    assert copies == originals[:3]
    for first, second in zip(properties, copied, strict=False):
        assert (second.message_id, second.type, second.delivery_mode) == (first.message_id, first.type, 2)
        assert (second.content_type, second.content_encoding) == (first.content_type, first.content_encoding)
        assert second.headers == {**first.headers, "x-sav-replayed": True}


def test_names_and_times_choose(
    command_line: CommandLine, subscriber: Subscriber, published: tuple[int, int]
) -> None:
    assert command_line(main, "--event", "ticket.created").exit_code == 0
    assert [event["event"] for event in subscriber.collect()[6:]] == ["ticket.created"] * 2
    nothing = command_line(main, "--from", "2027-01-01")
    assert (nothing.exit_code, "nothing to replay" in nothing.output) == (0, True)
    assert command_line(main, "--to", "2026-01-05T10:00:00+01:00").output.startswith("There is nothing")
    everything = command_line(main, "--from", "2026-01-05T09:00:00Z", "--to", "2026-01-05T09:00:01Z")
    assert "6 events were published" in everything.output, everything.output


def test_one_queue_alone_gets_them(
    command_line: CommandLine, subscriber: Subscriber, published: tuple[int, int], dead_queue: DeadQueue
) -> None:
    dead_queue.declare()
    result = command_line(main, "--ticket", str(published[1]), "--queue", dead_queue.inbox)
    assert result.exit_code == 0, result.output
    assert [json.loads(body)["sequence"] for body in dead_queue.bodies(dead_queue.inbox)] == [1, 2, 3]
    assert len(subscriber.collect()) == 6


def test_a_dry_run_counts_and_publishes_nothing(
    command_line: CommandLine, settings: Settings, subscriber: Subscriber, published: tuple[int, int]
) -> None:
    result = command_line(main, "--from", "2026-01-01", "--dry-run")
    assert "2  ticket.created" in result.output
    assert "4  ticket.message.new" in result.output
    assert "6  would be published" in result.output
    assert len(subscriber.collect()) == 6
    assert list(settings.SAV_DATA_DIR.glob("replay-*")) == []


def test_what_waits_for_its_first_publication_is_left_out(
    command_line: CommandLine, subscriber: Subscriber, published: tuple[int, int]
) -> None:
    add_message(published[0])
    assert DueEffect.select().count() == 1
    assert "3 events were" in command_line(main, "--ticket", str(published[0])).output


def test_a_replay_that_was_broken_off_goes_on_where_it_was(
    command_line: CommandLine,
    settings: Settings,
    subscriber: Subscriber,
    published: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish, left = EventReplay.__call__, [4]

    def publish_and_break(self: EventReplay, event: PublishedEvent) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        publish(self, event)

    with monkeypatch.context() as patch:
        patch.setattr(EventReplay, "__call__", publish_and_break)
        assert command_line(main, "--from", "2026-01-01").exit_code == 1
    (file,) = settings.SAV_DATA_DIR.glob("replay-*.json")
    assert json.loads(file.read_text())["published"] == 4
    other = command_line(main, "--ticket", str(published[0]), "--resume-file", str(file))
    assert other.exit_code == 1, "it belongs to another replay"

    result = command_line(main, "--from", "2026-01-01")
    assert result.exit_code == 0, result.output
    assert "Going on after 4" in result.output
    assert not file.exists()
    originals, copies = subscriber.collect()[:6], subscriber.events[6:]
    assert copies == originals


def test_the_rate_is_kept(
    command_line: CommandLine, published: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(EventReplay, "pause", lambda self, seconds: pauses.append(seconds))
    command_line(main, "--from", "2026-01-01", "--rate", "2")
    assert len(pauses) == 5
    # Nobody has really waited, so each has to wait half a second longer than the one before.
    assert 2.0 < max(pauses) <= 2.5


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--ticket", "1", "--exchange", "a", "--queue", "b"],
        ["--event", "ticket.note.added"],
        ["--from", "yesterday"],
        ["--from", "2026-01-02", "--to", "2026-01-01"],
    ],
)
def test_wrong_options_are_refused(command_line: CommandLine, options: list[str]) -> None:
    assert command_line(main, *options).exit_code == 2


def test_a_target_that_is_not_there_is_not_made(
    command_line: CommandLine, published: tuple[int, int], settings: Settings
) -> None:
    for kind in ("exchange", "queue"):
        result = command_line(main, "--ticket", str(published[0]), f"--{kind}", "no-such-place")
        assert result.exit_code == 1
        assert f"no {kind} no-such-place" in result.output


def test_the_script_finds_the_service(
    settings: Settings, subscriber: Subscriber, published: tuple[int, int]
) -> None:
    variables = {**environment(settings), "PATH": "/usr/bin:/bin"}
    command = [str(SCRIPTS / "replay_events"), "--ticket", str(published[0])]
    result = subprocess.run(command, env=variables, cwd="/", capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert len(subscriber.collect()) == 9
