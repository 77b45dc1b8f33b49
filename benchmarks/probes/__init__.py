"""The limits that the service is measured against: each does one thing, and nothing beside it."""
