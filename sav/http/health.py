"""`/health`, `/status` and `/ready`: what probes ask."""

from collections.abc import Callable

import structlog

from sav.http import documents
from sav.http.routes import Call, Description, Reply, Resource, responder
from sav.models.database import database, drop_connection, ensure_connection
from sav.operations.place_for_files import ensure_place_for_files

log = structlog.get_logger(__name__)


class Health(Resource):
    """The process is alive; nothing else is asked."""

    @responder(
        Description(summary="Is the process alive?", callers="anyone", limited=False, answer=documents.Health)
    )
    def on_get(self, call: Call) -> Reply:
        return Reply(document={"status": "ok", "service": self.desk.service_name})


class Status(Resource):
    """Whether the database answers."""

    @responder(
        Description(
            summary="Does the database answer?",
            callers="anyone",
            limited=False,
            answer=documents.DatabaseStatus,
            other_answers=(503,),
        )
    )
    def on_get(self, call: Call) -> Reply:
        if _answers(_ask_database):
            return Reply(document={"status": "ok", "database": "connected"})
        return Reply(document={"status": "error", "database": "disconnected"}, status=503)


class Ready(Resource):
    """Whether requests may be sent here: database and storage. The rest is reported, not required."""

    @responder(
        Description(
            summary="May requests be sent here?",
            callers="anyone",
            limited=False,
            answer=documents.Readiness,
            other_answers=(503,),
        )
    )
    def on_get(self, call: Call) -> Reply:
        database_answers = _answers(_ask_database)
        storage_answers = _answers(lambda: ensure_place_for_files(self.desk.storage))
        ready = database_answers and storage_answers
        document = {
            "status": "ok" if ready else "error",
            "database": _word(database_answers),
            "storage": _word(storage_answers),
            "broker": _word(_answers(self.desk.broker.check)),
        }
        if self.desk.replica is not None:
            document["replica"] = _word(_answers(self.desk.replica.check))
        return Reply(document=document, status=200 if ready else 503)


def _ask_database() -> None:
    ensure_connection()
    try:
        database.execute_sql("SELECT 1").fetchone()
    except Exception:
        drop_connection()
        raise


def _answers(ask: Callable[[], None]) -> bool:
    try:
        ask()
    except Exception as error:
        log.warning("a dependency does not answer", action="probe", error=type(error).__name__)
        return False
    return True


def _word(answers: bool) -> str:
    return "connected" if answers else "disconnected"
