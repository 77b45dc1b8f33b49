"""The life of a ticket: one table decides every change of status; nothing else may produce one."""

from typing import Literal, get_args

from sav.domain.errors import Conflict

Status = Literal["open", "assigned", "in_progress", "waiting_customer", "resolved", "closed"]
Action = Literal["assign", "start", "wait", "resolve", "close", "customer_reply", "unassign"]
Priority = Literal["low", "normal", "high", "urgent"]
Source = Literal["web", "email", "phone", "chat"]

STATUSES: tuple[Status, ...] = get_args(Status)
ACTIONS: tuple[Action, ...] = get_args(Action)
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
SOURCES: tuple[Source, ...] = get_args(Source)

# A pair that is not in the table is forbidden. Two entries depend on more than the status:
# resolving an open ticket takes it first, and a customer's reply reopens a resolved ticket to
# "open" when nobody is assigned (see `next_status`).
TRANSITIONS: dict[tuple[Status, Action], Status] = {
    ("open", "assign"): "assigned",
    ("open", "resolve"): "resolved",
    ("open", "close"): "closed",
    ("open", "customer_reply"): "open",
    ("assigned", "assign"): "assigned",
    ("assigned", "start"): "in_progress",
    ("assigned", "wait"): "waiting_customer",
    ("assigned", "resolve"): "resolved",
    ("assigned", "close"): "closed",
    ("assigned", "customer_reply"): "assigned",
    ("assigned", "unassign"): "open",
    ("in_progress", "assign"): "assigned",
    ("in_progress", "wait"): "waiting_customer",
    ("in_progress", "resolve"): "resolved",
    ("in_progress", "close"): "closed",
    ("in_progress", "customer_reply"): "in_progress",
    ("in_progress", "unassign"): "open",
    ("waiting_customer", "assign"): "assigned",
    ("waiting_customer", "start"): "in_progress",
    ("waiting_customer", "resolve"): "resolved",
    ("waiting_customer", "close"): "closed",
    ("waiting_customer", "customer_reply"): "in_progress",
    ("waiting_customer", "unassign"): "open",
    ("resolved", "close"): "closed",
    ("resolved", "customer_reply"): "in_progress",
}

ACTION_FOR_STATUS: dict[Status, Action] = {
    "open": "unassign",
    "assigned": "assign",
    "in_progress": "start",
    "waiting_customer": "wait",
    "resolved": "resolve",
    "closed": "close",
}
"""What `PUT {"status": …}` asks for."""

SETTLED: frozenset[Status] = frozenset({"resolved", "closed"})
"""Nobody works on these any more: they are nobody's load, and only these can be rated."""

WORKED_ON: frozenset[Status] = frozenset({"assigned", "in_progress", "waiting_customer"})
"""In an agent's hands: what counts as their load."""


class InvalidTransition(Conflict):
    """The ticket's status does not allow this action."""

    code = "invalid_transition"

    def __init__(self, *, status: Status, action: Action) -> None:
        allowed = allowed_actions(status)
        super().__init__(
            f"A ticket that is {status} does not allow the action {action}; "
            f"allowed: {', '.join(allowed) or 'none'}."
        )
        self.status = status
        self.action = action
        self.allowed = allowed


def allowed_actions(status: Status) -> tuple[Action, ...]:
    """The actions that a ticket in `status` accepts, in the table's order."""
    return tuple(action for action in ACTIONS if (status, action) in TRANSITIONS)


def next_status(*, status: Status, action: Action, has_assignee: bool) -> Status:
    """The status after `action`; raises `InvalidTransition` for what the table does not name."""
    following = TRANSITIONS.get((status, action))
    if following is None:
        raise InvalidTransition(status=status, action=action)
    if status == "resolved" and action == "customer_reply" and not has_assignee:
        return "open"
    return following
