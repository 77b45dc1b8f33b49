"""What doing each effect means: a plain table, and its rows as Dramatiq's actors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import dramatiq

from sav.actors.gathering import Gathering
from sav.actors.handle_received_event import handle_received_event
from sav.actors.owed_effects import EFFECTS_A_TRANSACTION, do_owed_effects, do_together
from sav.actors.publish_event import Publish, publish_events
from sav.actors.send_mail import Mails, send_due_mails
from sav.domain.effects import (
    AGGREGATE_METRICS,
    ASSIGN_TICKETS,
    BUILD_EXPORT,
    CLOSE_QUIET_TICKETS,
    ERASE_PERSON,
    ESCALATE_TICKET,
    HANDLE_RECEIVED_EVENT,
    HOUSEKEEPING,
    NOTIFY,
    PUBLISH_EVENT,
    REMOVE_OBJECTS,
    SCAN_ATTACHMENT,
    SEND_MAIL,
    SURVEYS,
    SWEEP_FILES,
    WATCH_ESCALATIONS,
)
from sav.operations.assign_open_tickets import AssignmentRules, assign_open_tickets
from sav.operations.build_export import EXPORT_DAYS, Exporter, build_export
from sav.operations.close_quiet_tickets import close_quiet_tickets
from sav.operations.count_tickets import count_for_a_while
from sav.operations.desk_effects import finish_desk_effect
from sav.operations.effect_claims import Claim
from sav.operations.erase_person import Eraser, Traces, erase_person, no_traces
from sav.operations.escalate_ticket import EscalationRules, escalate_ticket, owe_missed_escalations
from sav.operations.housekeeping import MAIL_RETENTION_DAYS, keep_house
from sav.operations.notify import make_up_for_surveys, notify, notify_together
from sav.operations.remove_objects import remove_objects
from sav.operations.scan_attachment import scan_attachment
from sav.operations.sweep_files import SWEEP_AGE, sweep_files
from sav.storage.object_store import ObjectStore
from sav.storage.virus_scanner import NoScanner, VirusScanner

Effect = Callable[[Sequence[int]], None]
"""Does what tickets owe (0: what the desk owes as a whole), once, however often it is called."""

_LONG_JOBS = dict.fromkeys((BUILD_EXPORT, ERASE_PERSON, SWEEP_FILES), 14 * 60 * 1000)
"""Milliseconds for what is one piece of work however long it is; less than the broker's patience (30 min)."""
PAUSE_BETWEEN_PARTS = timedelta(seconds=1)
"""For how long a long job leaves its worker to others before it goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the effects need from outside; the composition root provides it."""

    publish: Publish
    """Where events go."""
    number_prefix: str
    escalation: EscalationRules
    quiet_for: timedelta
    """How long a resolved ticket stays open to replies."""
    storage: ObjectStore
    sweep_age: timedelta = SWEEP_AGE
    mails: Mails = field(default_factory=Mails)
    scanner: VirusScanner = field(default_factory=NoScanner)
    traces: Traces = no_traces
    """Takes an erased person out of what lies outside database and store."""
    exports_kept_for: timedelta = timedelta(days=EXPORT_DAYS)
    mails_kept_for: timedelta = timedelta(days=MAIL_RETENTION_DAYS)
    service_name: str = "sav-service"


