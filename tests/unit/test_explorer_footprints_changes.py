"""What statements change: rows, unique keys, foreign keys, triggers, defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.controlled.catalog import Catalog, Reference, Table
from orchestrator.controlled.footprints import DATABASE, Footprints
from orchestrator.explorer.model import EVERYTHING, Footprint, Place

if TYPE_CHECKING:
    from orchestrator.explorer.model import Places

_CATALOG = Catalog(
    {
        table.name: table
        for table in (
            Table("accounts", "main", ("id", "balance"), ("id",), ("integer",), frozenset({"id"})),
            Table("users", "main", ("id", "mail", "age"), ("id",), ("integer",), frozenset({"id", "mail"}), more=True),
            Table(
                "shifts", "main", ("id", "doctor", "on_call"), ("id",), ("integer",), frozenset({"id", "*"}), more=True
            ),
            Table("pairs", "main", ("a", "b", "n"), ("a", "b"), ("integer", "text"), frozenset({"a", "b"})),
            Table("heap", "main", ("n", "m")),
            Table("loud", "main", ("id",), ("id",), ("integer",), frozenset({"id"}), opaque=True),
            Table("view", "main", ("id",), view="SELECT id FROM accounts"),
            Table(
                "numbered",
                "main",
                ("id", "n"),
                ("id",),
                ("integer",),
                frozenset({"id"}),
                defaults=(("id", "nextval('numbers'::regclass)"),),
            ),
            Table("calling", "main", ("id", "n"), ("id",), ("integer",), defaults=(("n", "somebodys()"),)),
            Table("orders", "main", ("id", "title"), ("id",), ("integer",), frozenset({"id"})),
            Table(
                "items",
                "main",
                ("id", "order_id", "n", "a", "b"),
                ("id",),
                ("integer",),
                frozenset({"id"}),
                parents=(
                    Reference("items", ("order_id",), "orders", ("id",)),
                    Reference("items", ("b", "a"), "pairs", ("b", "a")),
                ),
            ),
            Table("top", "main", ("id", "code"), ("id",), ("integer",), frozenset({"id", "code"}), more=True),
            Table(
                "middle",
                "main",
                ("id", "top_code"),
                ("id",),
                ("integer",),
                frozenset({"id"}),
                parents=(Reference("middle", ("top_code",), "top", ("code",), passes=True),),
            ),
            Table("bottom", "main", ("middle",), parents=(Reference("bottom", ("middle",), "middle", ("id",)),)),
            Table("owner", "main", ("id",), ("id",), ("integer",), frozenset({"id"})),
            Table(
                "owned",
                "main",
                ("o",),
                parents=(Reference("owned", ("o",), "owner", ("id",), passes=True),),
                opaque=True,
            ),
            Table("stray", "main", ("o",), parents=(Reference("stray", ("o",), "elsewhere.owner", ("id",)),)),
            Table(
                "tree",
                "main",
                ("id", "up"),
                ("id",),
                ("integer",),
                frozenset({"id"}),
                parents=(Reference("tree", ("up",), "tree", ("id",), passes=True),),
            ),
        )
    },
    path=("main",),
)
_POSTGRES = Footprints("postgres", _CATALOG)
_SQLITE = Footprints("sqlite", _CATALOG)


def _places(text: str) -> Places:
    """Read "accounts:1 words:*" as places; a composite key is written 1/x, a table's blank _."""
    places = set()
    for each in text.split():
        table, _, key = each.partition(":")
        places.add(Place(table.replace("_", " "), tuple(key.split("/")) if "/" in key else key))
    return frozenset(places)


