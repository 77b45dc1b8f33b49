"""Opening, reading, changing and deleting tickets over HTTP."""

from tests.plugins.desk import Api


def test_a_customer_opens_a_ticket(api: Api) -> None:
    answer = api.customer(1).post("/tickets", {"subject": "Lost parcel", "description": "It never came."})

    assert answer.status_code == 201
    assert answer.json["ticket_number"] == "TICKET-20260329-001"
    assert answer.json["user_id"] == 1
    assert answer.json["status"] == "open"
    assert answer.headers["Location"] == f"/tickets/{answer.json['id']}"
    assert api.customer(1).get(answer.headers["Location"]).headers["ETag"] == answer.headers["ETag"]
