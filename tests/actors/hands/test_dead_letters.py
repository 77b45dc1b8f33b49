"""`scripts/dead_letters`: nothing is lost by looking, and nothing twice by dealing with it."""

import re
import subprocess
from pathlib import Path

import pytest

from sav.actors.dead_letters import DELIVERIES_BEFORE_RENEWAL, DeadLetter, DeadLetters, NowhereToGo
from sav.hands.dead_letters import main
from sav.models.tables import DueEffect
from sav.settings import Settings
from tests.actors.hands.conftest import CommandLine, DeadQueue, environment, failed_event
from tests.servers.ports import wait_until

BODIES = [b"not JSON", b'{"event": "order.lost"}', b"\xff\x1b[31m" + b"x" * 10_000]
REASONS = ["not JSON in UTF-8", "unknown event: order.lost", "not JSON in UTF-8"]
SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.fixture
def three(dead_queue: DeadQueue) -> DeadQueue:
    dead_queue.declare()
    for body, reason in zip(BODIES, REASONS, strict=True):
        dead_queue.bury(body, reason)
    return dead_queue


def ids(output: str) -> list[str]:
    return re.findall(r"^([0-9a-f]{12}) ", output, re.MULTILINE)


def test_listing_takes_nothing_away_and_changes_no_order(command_line: CommandLine, three: DeadQueue) -> None:
    for _ in range(2):
        listed = command_line(main, "list")
        assert listed.exit_code == 0, listed.output
        assert len(ids(listed.output)) == len(set(ids(listed.output))) == 3
        assert "3 shown of 3" in listed.output
        assert "order.lost" in listed.output
        assert "xxx" not in listed.output, "what they say is shown only when somebody asks"
    assert command_line(main, "list", "--limit", "1").output.count("bytes") == 1
    assert three.bodies() == BODIES


def test_one_is_shown_without_its_body_unless_asked_and_then_cut(
    command_line: CommandLine, three: DeadQueue
) -> None:
    letter = ids(command_line(main, "list").output)[2]
    plain = command_line(main, "show", letter).output
    assert "not JSON in UTF-8" in plain
    assert "xxx" not in plain
    whole = command_line(main, "show", letter, "--body").output
    assert "\x1b" not in whole
    assert "bytes more" in whole
    assert len(whole) < 6000
    assert command_line(main, "show", "0" * 12).exit_code == 1
    assert three.count() == 3


def test_a_dry_run_changes_nothing(command_line: CommandLine, three: DeadQueue) -> None:
    for verb in ("replay", "discard"):
        result = command_line(main, verb, "--all", "--dry-run")
        assert result.exit_code == 0, result.output
        assert len(ids(result.output)) == 3
    assert (three.count(), three.count(three.inbox)) == (3, 0)


def test_replay_puts_the_chosen_ones_back_with_their_history(
    command_line: CommandLine, three: DeadQueue
) -> None:
    result = command_line(main, "replay", "--reason-contains", "UNKNOWN event")
    assert result.exit_code == 0, result.output
    assert "1 went back" in result.output
    ((properties, body),) = three.messages(three.inbox)
    assert (body, properties.message_id, properties.delivery_mode) == (BODIES[1], "m-1", 2)
    assert properties.headers["x-shop"] == "7"
    assert "x-sav-reason" not in properties.headers
    assert properties.headers["x-sav-replayed-from"]["x-sav-reason"] == REASONS[1]
    assert three.bodies() == [BODIES[0], BODIES[2]]


def test_discarding_asks_and_takes_only_what_was_chosen(command_line: CommandLine, three: DeadQueue) -> None:
    letter = ids(command_line(main, "list").output)[0]
    refused = command_line(main, "discard", "--id", letter, answer="n\n")
    assert (refused.exit_code, three.count()) == (1, 3)
    done = command_line(main, "discard", "--id", letter, answer="y\n")
    assert done.exit_code == 0, done.output
    assert three.bodies() == BODIES[1:]
    again = command_line(main, "discard", "--id", letter, "--yes")
    assert again.exit_code == 1


@pytest.mark.parametrize("options", [[], ["--all", "--reason-contains", "x"], ["--all", "--id", "0" * 12]])
def test_what_is_meant_must_be_said_in_one_way(command_line: CommandLine, options: list[str]) -> None:
    assert command_line(main, "replay", *options).exit_code == 2


def test_without_a_queue_to_go_back_to_they_stay(
    command_line: CommandLine, settings: Settings, three: DeadQueue
) -> None:
    three.channel.queue_delete(three.inbox)
    result = command_line(main, "replay", "--all")
    assert result.exit_code == 1
    assert "start `sav worker`" in result.output
    with DeadLetters(settings) as letters, pytest.raises(NowhereToGo):
        letters.replay(next(letters.read()))
    assert sorted(three.bodies()) == sorted(BODIES)


