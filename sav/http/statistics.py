"""`/tickets/statistics`: the numbers of a dashboard."""

from sav.domain.sight_slots import slots_counted_for
from sav.http import payloads, statistics_documents
from sav.http.routes import Call, Description, Reply, Resource, responder
from sav.models.sight_counters import counted_changes
from sav.queries.statistics import read_statistics


class TicketStatistics(Resource):
    """The numbers, as far as the caller may see them."""

    @responder(
        Description(
            summary="Read the numbers: of your own tickets, or, as staff, of the desk",
            callers="authenticated",
            query=payloads.StatisticsQuery,
            answer=statistics_documents.StatisticsDocument,
        )
    )
    def on_get(self, call: Call) -> Reply:
        # They run up to the day that it is where their days are.
        today = call.now.astimezone(call.query.zone).date()
        return self.desk.caches.statistics.answer(
            (call.caller.role, call.caller.user_id, today, call.request.query_string),
            state=lambda: counted_changes(slots_counted_for(call.caller)),
            make=lambda: _read(call).ready(),
        )


def _read(call: Call) -> Reply:
    numbers = read_statistics(caller=call.caller, span=call.query.span, zone=call.query.zone, now=call.now)
    return Reply(document=statistics_documents.statistics_document(numbers))
