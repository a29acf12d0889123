"""The one error a learner sees when there is no database."""


class DatabaseUnavailable(Exception):  # noqa: N818  (a state of the world, not a bug)
    """No database can be had; the message says why and what to type.

    IPython shows the message alone, with no traceback.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"DatabaseUnavailable: {self}"]
