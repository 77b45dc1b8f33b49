"""The pipeline against a model: writes, deaths, lost and repeated hints, failing brokers, in any order.

What is killed here is killed by an exception that nothing in the service catches: the process is gone, and
all that it has not committed with it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from types import SimpleNamespace
from unittest.mock import patch

import orjson
import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sav.actors import handle_received_event, owed_effects, publish_event
from sav.actors.envelope import Outgoing
from sav.actors.foreign_envelope import parse_foreign_event
from sav.actors.owed_effects import do_owed_effects, do_together
from sav.actors.publish_event import publish_events
from sav.actors.relay import DispatchFailed, NotNow, Relay
from sav.actors.send_mail import Mails, send_due_mails
from sav.domain.effects import (
    ASSIGN_TICKETS,
    ESCALATE_TICKET,
    HANDLE_RECEIVED_EVENT,
    NOTIFY,
    PUBLISH_EVENT,
    RETRY_POLICIES,
    SEND_MAIL,
)
from sav.domain.events import PUBLISHED_NAMES
from sav.domain.ticket_lifecycle import SETTLED, InvalidTransition
from sav.mail.rules import MailRules
from sav.models.tables import DueEffect, Event, MailDelivery, Message, Ticket
from sav.operations import hints, open_reported_ticket
from sav.operations.assign_ticket import assign_ticket
from sav.operations.converse import TicketClosedToReplies, reply_to_ticket
from sav.operations.desk_effects import finish_desk_effect
from sav.operations.due_effects import LEASE, REDELIVERY, Publication
from sav.operations.effect_claims import Claim, finish_effect
from sav.operations.failed_effects import retry_failed_effects
from sav.operations.hints import Bundle, Hint, bundles
from sav.operations.notify import notify, notify_together
from sav.operations.open_ticket import DeskRules, NewTicket, open_ticket
from sav.operations.received_events import IncomingEvent, receive_events, received_event
from sav.operations.settle_ticket import (
    AlreadyRated,
    NotSettledYet,
    close_ticket,
    rate_ticket,
    resolve_ticket,
)
from sav.queries.pipeline_health import pipeline_health
from tests.factories.agents import make_agent
from tests.plugins.desk import empty_tables, occasion

EXAMPLES = 35
MOST_RUNS = 4
STEPS = 20
MOST_FAULTS = 6
ROUNDS_TO_QUIESCENCE = 40

RULES = DeskRules(number_prefix="TICKET", customer_maximum_priority="urgent")
CUSTOMER, ADMIN, AGENTS = 1, 99, (7, 8)
ORDERS = 3
EVENTS = 16
CURSED = 13
"""Foreign events from this one on cannot be handled until somebody has repaired the service."""

WRITES = ("open", "ask", "answer", "assign", "resolve", "close", "rate")
WHAT_MAY_HAPPEN = {
    # to the publishing of one event,
    "publishing": (
        "refused", "unconfirmed", "killed before", "killed after", "a write meanwhile", "a rival", "stalled"
    ),
    # to the handling of one foreign event,
    "handling": ("killed before", "killed within", "killed after", "fails"),
    # and to one hint of the relay's.
    "relaying": ("lost", "not now", "broken"),
}  # fmt: skip
HAPPENED: Counter[str] = Counter()
"""How often each fault has really struck: what was never tried always holds."""

SECOND = timedelta(seconds=1)


class Killed(BaseException):
    """SIGKILL: no `except Exception` hears of it."""


class Faults:
    """What goes wrong next, of each kind; nothing, once the lists are at their ends."""

    @classmethod
    def at_random(cls, chance: Random) -> "Faults":
        return cls(
            {
                kind: chance.choices([None, *faults], k=chance.randint(1, MOST_FAULTS))
                for kind, faults in WHAT_MAY_HAPPEN.items()
            }
        )

    def __init__(self, planned: dict[str, list[str | None]]) -> None:
        self._planned = planned
        self._left = {kind: iter(faults) for kind, faults in planned.items()}

    def __repr__(self) -> str:
        return repr(self._planned)

    def next(self, kind: str) -> str | None:
        fault = next(self._left.get(kind, iter(())), None)
        if fault is not None:
            HAPPENED[f"{kind}: {fault}"] += 1
        return fault


NUMBER = st.integers(0, 99)
SEED = st.integers(0, 2**32)


@dataclass
class KnownTicket:
    """What the model says of a ticket: its state, and the names of the events that it owes the world."""

    status: str = "open"
    agent: int | None = None
    rated: bool = False
    events: list[str] = field(default_factory=lambda: ["ticket.created"])


class Pipeline(RuleBasedStateMachine):
    """One desk, its relay, its workers and its broker, in one thread and with a clock of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 3, 29, 10, 30, tzinfo=UTC)
        self.model: dict[int, KnownTicket] = {}
        self.published: list[tuple[int, int, str, str]] = []
        self.received: set[int] = set()
        self.waiting_hints: list[Hint] = []
        # Noted, and raised by an invariant: what the broker raises, the service takes for the broker's fault.
        self.complaints: list[str] = []
        self.is_cursed = True
        self.plans = 0
        self.happens = Faults({})
        self.relay = Relay(self, clock=lambda: self.now)
        self._clocks = ExitStack()
        clock = SimpleNamespace(now=lambda _zone: self.now)
        for module in (publish_event, owed_effects, handle_received_event):
            self._clocks.enter_context(patch.object(module, "datetime", clock))

    @initialize()
    def empty_desk(self) -> None:
        empty_tables()
        for user_id in AGENTS:
            make_agent(user_id)
        hints.listen(self._be_hinted)

    # Writes

    @rule(writes=st.lists(st.tuples(st.sampled_from(WRITES), NUMBER, st.booleans()), min_size=1, max_size=6))
    def write(self, writes: list[tuple[str, int, bool]]) -> None:
        """Each by a process that may die after its commit, before it has told anybody."""
        for what, pick, dies_before_hint in writes:
            told = len(self.waiting_hints)
            if what == "open" or not self.model:
                self._open()
            else:
                getattr(self, f"_{what}")(*self._pick(pick))
            if dies_before_hint:
                HAPPENED["a hint was never given"] += len(self.waiting_hints) > told
                del self.waiting_hints[told:]

    def _open(self) -> None:
        new = NewTicket(subject="Lost parcel", description="It never came.")
        ticket = open_ticket(occasion=occasion(user_id=CUSTOMER, now=self.now), new=new, rules=RULES)
        self.model[ticket.id] = KnownTicket()

    def _ask(self, ticket_id: int, known: KnownTicket) -> None:
        with refused_if(known.status == "closed", TicketClosedToReplies):
            reply_to_ticket(
                occasion=occasion(user_id=CUSTOMER, now=self.now), ticket_id=ticket_id, content="Any news?"
            )
            known.events.append("ticket.message.new")
            if known.status in ("waiting_customer", "resolved"):
                known.status = "in_progress"

    def _answer(self, ticket_id: int, known: KnownTicket) -> None:
        with refused_if(known.status == "closed", TicketClosedToReplies):
            reply_to_ticket(
                occasion=occasion("admin", ADMIN, self.now), ticket_id=ticket_id, content="We are looking."
            )
            known.events.append("ticket.message.new")
            if known.status == "assigned":
                known.status = "in_progress"

    def _assign(self, ticket_id: int, known: KnownTicket) -> None:
        agent = AGENTS[len(known.events) % len(AGENTS)]
        with refused_if(known.status in SETTLED, InvalidTransition):
            assign_ticket(occasion=occasion("admin", ADMIN, self.now), ticket_id=ticket_id, agent_id=agent)
            if known.agent != agent:
                known.status, known.agent = "assigned", agent
                known.events.append("ticket.assigned")

    def _resolve(self, ticket_id: int, known: KnownTicket) -> None:
        with refused_if(known.status in SETTLED, InvalidTransition):
            resolve_ticket(
                occasion=occasion("admin", ADMIN, self.now), ticket_id=ticket_id, resolution="Sent again"
            )
            if known.status == "open":
                known.agent = ADMIN
                known.events.append("ticket.assigned")
            known.status = "resolved"
            known.events.append("ticket.resolved")

    def _close(self, ticket_id: int, known: KnownTicket) -> None:
        with refused_if(known.status == "closed", InvalidTransition):
            close_ticket(occasion=occasion("admin", ADMIN, self.now), ticket_id=ticket_id)
            known.status = "closed"
            known.events.append("ticket.closed")

    def _rate(self, ticket_id: int, known: KnownTicket) -> None:
        is_early = known.status not in SETTLED
        with refused_if(is_early or known.rated, NotSettledYet if is_early else AlreadyRated):
            rate_ticket(occasion=occasion(user_id=CUSTOMER, now=self.now), ticket_id=ticket_id, rating=4)
            known.rated = True
            known.events.append("ticket.satisfaction.received")

    # Events of others

    @rule(numbers=st.lists(st.integers(0, EVENTS - 1), min_size=1, max_size=4), twice=st.booleans())
    def receive(self, numbers: list[int], twice: bool) -> None:
        """A batch with repetitions; when the worker dies before it acknowledges, the same batch again."""
        for _ in range(1 + twice):
            new = receive_events(events=[incoming(number) for number in numbers], now=self.now)
            fresh = set(numbers) - self.received
            assert new == {incoming(number).dedup_key for number in fresh}
            self.received |= fresh

    @rule()
    def settle_what_others_reported(self) -> None:
        """So that another report of the same order needs a new ticket."""
        reported = Ticket.select().where(Ticket.category == "order", Ticket.status.not_in(SETTLED))
        # In one order: what Hypothesis tries again must not depend on how the server finds the rows.
        for ticket in reported.order_by(Ticket.id):
            resolve_ticket(occasion=occasion("admin", ADMIN, self.now), ticket_id=ticket.id, resolution="Yes")

    # Workers, relay, broker and time

    @precondition(lambda self: self.waiting_hints)
    @rule(picks=st.lists(NUMBER, min_size=1, max_size=4), again=st.booleans(), seed=SEED)
    def follow_hints(self, picks: list[int], again: bool, seed: int) -> None:
        """Of the queue's, in any order; one that was followed may be delivered once more."""
        self._plan_faults(seed)
        places = {pick % len(self.waiting_hints): None for pick in picks}
        picked = [self.waiting_hints[place] for place in places]
        if not again:
            # By their places: how many are left must not depend on which of them are equal.
            left = [hint for place, hint in enumerate(self.waiting_hints) if place not in places]
            self.waiting_hints = left
        for bundle in bundles(picked):
            self._follow(bundle)

    @precondition(lambda self: self.model)
    @rule(pick=NUMBER, seed=SEED)
    def follow_a_forged_hint(self, pick: int, seed: int) -> None:
        """At any time, about any ticket."""
        self._plan_faults(seed)
        self._follow(Bundle(PUBLISH_EVENT, (self._pick(pick)[0],)))

    @rule(seed=SEED)
    def handle_foreign_events(self, seed: int) -> None:
        self._plan_faults(seed)
        self._follow(Bundle(HANDLE_RECEIVED_EVENT, (0,)))

    @rule(seconds=st.sampled_from([3, 31, 600]), seed=SEED)
    def relay_round(self, seconds: int, seed: int) -> None:
        self.now += timedelta(seconds=seconds)
        self._plan_faults(seed)
        try:
            self.relay.sweep()
        except DispatchFailed:
            HAPPENED["the relay failed"] += 1

    @rule()
    def purge_the_queue(self) -> None:
        self.waiting_hints.clear()

    # What always holds, and what holds in the end

    @invariant()
    def events_appear_in_order_and_keep_their_ids(self) -> None:
        first: dict[int, list[int]] = defaultdict(list)
        ids: dict[tuple[int, int], str] = {}
        for ticket_id, sequence, event_id, _ in self.published:
            if (ticket_id, sequence) not in ids:
                first[ticket_id].append(sequence)
            assert ids.setdefault((ticket_id, sequence), event_id) == event_id
        assert all(places == list(range(1, len(places) + 1)) for places in first.values())

    @invariant()
    def nobody_has_a_complaint(self) -> None:
        assert self.complaints == []

    def teardown(self) -> None:
        try:
            self._come_to_rest()
        finally:
            self._clocks.close()

    def _come_to_rest(self) -> None:
        """Faults are over, except for the curse; then that too is lifted, and an operator decides."""
        self._work_until_nothing_moves()
        cursed = {number for number in self.received if number >= CURSED}
        failed = list(DueEffect.select())
        assert all(token.failed_at is not None and token.last_error for token in failed)
        assert len(failed) == len(cursed)
        health = pipeline_health(now=self.now)
        assert (health.owed, health.given_up) == (0, len(cursed))

        self.is_cursed = False
        while retry_failed_effects(effect=None, operator="test", now=self.now):
            pass
        self._work_until_nothing_moves()
        assert DueEffect.select().count() == 0
        self._every_ticket_was_acknowledged_once()
        self._compare_events()
        self._compare_reports()

    def _work_until_nothing_moves(self) -> None:
        self.happens = Faults({})
        for _ in range(ROUNDS_TO_QUIESCENCE):
            if not DueEffect.select().where(DueEffect.failed_at.is_null()).exists():
                return
            self.now += max(LEASE, REDELIVERY, RETRY_POLICIES[HANDLE_RECEIVED_EVENT].longest) + SECOND
            self.relay.sweep()
        raise AssertionError("something is owed for ever")

    def _compare_events(self) -> None:
        """The world was told what the log says, and the log what the model says."""
        told: dict[int, dict[int, tuple[str, str]]] = defaultdict(dict)
        for ticket_id, sequence, event_id, name in self.published:
            told[ticket_id][sequence] = (event_id, name)
        logged: dict[int, dict[int, tuple[str, str]]] = defaultdict(dict)
        for event in Event.select().where(Event.name.in_(PUBLISHED_NAMES)):
            logged[event.ticket_id][event.published_sequence or 0] = (event.event_id, event.name)
        assert told == logged
        for ticket_id, known in self.model.items():
            names = [name for _, (_, name) in sorted(told[ticket_id].items())]
            assert names == known.events
            assert Ticket.get_by_id(ticket_id).status == known.status

    def _compare_reports(self) -> None:
        """Each foreign event has had its effect once, however often it came and whoever died over it."""
        texts = [ticket.description for ticket in Ticket.select().where(Ticket.category == "order")]
        texts += [message.content for message in Message.select().where(Message.content.startswith("Report"))]
        assert Counter(texts) == Counter(f"Report {number}" for number in self.received)

    def _every_ticket_was_acknowledged_once(self) -> None:
        receipts = [row.ticket_id for row in MailDelivery.select().where(MailDelivery.kind == "received")]
        assert sorted(receipts) == sorted(ticket.id for ticket in Ticket.select())
        assert not MailDelivery.select().where(MailDelivery.state == "due").exists()

    # The relay's door to the workers

    def __call__(self, bundle: Bundle) -> None:
        match self.happens.next("relaying"):
            case "lost":
                pass
            case "not now":
                raise NotNow
            case "broken":
                raise ConnectionError("no broker")
            case _:
                self._follow(bundle)

    def release(self) -> None:
        """Nothing is held open."""

    # Workers and their ends

    def _be_hinted(self, hint: Hint) -> None:
        # The desk's own work and mails are left to the relay: this is about tickets and foreign events.
        if hint.effect in (PUBLISH_EVENT, HANDLE_RECEIVED_EVENT):
            self.waiting_hints.append(hint)

    def _follow(self, bundle: Bundle) -> None:
        try:
            if bundle.effect == PUBLISH_EVENT:
                publish_events(bundle.ticket_ids, publish=Broker(self))
            elif bundle.effect == ASSIGN_TICKETS:
                do_together(ASSIGN_TICKETS, lambda claims: finish_desk_effect(claims, now=self.now))
            elif bundle.effect == NOTIFY:
                do_owed_effects(NOTIFY, self._tell, do_all=self._tell_all, ticket_ids=bundle.ticket_ids)
            elif bundle.effect == SEND_MAIL:
                send_due_mails(Mails())
            elif bundle.effect == ESCALATE_TICKET:
                do_owed_effects(ESCALATE_TICKET, finish_effect, ticket_ids=bundle.ticket_ids)
            else:
                do_owed_effects(HANDLE_RECEIVED_EVENT, self._handle)
        except Killed:
            pass

    def _tell(self, claim: Claim) -> None:
        notify(claim, rules=MailRules(desk_address="desk@example.com"), now=self.now)

    def _tell_all(self, claims: Sequence[Claim]) -> None:
        notify_together(claims, rules=MailRules(desk_address="desk@example.com"), now=self.now)

    def _handle(self, claim: Claim) -> None:
        do = partial(handle_received_event.handle_received_event, claim, number_prefix="TICKET")
        what = self.happens.next("handling")
        if what == "killed before":
            raise Killed
        if what == "fails":
            raise RuntimeError("no luck")
        row = received_event(claim.sequence)
        if self.is_cursed and int(orjson.loads(row.envelope)["id"]) >= CURSED:
            raise RuntimeError("a mistake of ours")
        if what == "killed within":
            with patch.object(open_reported_ticket, "finish_effect", finish_and_die):
                do()
        do()
        if what == "killed after":
            raise Killed

    def _plan_faults(self, seed: int) -> None:
        # Hypothesis alone would try the same few again and again.
        self.plans += 1
        self.happens = Faults.at_random(Random(f"{seed} {self.plans}"))
        note(f"faults: {self.happens}")

    def _pick(self, pick: int) -> tuple[int, KnownTicket]:
        ticket_id = sorted(self.model)[pick % len(self.model)]
        return ticket_id, self.model[ticket_id]


