-- name: effects
-- Every committed change of a row, in the order in which the triggers saw them.
CREATE TABLE effects (
    relation TEXT NOT NULL,
    key TEXT NOT NULL,
    seq INTEGER NOT NULL,
    version_before INTEGER,
    version_after INTEGER,
    before TEXT,
    after TEXT,
    writer INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    txid INTEGER NOT NULL,
    at INTEGER NOT NULL
);

-- name: applied
-- The guard's memory: which transaction applied an operation.
CREATE TABLE applied (
    operation INTEGER PRIMARY KEY,
    txid INTEGER NOT NULL
);

-- name: guard
-- Roll a second application of an operation back whole; one transaction may write twice for its operation.
CREATE TRIGGER {trigger} BEFORE {event} ON {relation}
WHEN rowrace_operation() >= 0
BEGIN
    INSERT INTO applied (operation, txid) VALUES (rowrace_operation(), rowrace_txid())
    ON CONFLICT (operation) DO NOTHING;
    SELECT RAISE(ROLLBACK, 'RR001') FROM applied
    WHERE operation = rowrace_operation() AND txid <> rowrace_txid();
END;

-- name: record_insert
-- Record a new row and stamp it.
CREATE TRIGGER {trigger} AFTER {event} ON {relation}
BEGIN
    INSERT INTO effects VALUES (
        '{relation}', CAST(new.id AS TEXT), 1, NULL, new.version, NULL, {after},
        rowrace_writer(), rowrace_operation(), rowrace_txid(), rowrace_now()
    );
    UPDATE {relation} SET seq = 1, writer = rowrace_writer() WHERE id = new.id;
END;

-- name: record_update
-- Record a changed row and stamp it; the event names the body's columns, so that a stamp is no change itself.
CREATE TRIGGER {trigger} AFTER {event} ON {relation}
BEGIN
    INSERT INTO effects VALUES (
        '{relation}', CAST(new.id AS TEXT), old.seq + 1, old.version, new.version, {before}, {after},
        rowrace_writer(), rowrace_operation(), rowrace_txid(), rowrace_now()
    );
    UPDATE {relation} SET seq = old.seq + 1, writer = rowrace_writer() WHERE id = new.id;
END;

-- name: record_delete
-- Record that a row is gone.
CREATE TRIGGER {trigger} AFTER {event} ON {relation}
BEGIN
    INSERT INTO effects VALUES (
        '{relation}', CAST(old.id AS TEXT), old.seq + 1, old.version, NULL, {before}, NULL,
        rowrace_writer(), rowrace_operation(), rowrace_txid(), rowrace_now()
    );
END;
