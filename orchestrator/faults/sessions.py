"""Sessions that faults open at the database: all called `rowrace fault`, none left when its fault is healed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from orchestrator.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from orchestrator.faults.model import Struck

#: The sessions' application_name.
NAME: Final = "rowrace fault"

#: A database that stops answering must not hold a fault for ever.
_CONNECTION: Final[dict[str, Any]] = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

#: A fault waits two seconds for a lock, and may then hold it for as long as the plan says.
_SETTINGS: Final = """
    SELECT set_config('lock_timeout', '2s', false), set_config('idle_in_transaction_session_timeout', '0', false)
"""


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """Opens one fault's sessions."""

    #: The fault, as the plan has it.
    text: str
    url: str

    def __repr__(self) -> str:
        return f"Sessions({self.text!r})"  # the URL holds a password

    def open(self) -> psycopg.Connection[Any] | None:
        """A session in autocommit mode; None where the database takes none just now."""
        import psycopg  # noqa: PLC0415 - faults are listed and planned where there is no driver

        try:
            return psycopg.connect(self.url, autocommit=True, application_name=NAME, **_CONNECTION)
        except psycopg.OperationalError:
            return None

    def use(self, action: Callable[[psycopg.Connection[Any]], Struck | None]) -> Struck | None:
        """What is done in a session, which stays only where there is something to heal.

        None where the database goes away in the midst of it, or a lock is not to be had.
        """
        import psycopg  # noqa: PLC0415 - as above

        connection = self.open()
        if connection is None:
            return None
        struck = None
        try:
            connection.execute(_SETTINGS)
            struck = action(connection)
        except psycopg.OperationalError:
            return None
        except psycopg.errors.InsufficientPrivilege:
            raise ServiceError(
                f"Fault «{self.text}» is more than the database's user may do: grant it that, or leave the fault out."
            ) from None
        except psycopg.Error as error:
            raise ServiceError(f"Fault «{self.text}» can't be done: {_said(error)}.") from None
        finally:
            if struck is None or struck.heal is None:
                connection.close()
        return struck


def _said(error: psycopg.Error) -> str:
    """The server's own words; a driver's may hold a password."""
    return error.diag.message_primary or type(error).__name__