class Broker:
    """Where one worker publishes to, and what happens to the two of them meanwhile."""

    is_known_to_be_down = False

    def __init__(self, machine: Pipeline, *, is_sound: bool = False) -> None:
        self._machine = machine
        self._is_sound = is_sound
        self._has_stalled = False

    def __call__(self, events: Sequence[Outgoing]) -> list[BaseException | None]:
        return [self._publish(event.publication) for event in events]

    def release(self) -> None:
        """Nothing is held open."""

    def _publish(self, publication: Publication) -> ConnectionError | None:
        ticket_id = publication.ticket_id
        match "out" if self._is_sound else self._machine.happens.next("publishing"):
            case "refused":
                return ConnectionError("no broker")
            case "unconfirmed":
                self._take(publication)
                return ConnectionError("no answer")
            case "killed before":
                raise Killed
            case "killed after":
                self._take(publication)
                raise Killed
            case "a write meanwhile":
                self._write_to(ticket_id)
                self._take(publication)
            case "a rival":
                self._rival(ticket_id)
                self._take(publication)
            case "stalled":
                # Its leases run out; somebody else does all of this ticket; and then it wakes up again.
                self._has_stalled = True
                self._machine.now += LEASE + SECOND
                publish_events([ticket_id], publish=Broker(self._machine, is_sound=True))
                self._take(publication)
            case _:
                self._take(publication)
        return None

    def _take(self, publication: Publication) -> None:
        self._machine.published.append(
            (
                publication.ticket_id,
                publication.published_sequence,
                publication.event_id,
                publication.name,
            )
        )

    def _write_to(self, ticket_id: int) -> None:
        known = self._machine.model.get(ticket_id)
        if known is not None and known.status != "closed":
            self._machine._ask(ticket_id, known)

    def _rival(self, ticket_id: int) -> None:
        before = len(self._machine.published)
        publish_events([ticket_id], publish=Broker(self._machine, is_sound=True))
        # Without a lease it has the ticket no longer: what is left, or has come, is the rival's by right.
        if not self._has_stalled and len(self._machine.published) > before:
            self._machine.complaints.append("two have published the same ticket at once")


