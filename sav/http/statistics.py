"""`/tickets/statistics`: the numbers of a dashboard."""

from sav.http import documents, payloads
from sav.http.routes import Call, Description, Reply, Resource, responder
from sav.queries.statistics import read_statistics


class TicketStatistics(Resource):
    """The numbers, as far as the caller may see them."""

    @responder(
        Description(
            summary="Read the numbers: of your own tickets, or, as staff, of the desk",
            callers="authenticated",
            query=payloads.StatisticsQuery,
            answer=documents.StatisticsDocument,
        )
    )
    def on_get(self, call: Call) -> Reply:
        numbers = read_statistics(
            caller=call.caller, span=call.query.span, zone=call.query.zone, now=call.now
        )
        return Reply(document=documents.statistics_document(numbers))