def effect_table(means: Means) -> dict[str, Effect]:
    """Every effect by its name."""
    assignment = means.escalation.assignment
    escalate = partial(_escalate, means.escalation)
    watch = partial(_watch_escalations, means.escalation)
    close_quiet = partial(_close_quiet_tickets, means.quiet_for)
    handle = partial(handle_received_event, number_prefix=means.number_prefix)
    remove = partial(remove_objects, store=means.storage)

    def tell(claim: Claim) -> None:
        notify(claim, rules=means.mails.rules, now=datetime.now(UTC))

    def tell_all(claims: Sequence[Claim]) -> None:
        notify_together(claims, rules=means.mails.rules, now=datetime.now(UTC))

    def make_up(claim: Claim) -> None:
        make_up_for_surveys(claim, rules=means.mails.rules, now=datetime.now(UTC))

    return {
        PUBLISH_EVENT: Gathering(PUBLISH_EVENT, partial(publish_events, publish=means.publish)),
        HANDLE_RECEIVED_EVENT: lambda _: do_owed_effects(HANDLE_RECEIVED_EVENT, handle),
        ASSIGN_TICKETS: lambda _: do_together(ASSIGN_TICKETS, partial(_assign_tickets, assignment)),
        ESCALATE_TICKET: lambda tickets: do_owed_effects(ESCALATE_TICKET, escalate, ticket_ids=tickets),
        WATCH_ESCALATIONS: lambda _: do_together(WATCH_ESCALATIONS, watch),
        CLOSE_QUIET_TICKETS: lambda _: do_together(CLOSE_QUIET_TICKETS, close_quiet),
        REMOVE_OBJECTS: lambda tickets: do_owed_effects(REMOVE_OBJECTS, remove, ticket_ids=tickets),
        SWEEP_FILES: lambda _: do_owed_effects(SWEEP_FILES, partial(_sweep_files, means)),
        AGGREGATE_METRICS: lambda _: do_together(AGGREGATE_METRICS, _aggregate_metrics),
        SCAN_ATTACHMENT: lambda tickets: do_owed_effects(
            # A scan may take most of a lease.
            SCAN_ATTACHMENT,
            partial(_scan, means),
            ticket_ids=tickets,
            at_a_time=1,
        ),
        HOUSEKEEPING: lambda _: do_owed_effects(HOUSEKEEPING, partial(_keep_house, means.mails_kept_for)),
        NOTIFY: lambda tickets: do_owed_effects(
            NOTIFY, tell, do_all=tell_all, ticket_ids=tickets, at_a_time=EFFECTS_A_TRANSACTION
        ),
        SEND_MAIL: lambda _: send_due_mails(means.mails),
        SURVEYS: lambda _: do_owed_effects(SURVEYS, make_up),
        # Each takes as long as a lease, which it prolongs for itself alone.
        ERASE_PERSON: lambda _: do_owed_effects(ERASE_PERSON, partial(_erase, means), at_a_time=1),
        BUILD_EXPORT: lambda _: do_owed_effects(BUILD_EXPORT, partial(_export, means), at_a_time=1),
    }


def _assign_tickets(rules: AssignmentRules, claims: Sequence[Claim]) -> None:
    is_done = assign_open_tickets(rules=rules, clock=_now)
    finish_desk_effect(claims, now=_now(), again_at=None if is_done else _now())


def _escalate(rules: EscalationRules, claim: Claim) -> None:
    escalate_ticket(claim=claim, rules=rules, now=_now())


def _watch_escalations(rules: EscalationRules, claims: Sequence[Claim]) -> None:
    owe_missed_escalations(timeout=rules.timeout, now=_now())
    finish_desk_effect(claims, now=_now())


def _close_quiet_tickets(quiet_for: timedelta, claims: Sequence[Claim]) -> None:
    is_done = close_quiet_tickets(quiet_for=quiet_for, clock=_now)
    now = _now()
    finish_desk_effect(claims, now=now, again_at=None if is_done else now + PAUSE_BETWEEN_PARTS)


def _aggregate_metrics(claims: Sequence[Claim]) -> None:
    is_done = count_for_a_while()
    finish_desk_effect(claims, now=_now(), again_at=None if is_done else _now())


def _now() -> datetime:
    return datetime.now(UTC)


def _sweep_files(means: Means, claim: Claim) -> None:
    sweep_files(claim, store=means.storage, clock=_now, age=means.sweep_age)


def _scan(means: Means, claim: Claim) -> None:
    scan_attachment(claim, scanner=means.scanner, store=means.storage, now=_now())


def _keep_house(mails_kept_for: timedelta, claim: Claim) -> None:
    keep_house(claim, now=_now(), mails_kept_for=mails_kept_for)


def _erase(means: Means, claim: Claim) -> None:
    eraser = Eraser(store=means.storage, clock=_now, traces=means.traces, service_name=means.service_name)
    erase_person(claim, eraser=eraser)


def _export(means: Means, claim: Claim) -> None:
    exporter = Exporter(
        store=means.storage,
        clock=_now,
        kept_for=means.exports_kept_for,
        service_name=means.service_name,
    )
    build_export(claim, exporter=exporter)


def declare_actors(broker: dramatiq.Broker, effects: Mapping[str, Effect], *, queue_name: str) -> None:
    """Makes each effect an actor of the same name, which takes tickets' ids."""
    for name, effect in effects.items():
        # Left out where the broker's own limit holds: with None it would know of no limit at all.
        limit: dict[str, Any] = {"time_limit": _LONG_JOBS[name]} if name in _LONG_JOBS else {}
        dramatiq.actor(actor_name=name, queue_name=queue_name, broker=broker, **limit)(effect)