def test_a_crash_between_publishing_and_removing_leaves_a_letter_in_both_places(
    settings: Settings, three: DeadQueue
) -> None:
    class Killed(BaseException):
        pass

    class Dying(DeadLetters):
        def _acknowledge(self, letter: DeadLetter) -> None:
            raise Killed

    with pytest.raises(Killed), Dying(settings) as letters:
        letters.replay(next(letters.read()))
    assert three.bodies(three.inbox) == [BODIES[0]]
    assert three.bodies() == BODIES


def test_reading_often_does_not_wear_a_quorum_queue_out(settings: Settings, dead_queue: DeadQueue) -> None:
    limit = 2 * DELIVERIES_BEFORE_RENEWAL
    dead_queue.declare(**{"x-queue-type": "quorum", "x-delivery-limit": limit})
    for body, reason in zip(BODIES, REASONS, strict=True):
        dead_queue.bury(body, reason)
    names: set[frozenset[str]] = set()
    most = 0
    for _ in range(limit + 5):
        # A quorum queue takes back what a closed connection held in its own time.
        wait_until(lambda: dead_queue.count() == len(BODIES), timeout_seconds=10, what="the letters' return")
        with DeadLetters(settings) as letters:
            read = list(letters.read())
            names.add(frozenset(letter.id for letter in read))
            counts = [(letter.properties.headers or {}).get("x-delivery-count", 0) for letter in read]
            most = max(most, *counts)
    assert len(names) == 1, "a fresh copy keeps its name"
    assert most == DELIVERIES_BEFORE_RENEWAL, "the broker counts, or this test shows nothing"
    assert sorted(dead_queue.bodies()) == sorted(BODIES)


def test_where_there_is_nothing_it_says_so(command_line: CommandLine, dead_queue: DeadQueue) -> None:
    missing = command_line(main, "list")
    assert missing.exit_code == 1
    assert "no worker has run here" in missing.output
    away = command_line(main, "list", RABBITMQ_PORT="1")
    assert away.exit_code == 1
    assert "it does not answer" in away.output
    embedded = command_line(main, "list", SAV_BROKER="embedded")
    assert embedded.exit_code == 1
    assert command_line(main, "list", RABBITMQ_PORT="many").exit_code == 2


def test_failed_effects_are_shown_with_what_they_are_about(command_line: CommandLine) -> None:
    first, second = failed_event(1, text='{"email": "a@b.fr"}'), failed_event(2)
    listed = command_line(main, "effects", "list", "--limit", "1")
    assert f"{first}  handle_received_event" in listed.output
    assert "1 shown of 2" in listed.output
    rest = command_line(main, "effects", "list", "--after", str(first))
    assert f"{second}  handle_received_event" in rest.output
    assert f"\n{first}  " not in f"\n{rest.output}"
    shown = command_line(main, "effects", "show", str(first))
    assert "order.issue" in shown.output
    assert "a@b.fr" not in shown.output
    assert "a@b.fr" in command_line(main, "effects", "show", str(first), "--body").output


def test_failed_effects_are_retried_and_discarded(command_line: CommandLine) -> None:
    first, second, other = failed_event(1), failed_event(2), failed_event(3, effect="housekeeping")
    dry = command_line(main, "effects", "retry", "--effect", "handle_received_event", "--dry-run")
    assert "2 would be" in dry.output
    assert command_line(main, "effects", "retry", "--id", str(first)).exit_code == 0
    rest = command_line(main, "effects", "retry", "--effect", "handle_received_event")
    assert "1 are due now" in rest.output, rest.output
    for effect_id in (first, second):
        token = DueEffect.get_by_id(effect_id)
        assert (token.failed_at, token.tries, token.leased_until) == (None, 0, None)
    assert command_line(main, "effects", "retry", "--id", str(first)).exit_code == 1
    assert command_line(main, "effects", "discard", "--id", str(other), answer="n\n").exit_code == 1
    assert command_line(main, "effects", "discard", "--all", "--yes").exit_code == 0
    assert [token.id for token in DueEffect.select().order_by(DueEffect.id)] == [first, second]


def test_the_script_finds_the_service(settings: Settings, three: DeadQueue) -> None:
    variables = {**environment(settings), "PATH": "/usr/bin:/bin"}
    result = subprocess.run(
        [SCRIPTS / "dead_letters", "list"], env=variables, cwd="/", capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert "3 shown of 3" in result.stdout
