"""Names of a run's transactions: who attempted what, where and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from orchestrator.verifier.clocks import UNBOUNDED, to_database
from orchestrator.verifier.words import attempt, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.verifier.arrays import Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.verdict import Witness


class Attempted:
    """Tells people of a run's transactions; asked only about the few that a witness needs."""

    #: What a version is called.
    unit = "seq"

    def __init__(self, columns: Columns, attempt: Ints, access: Ints, token: Ints) -> None:
        self._columns = columns
        #: Per transaction: the place of its attempt, that of the read which it is (or -1), and its token.
        self._attempt, self._access, self._token = attempt, access, token

    def transaction(self, number: int) -> str:
        """The attempt, and which read of it where a read stands apart."""
        who = attempt(self._columns, int(self._attempt[number]))
        access = int(self._access[number])
        return who if access < 0 else f"the read of {self._row_read(access)} before the transaction of {who}"

    def details(self, number: int) -> Mapping[str, Any]:
        """Operation, token, worker, and the attempt's time on the database clock with its error, where it is known."""
        columns, place = self._columns, int(self._attempt[number])
        known: dict[str, Any] = {"token": int(self._token[number])}
        if place < 0:
            return known
        operation, process = int(columns.attempts.operation[place]), int(columns.attempts.process[place])
        if operation >= 0:
            known["operation"] = int(columns.operations.number[operation])
        if process in columns.processes:
            known |= zip(("node", "host", "pid"), columns.processes[process], strict=False)
        return {**known, "slot": int(columns.attempts.slot[place]), **self._times(place)}

    def row(self, number: int) -> str:
        """The row: "users/7"."""
        return self._columns.rows.name(number)

    def version(self, row: int, version: int) -> str:
        """The fields that the row's change to this version set."""
        effects = self._columns.effects
        first, after = (int(np.searchsorted(effects.row, row, side)) for side in ("left", "right"))
        place = first + int(np.searchsorted(effects.seq[first:after], version))
        return values(self._columns, place)[1] if place < after and effects.seq[place] == version else ""

    def told(self, witness: Witness) -> Witness:
        """The witness with the tokens and operations of the attempts that it tells of."""
        numbers = [each.number for each in witness.transactions]
        places = [int(self._attempt[number]) for number in numbers]
        owners = (int(self._columns.attempts.operation[place]) for place in places if place >= 0)
        return msgspec.structs.replace(
            witness,
            attempts=_distinct(token for number in numbers if (token := int(self._token[number]))),
            operations=_distinct(int(self._columns.operations.number[owner]) for owner in owners if owner >= 0),
        )

    def _row_read(self, access: int) -> str:
        return self._columns.rows.name(int(self._columns.accesses.row[access]))

    def _times(self, place: int) -> dict[str, int]:
        """Start and end in microseconds, rounded, and how far off they may be."""
        attempts = self._columns.attempts
        times = {"start_us": int(attempts.start[place]), "end_us": int(attempts.end[place])}
        known = {name: time for name, time in times.items() if time >= 0 or name == "start_us"}
        process = np.full(len(known), attempts.process[place])
        mapped, error = to_database(self._columns, process, np.array(list(known.values()), dtype=np.int64))
        if error.max() >= UNBOUNDED:
            return {}
        told = dict(zip(known, (mapped // 1_000).tolist(), strict=True))
        return {**told, "error_us": -(-int(error.max()) // 1_000)}


def _distinct(numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(numbers))