@pytest.mark.parametrize(
    ("sql", "parameters", "reads", "writes"),
    [
        ("UPDATE accounts SET balance = 1 WHERE id = 1", None, "accounts:1", "accounts:1"),
        ("UPDATE accounts a SET balance = %s WHERE a.id = %s AND balance = %s", (5, 1, 2), "accounts:1", "accounts:1"),
        ("UPDATE ONLY accounts SET balance = 1 WHERE id IN (1, 2)", None, *["accounts:1 accounts:2"] * 2),
        ("UPDATE accounts SET balance = 1", None, "accounts:*", "accounts:*"),
        ("UPDATE accounts SET id = 2 WHERE id = 1", None, "accounts:*", "accounts:*"),
        ("UPDATE accounts SET (id, balance) = (2, 3) WHERE id = 1", None, "accounts:*", "accounts:*"),
        ("UPDATE accounts SET unheard_of = 2 WHERE id = 1", None, "accounts:*", "accounts:*"),
        ("UPDATE accounts SET balance[1] = 2 WHERE id = 1", None, "accounts:1", "accounts:1"),
        ("UPDATE users SET age = 2 WHERE id = 1", None, "users:1", "users:1"),
        ("UPDATE users SET mail = 'x' WHERE id = 1", None, "users:*", "users:*"),
        ("UPDATE shifts SET on_call = false WHERE id = 1", None, "shifts:*", "shifts:*"),
        ("UPDATE accounts SET balance = n FROM heap WHERE id = 1", None, "accounts:1 heap:*", "accounts:1"),
        (
            "UPDATE accounts SET balance = (SELECT n FROM heap) WHERE id = 1 RETURNING (TABLE users)",
            None,
            "accounts:1 heap:* users:*",
            "accounts:1",
        ),
        ("DELETE FROM accounts WHERE id = 1", None, "accounts:1", "accounts:1"),
        ("DELETE FROM heap WHERE n = 1", None, "heap:*", "heap:*"),
        ("DELETE FROM accounts USING heap WHERE id = n AND id = 3", None, "accounts:3 heap:*", "accounts:3"),
        (
            "WITH x AS (SELECT n FROM heap FOR UPDATE SKIP LOCKED) DELETE FROM accounts USING x WHERE id = n",
            None,
            "heap:* accounts:*",
            "accounts:*",
        ),
        (
            """WITH d AS (UPDATE accounts SET balance = balance - 1 WHERE id = %s RETURNING id)
            UPDATE accounts SET balance = balance + 1 WHERE id = %s AND EXISTS (SELECT 1 FROM d)""",
            (1, 2),
            "accounts:1 accounts:2",
            "accounts:1 accounts:2",
        ),
        ("INSERT INTO accounts (id, balance) VALUES (%s, 0)", (7,), "accounts:7", "accounts:7"),
        ("INSERT INTO accounts VALUES (1, 0), (2, 0)", None, *["accounts:1 accounts:2"] * 2),
        ("INSERT INTO accounts (balance) VALUES (0)", None, "accounts:*", "accounts:*"),
        ("INSERT INTO accounts (id) VALUES (NULL)", None, "accounts:*", "accounts:*"),
        ("INSERT INTO accounts (id) VALUES (DEFAULT)", None, "accounts:*", "accounts:*"),
        ("INSERT INTO accounts (id) VALUES (1 + 1)", None, "accounts:*", "accounts:*"),
        ("INSERT INTO accounts DEFAULT VALUES", None, "accounts:*", "accounts:*"),
        ("INSERT INTO accounts SELECT n, m FROM heap", None, "accounts:* heap:*", "accounts:*"),
        ("INSERT INTO accounts SELECT 1, age FROM users WHERE id = 1", None, "accounts:* users:1", "accounts:*"),
        ("INSERT INTO pairs VALUES (1, 'x', 0)", None, "pairs:1/x", "pairs:1/x"),
        ("INSERT INTO pairs (a) VALUES (1)", None, "pairs:*", "pairs:*"),
        ("INSERT INTO users (id, mail) VALUES (1, 'x')", None, "users:*", "users:*"),
        ("INSERT INTO heap VALUES (1, 2)", None, "heap:*", "heap:*"),
        ("INSERT INTO accounts VALUES (1, 0) ON CONFLICT DO NOTHING", None, "accounts:1", "accounts:1"),
        ("INSERT INTO accounts VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET balance = 5", None, *["accounts:1"] * 2),
        (
            "INSERT INTO accounts VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET balance = excluded.balance + 1",
            None,
            *["accounts:1"] * 2,
        ),
        ("INSERT INTO accounts VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET id = 5", None, *["accounts:*"] * 2),
        (
            "INSERT INTO accounts AS a VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET balance = (SELECT n FROM heap)",
            None,
            "accounts:1 heap:*",
            "accounts:1",
        ),
        ("INSERT INTO numbered (id) VALUES (1)", None, "numbered:1", "numbered:1"),
        ("INSERT INTO numbered (n) VALUES (1)", None, "numbered:*", "numbered:* sequence_numbers:*"),
        ("INSERT INTO numbered VALUES (DEFAULT, 1)", None, "numbered:*", "numbered:* sequence_numbers:*"),
        ("INSERT INTO calling VALUES (1, 1)", None, "calling:1", "calling:1"),
        (
            "MERGE INTO accounts USING heap ON id = n WHEN MATCHED THEN UPDATE SET balance = m",
            None,
            "accounts:* heap:*",
            "accounts:*",
        ),
    ],
)
def test_changes_lock_what_they_write(sql: str, parameters: object, reads: str, writes: str) -> None:
    """A change has its rows by key where only they can be meant, and every write is locked."""
    reading = _POSTGRES.read(sql, parameters)
    footprint = reading.footprint
    assert (_places(reads), _places(writes), True) == (footprint.reads, footprint.writes, reading.writes)
    assert footprint.writes == footprint.locks & footprint.writes


