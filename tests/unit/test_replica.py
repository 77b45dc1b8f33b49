"""When a replica is left aside and who looks for it again; and that nothing is ever written there."""

from pathlib import Path

import pytest

from sav.models import replica
from sav.models.database import ReplicaIsReadOnly, reading_at, sqlite_database, transaction
from sav.models.replica import _Absence


class Time:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    stands = Time()
    monkeypatch.setattr(replica, "time", stands)
    return stands


def test_after_a_pause_one_looks_for_all(time: Time) -> None:
    absence = _Absence(first_seconds=1, longest_seconds=3)
    assert all(absence.may_ask() for _ in range(3))
    # Three were on their way when it went: that is one absence.
    assert [absence.begin() for _ in range(3)] == [1, 0, 0]
    assert not absence.may_ask()
    time.now += 1.1
    assert [absence.may_ask() for _ in range(3)] == [True, False, False]
    assert absence.begin() == 2
    time.now += 1.1
    assert not absence.may_ask()
    for _ in range(3):
        time.now += 3.1
        assert absence.may_ask()
        assert absence.begin() == 3


def test_who_finds_it_back_tells_all(time: Time) -> None:
    absence = _Absence(first_seconds=1, longest_seconds=3)
    assert not absence.end()
    absence.begin()
    time.now += 1.1
    assert absence.may_ask()
    assert absence.end()
    assert all(absence.may_ask() for _ in range(3))
    # The next one is as short as the first.
    assert absence.begin() == 1


def test_one_who_looks_and_never_tells_is_followed_by_another(time: Time) -> None:
    absence = _Absence(first_seconds=1, longest_seconds=3)
    absence.begin()
    time.now += 1.1
    assert absence.may_ask()
    time.now += 1.1
    assert absence.may_ask()


def test_no_transaction_begins_at_a_replica(tmp_path: Path) -> None:
    with reading_at(sqlite_database(tmp_path / "replica")), pytest.raises(ReplicaIsReadOnly), transaction():
        pass
