"""Makes the tables of the site that `PEER_DATABASE` names, and fills them; prints a token of its staff.

python -m benchmarks.peers.helpdesk_site.seed <tickets>
"""

import os
import random
import sys

import django

TICKETS_A_STATEMENT = 1_000
CUSTOMERS = 200_000
STATUSES = (1, 2, 3, 4)


def main(tickets: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peers.helpdesk_site.settings")
    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from helpdesk.models import Queue, Ticket
    from rest_framework.authtoken.models import Token

    call_command("migrate", verbosity=0)
    staff, _ = get_user_model().objects.get_or_create(
        username="staff", defaults={"is_staff": True, "is_superuser": True, "email": "staff@example.com"}
    )
    queue, _ = Queue.objects.get_or_create(
        slug="sav", defaults={"title": "After-sales", "allow_public_submission": True}
    )
    # What an earlier run that was broken off has not written.
    fill(tickets - Ticket.objects.count(), queue)
    print(Token.objects.get_or_create(user=staff)[0].key)


def fill(tickets: int, queue: object) -> None:
    from helpdesk.models import Ticket

    from benchmarks.vocabulary import Writer

    dice = random.Random(1)  # noqa: S311
    write = Writer(dice)
    for start in range(0, tickets, TICKETS_A_STATEMENT):
        Ticket.objects.bulk_create(
            Ticket(
                title=write.words(3, 8),
                queue=queue,
                submitter_email=f"customer{dice.randrange(CUSTOMERS)}@example.com",
                description=write.description(),
                status=dice.choice(STATUSES),
                priority=dice.randint(1, 5),
            )
            for _ in range(min(TICKETS_A_STATEMENT, tickets - start))
        )


if __name__ == "__main__":
    main(int(sys.argv[1]))