@pytest.mark.parametrize(
    ("sql", "parameters", "reads", "locks", "shares"),
    [
        (
            "INSERT INTO items VALUES (1, 2, 3, 4, 'x')",
            None,
            "items:1 orders:2 pairs:4/x",
            "items:1",
            "orders:2 pairs:4/x",
        ),
        ("INSERT INTO items (id, order_id) VALUES (%s, %s)", (1, 2), "items:1 orders:2", "items:1", "orders:2"),
        ("INSERT INTO items (id, order_id) VALUES (%s, %s)", (1, None), "items:1", "items:1", ""),
        ("INSERT INTO items (id, order_id) VALUES (1, 1 + 1)", None, "items:1 orders:*", "items:1", "orders:*"),
        ("INSERT INTO items (id) VALUES (1)", None, "items:1", "items:1", ""),
        (
            "INSERT INTO items (id, order_id) SELECT n, m FROM heap",
            None,
            "items:* heap:* orders:*",
            "items:*",
            "orders:*",
        ),
        ("UPDATE items SET n = 1 WHERE id = 1", None, "items:1", "items:1", ""),
        ("UPDATE items SET order_id = 5 WHERE id = 1", None, "items:1 orders:5", "items:1", "orders:5"),
        ("UPDATE items SET a = 5 WHERE id = 1", None, "items:1 pairs:*", "items:1", "pairs:*"),
        ("INSERT INTO stray VALUES (1)", None, "stray:* elsewhere.owner:*", "stray:*", "elsewhere.owner:*"),
        ("UPDATE orders SET title = 'x' WHERE id = 1", None, "orders:1", "orders:1", ""),
        ("UPDATE orders SET id = 2 WHERE id = 1", None, "orders:* items:*", "orders:* items:*", ""),
        ("DELETE FROM orders WHERE id = 1", None, "orders:1 items:*", "orders:1 items:*", ""),
        ("DELETE FROM top WHERE id = 1", None, "top:* middle:* bottom:*", "top:1 middle:* bottom:*", "top:*"),
        ("UPDATE top SET code = 2 WHERE id = 1", None, "top:* middle:* bottom:*", "top:* middle:* bottom:*", "top:*"),
        ("DELETE FROM tree WHERE id = 1", None, "tree:*", "tree:*", "tree:*"),
    ],
)
def test_foreign_keys_meet_the_other_table(sql: str, parameters: object, reads: str, locks: str, shares: str) -> None:
    """A child's parent must stay, so it is shared; a parent that goes looks for its children, and may change them."""
    footprint = _POSTGRES.read(sql, parameters).footprint
    assert (_places(reads), _places(locks), _places(shares)) == (footprint.reads, footprint.locks, footprint.shares)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE loud SET id = 1 WHERE id = 1",
        "INSERT INTO loud VALUES (1)",
        "DELETE FROM owner WHERE id = 1",
        "UPDATE view SET id = 1",
        "INSERT INTO unheard_of VALUES (1)",
        "INSERT INTO calling (id) VALUES (1)",
        "WITH x AS (DELETE FROM loud RETURNING id) SELECT id FROM x",
    ],
)
def test_triggers_and_what_is_not_known_may_do_anything(sql: str) -> None:
    """A table with triggers, one that loses rows with another's, a view, and defaults that call a user's function."""
    assert EVERYTHING == _POSTGRES.read(sql).footprint


@pytest.mark.parametrize(
    ("sql", "parameters", "reads", "writes"),
    [
        ("UPDATE accounts SET balance = 1 WHERE id = ?", (1,), "accounts:1", "accounts:1"),
        ("UPDATE OR IGNORE accounts SET balance = 1 WHERE id = 1", None, "accounts:1", "accounts:1"),
        ("UPDATE accounts SET rowid = 1 WHERE id = 1", None, "accounts:*", "accounts:*"),
        ("REPLACE INTO accounts VALUES (1, 2)", None, "accounts:1", "accounts:1"),
        ("INSERT OR REPLACE INTO orders (id) VALUES (1)", None, "orders:1 items:*", "orders:1"),
        ("INSERT OR IGNORE INTO accounts (id) VALUES (1)", None, "accounts:1", "accounts:1"),
        ("INSERT INTO accounts (id) VALUES (:id) ON CONFLICT DO NOTHING", {"id": 4}, "accounts:4", "accounts:4"),
        ("DELETE FROM accounts", None, "accounts:*", "accounts:*"),
        ("INSERT INTO items (id, order_id) VALUES (1, 2)", None, "items:1 orders:2", "items:1"),
    ],
)
def test_sqlite_lets_one_write_at_a_time(sql: str, parameters: object, reads: str, writes: str) -> None:
    """Whatever is written there, the lock is the database's own, and foreign keys need none."""
    expected = Footprint(_places(reads), _places(writes), frozenset([DATABASE]))
    assert expected == _SQLITE.read(sql, parameters).footprint


def test_a_replacing_update_may_do_anything_on_sqlite() -> None:
    """It deletes whichever rows are in its way."""
    assert EVERYTHING == _SQLITE.read("UPDATE OR REPLACE accounts SET id = 1").footprint