def finish_and_die(claim: Claim) -> bool:
    finish_effect(claim)
    raise Killed


def incoming(number: int) -> IncomingEvent:
    """A foreign event as the event tap hands it on; the same number is the same event."""
    data = {"order_id": number % ORDERS, "user_id": 5, "description": f"Report {number}"}
    body = orjson.dumps({"event": "order.issue", "data": data, "id": str(number)})
    event = parse_foreign_event(body, message_id=None)
    return IncomingEvent(
        dedup_key=event.dedup_key, name=event.name, text=event.text, request_id=event.request_id
    )


@contextmanager
def refused_if(is_refused: bool, refusal: type[Exception]) -> Iterator[None]:
    if not is_refused:
        yield
        return
    with pytest.raises(refusal):
        yield


@pytest.mark.usefixtures("empty_database")
def test_whatever_happens_everything_owed_is_done() -> None:
    HAPPENED.clear()
    planned = {f"{kind}: {fault}" for kind, faults in WHAT_MAY_HAPPEN.items() for fault in faults}
    for number in range(MOST_RUNS):
        # The first is always the same; those after it are for the faults that have not struck by then.
        run_machine(is_the_same_always=number == 0)
        if planned <= HAPPENED.keys():
            break
    print(*sorted(HAPPENED.items()), sep="\n")
    assert planned <= HAPPENED.keys()


def run_machine(*, is_the_same_always: bool) -> None:
    run_state_machine_as_test(
        Pipeline,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=is_the_same_always,
            database=None,
            # A failure's steps are few enough to be read; looking for fewer would take minutes.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
