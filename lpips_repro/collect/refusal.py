"""A request that is refused, and changes nothing."""


class Refusal(Exception):
    """Why, for the worker, and the status of the HTTP response."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
