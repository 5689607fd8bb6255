-- name: stamp
-- Count the row's changes and name their writer, whatever the body wrote; a session without a writer is nobody (0).
CREATE FUNCTION {schema}.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    names text := current_setting('rowrace.writer', true);
    token bigint := 0;
    operation_ bigint := -1;
BEGIN
    IF names ~ '^[1-9][0-9]*:[0-9]+$' THEN
        token := split_part(names, ':', 1)::bigint;
        operation_ := split_part(names, ':', 2)::bigint;
        {guard}
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN old;
    END IF;
    new.writer := token;
    new.seq := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE old.seq + 1 END;
    RETURN new;
END $$;

-- name: guard
-- Let one transaction apply the operation, however many rows it writes; a second one is rolled back whole.
INSERT INTO {schema}.applied AS a VALUES (operation_, pg_current_xact_id()::text::bigint)
ON CONFLICT (operation) DO NOTHING;
IF NOT FOUND AND NOT EXISTS (
    SELECT FROM {schema}.applied a WHERE a.operation = operation_ AND a.txid = pg_current_xact_id()::text::bigint
) THEN
    RAISE EXCEPTION 'operation % is applied already', operation_ USING ERRCODE = '{duplicate}';
END IF;

-- name: record
-- Record the change beside it, in its transaction.
CREATE FUNCTION {schema}.record() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    names text := current_setting('rowrace.writer', true);
    -- Stamped rows tell whether the setting made sense, which is cheaper than to match it again.
    known boolean := CASE TG_OP WHEN 'DELETE' THEN coalesce(names ~ '^[1-9][0-9]*:[0-9]+$', false) ELSE new.writer > 0 END;
    operation_ bigint := CASE WHEN known THEN split_part(names, ':', 2)::bigint ELSE -1 END;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO {schema}.effects VALUES (
            '{relation}', new.id::text, new.seq, old.version, new.version, {before}, {after},
            new.writer, operation_, pg_current_xact_id()::text::bigint, clock_timestamp()
        );
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO {schema}.effects VALUES (
            '{relation}', new.id::text, new.seq, NULL, new.version, NULL, {after},
            new.writer, operation_, pg_current_xact_id()::text::bigint, clock_timestamp()
        );
    ELSE
        INSERT INTO {schema}.effects VALUES (
            '{relation}', old.id::text, old.seq + 1, old.version, NULL, {before}, NULL,
            CASE WHEN known THEN split_part(names, ':', 1)::bigint ELSE 0 END,
            operation_, pg_current_xact_id()::text::bigint, clock_timestamp()
        );
    END IF;
    RETURN NULL;
END $$;

-- name: stamp_trigger
-- Stamp before the row is written, under its lock.
CREATE TRIGGER rowrace_stamp BEFORE INSERT OR UPDATE OR DELETE ON {schema}.{relation}
FOR EACH ROW EXECUTE FUNCTION {schema}.stamp();

-- name: record_trigger
-- Record after it, as it was written.
CREATE TRIGGER rowrace_record AFTER INSERT OR UPDATE OR DELETE ON {schema}.{relation}
FOR EACH ROW EXECUTE FUNCTION {schema}.record();
