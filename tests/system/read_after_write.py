"""Writers and those who look at once at what was acknowledged, each time by another process of the fleet."""

import threading
from concurrent.futures import ThreadPoolExecutor

from tests.system.conftest import Site
from tests.system.fleet import Admin, Agent, Customer, opened

WRITERS = 4
ROUNDS = 25
READS_A_ROUND = 3


def seen_too_late(site: Site, *, rounds: int = ROUNDS) -> list[str]:
    """What somebody saw that was older than what had been acknowledged; none when all is well."""
    agent_id = site.someone_new()
    with Agent(site.fleet, agent_id) as agent:
        agent.join()
    everyone = threading.Barrier(WRITERS)

    def write_and_read(_place: int) -> list[str]:
        wrong = []
        customer_id = site.someone_new()
        with (
            Customer(site.fleet, customer_id) as writer,
            Customer(site.fleet, customer_id, keep_alive=False) as reader,
            Agent(site.fleet, agent_id, keep_alive=False) as helper,
            Admin(site.fleet, site.someone_new(), keep_alive=False) as chief,
        ):
            ticket_id = opened(writer.open())
            assert chief.assign(ticket_id, agent_id).status_code == 200
            everyone.wait()
            for number in range(rounds):
                subject = f"Lost parcel {number}"
                changed = writer.call("PUT", f"/tickets/{ticket_id}", {"subject": subject})
                version = changed.json()["version"]
                for look in range(READS_A_ROUND):
                    for who, path in (
                        (reader, "/tickets"),
                        (helper, "/tickets?per_page=100&sort=-updated_at"),
                        (chief, f"/tickets?user_id={customer_id}"),
                    ):
                        rows = {row["id"]: row for row in who.get(path).json()["data"]}
                        if rows[ticket_id]["subject"] != subject or rows[ticket_id]["version"] != version:
                            wrong.append(f"{who.role} {path}: {rows[ticket_id]['subject']} after {subject}")
                    for who in (reader, helper, chief):
                        seen = who.ticket(ticket_id)
                        if (seen["subject"], seen["version"]) != (subject, version):
                            wrong.append(f"{who.role}: {seen['subject']} after {subject}, look {look}")
                    total = reader.get("/tickets/statistics").json()["total"]
                    if total != number + 1:
                        wrong.append(f"{total} tickets instead of {number + 1}")
                opened(writer.open())
        return wrong

    with ThreadPoolExecutor(WRITERS) as pool:
        return [line for some in pool.map(write_and_read, range(WRITERS)) for line in some]
