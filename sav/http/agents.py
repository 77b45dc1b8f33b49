"""`/agents`: the roster."""

from sav.http import documents, payloads
from sav.http.routes import Call, Description, Reply, Resource, responder
from sav.operations.roster import change_agent, set_availability
from sav.queries.agent_roster import list_agents, one_agent


class Agents(Resource):
    """The whole roster."""

    @responder(
        Description(
            summary="List the roster of agents; for staff",
            callers="staff",
            query=payloads.ListQuery,
            answer=documents.PageDocument[documents.AgentDocument],
        )
    )
    def on_get(self, call: Call) -> Reply:
        return call.page_reply(list_agents(page=call.page), documents.agent_document)


class OneAgent(Resource):
    """One member of the roster."""

    @responder(
        Description(
            summary="Read an agent of the roster; for staff", callers="staff", answer=documents.AgentDocument
        )
    )
    def on_get(self, call: Call) -> Reply:
        return Reply(document=documents.agent_document(one_agent(call.ids["user_id"]), call.caller))

    @responder(
        Description(
            summary="Change an agent, or add one; for admins",
            callers="admin",
            body=payloads.AgentBody,
            answer=documents.AgentDocument,
        )
    )
    def on_put(self, call: Call) -> Reply:
        agent = change_agent(
            occasion=call.occasion,
            user_id=call.ids["user_id"],
            fields=call.changes,
            default_capacity=self.desk.agent_default_capacity,
        )
        return Reply(document=documents.agent_document(agent, call.caller))


class OwnAgent(Resource):
    """`/agents/me`"""

    @responder(
        Description(
            summary="Read your own entry of the roster; for staff",
            callers="staff",
            answer=documents.AgentDocument,
            problems=(404,),
        )
    )
    def on_get(self, call: Call) -> Reply:
        return Reply(document=documents.agent_document(one_agent(call.caller.user_id), call.caller))


class OwnAvailability(Resource):
    """`/agents/me/availability`"""

    @responder(
        Description(
            summary="Say whether you take new tickets now; for staff",
            callers="staff",
            body=payloads.AvailabilityBody,
            answer=documents.AgentDocument,
            problems=(404,),
        )
    )
    def on_put(self, call: Call) -> Reply:
        agent = set_availability(occasion=call.occasion, available=call.body.available)
        return Reply(document=documents.agent_document(agent, call.caller))
