"""The one error that ends a start."""


class CannotStart(Exception):
    """The service cannot start, for a reason that whoever starts it can remove; the message says how."""
