"""Workers that do what is owed while a test looks on, and what they make of a request about a person."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sav.actors.effects import Effect, Means, effect_table
from sav.actors.event_file import EventFile
from sav.actors.outside_traces import OutsideTraces
from sav.models.tables import DueEffect, PrivacyRequest
from sav.settings import Settings
from tests.actors.owed import means
from tests.plugins.desk import Api

ROUNDS = 200
"""How often what is owed is looked for; a person here takes about five."""


class Workers:
    """Does what is owed, as the workers do, until nothing is."""

    def __init__(self, effects: Mapping[str, Effect]) -> None:
        self.effects = effects

    def run(self, *only: str) -> None:
        for _ in range(ROUNDS):
            # Nobody waits for a pause here.
            DueEffect.update(leased_until=None, lease_owner=None).execute()
            owed = {
                (row.effect, row.ticket_id)
                for row in DueEffect.select()
                if row.failed_at is None and (not only or row.effect in only)
            }
            if not owed:
                return
            for effect, ticket_id in sorted(owed):
                self.effects[effect]((ticket_id,))
        raise AssertionError(f"still owed: {owed}")


@pytest.fixture
def workers(api: Api, settings: Settings, tmp_path: Path) -> Workers:
    events = EventFile(tmp_path / "events.jsonl")
    made: Means = replace(
        means(),
        publish=events,
        storage=api.desk.storage,
        traces=OutsideTraces(settings, event_file=events),
    )
    return Workers(effect_table(made))


def erase(api: Api, workers: Workers, **person: Any) -> dict[str, Any]:
    """Asks for it, has it done, and gives its document."""
    asked = api.admin().post("/privacy/erasures", person)
    assert asked.status_code == 202, asked.text
    workers.run()
    finished: dict[str, Any] = api.admin().get(asked.headers["location"]).json
    assert finished["state"] == "finished", finished
    return finished


def downloaded(api: Api, path: str) -> zipfile.ZipFile:
    store: Any = api.desk.storage
    export = PrivacyRequest.get_by_id(int(path.rsplit("/", 1)[1]))
    with store.open(export.object_key) as blocks:
        return zipfile.ZipFile(io.BytesIO(b"".join(blocks)))
