"""How counts of several processes come together, and how a port for them is opened."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from sav.telemetry import process_files
from sav.telemetry.exposition import MetricsPort
from sav.telemetry.metrics import EFFECTS_DONE, EFFECTS_FAILED, counted_text, measured_effect
from sav.telemetry.parts import Part, Sample, read_parts
from sav.telemetry.process_files import PREFIX, VARIABLE, share_counts_between_processes
from tests.servers.ports import LOOPBACK, free_port

NOBODY = 2**22 + 1
"""No process has this id: the kernel's ids end before."""
COUNT_ONE = """
import os
from sav.telemetry.metrics import SATISFACTION_RATING
for rating in (4, 5):
    if os.fork() == 0:
        SATISFACTION_RATING.observe(rating)
        os._exit(0)
    os.wait()
SATISFACTION_RATING.observe(3)
from sav.telemetry.metrics import counted_text
print(counted_text().decode())
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(process_files, "SHARED_MEMORY", tmp_path)
    # Set by what is tested; taken back with the test.
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.delenv(VARIABLE)
    return tmp_path


def test_each_start_has_an_empty_directory_and_removes_those_of_the_dead(place: Path) -> None:
    for name in (f"{PREFIX}{NOBODY}-a", f"{PREFIX}{os.getpid()}-b", f"{PREFIX}{os.getppid()}-c", "other"):
        (place / name).mkdir()
        (place / name / "counter_1.db").touch()
    directory = share_counts_between_processes()
    assert os.environ[VARIABLE] == str(directory)
    assert list(directory.iterdir()) == []
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in place.iterdir()} == {
        directory.name,
        f"{PREFIX}{os.getppid()}-c",
        "other",
    }


def test_the_counts_of_processes_are_added_up(place: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", COUNT_ONE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, VARIABLE: str(place)},
    )
    assert "sav_satisfaction_rating_count 3.0" in answer.stdout
    assert "sav_satisfaction_rating_sum 12.0" in answer.stdout


def test_the_second_of_two_leaves_the_port_to_the_first() -> None:
    first = MetricsPort(free_port(), host=LOOPBACK)
    second = MetricsPort(first._port, host=LOOPBACK)
    first.start()
    second.start()
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{first._port}/metrics") as answer:
            assert answer.read() == counted_text()
        assert second.stop()
    finally:
        assert first.stop()
    third = MetricsPort(first._port, host=LOOPBACK)
    third.start()
    assert third._server is not None
    assert third.stop()


def test_tries_are_counted_by_how_they_end() -> None:
    def counts() -> tuple[float, float]:
        return tuple(metric.labels("test")._value.get() for metric in (EFFECTS_DONE, EFFECTS_FAILED))  # type: ignore[return-value]

    done, failed = counts()
    with measured_effect("test"):
        pass

    def fail() -> None:
        with measured_effect("test"):
            raise SystemExit

    with pytest.raises(SystemExit):
        fail()
    assert counts() == (done + 1, failed + 1)


def test_numbers_are_read_again_only_when_they_are_old() -> None:
    times = []

    def read() -> list[Sample]:
        times.append(1)
        return []

    fresh, stale = (Part(name, read, fresh_seconds=age) for name, age in (("fresh", 3600), ("stale", 0)))
    for part, reads in ((fresh, 1), (stale, 3)):
        times.clear()
        for _ in range(3):
            part.begin()
            part.wait(10)
        assert len(times) == reads
    assert b'sav_up{part="fresh"} 1.0' in read_parts([fresh])


def test_a_part_that_was_away_comes_back() -> None:
    there: list[Sample] = []

    def read() -> list[Sample]:
        return [there[0]]

    part = Part("database", read, fresh_seconds=0)
    assert b'sav_up{part="database"} 0.0' in read_parts([part], patience_seconds=10)
    there.append(Sample("sav_agents_available", 3))
    answer = read_parts([part], patience_seconds=10)
    assert b'sav_up{part="database"} 1.0' in answer
    assert b"sav_agents_available 3.0" in answer
