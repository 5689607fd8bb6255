"""What functions do besides computing a value."""

from __future__ import annotations

from typing import Final

#: Advisory locks: whether others may share it.
ADVISORY_LOCKS: Final = {
    "pg_advisory_lock": False,
    "pg_advisory_xact_lock": False,
    "pg_try_advisory_lock": False,
    "pg_try_advisory_xact_lock": False,
    "pg_advisory_lock_shared": True,
    "pg_advisory_xact_lock_shared": True,
    "pg_try_advisory_lock_shared": True,
    "pg_try_advisory_xact_lock_shared": True,
}
ADVISORY_UNLOCKS: Final = frozenset({"pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all"})
#: They change the sequence that their first argument names.
SEQUENCES: Final = frozenset({"nextval", "setval"})

#: Beginnings of built-in families that only compute.
_FAMILIES: Final = {
    "postgres": (
        *("json_", "jsonb_", "array_", "regexp_", "range_", "inet_"),
        *("pg_column_", "pg_get_", "pg_relation_", "pg_table_", "pg_snapshot_"),
    ),
    "sqlite": ("json_", "jsonb_", "rowrace_", "pragma_"),
}

#: Built-in functions that touch nothing others could see.
_POSTGRES = """
    abbrev abs acos age all any any_value ascii asin atan atan2 avg bit_and bit_count bit_length bit_or
    bit_xor bool bool_and bool_or btrim cardinality cbrt ceil ceiling char_length character_length chr
    clock_timestamp coalesce col_description concat concat_ws corr cos cosh count crypt cume_dist
    current_database current_role current_schema current_schemas current_setting current_user currval date
    date_bin date_part date_trunc daterange decode degrees dense_rank digest div encode erf every exists exp
    extract factorial family first_value float4 float8 floor format gcd gen_random_uuid gen_salt
    generate_series generate_subscripts get_bit get_byte greatest has_table_privilege hashint4 hashint8
    hashtext hashtextextended host hostmask ifnull inet_server_addr initcap int2 int4 int4multirange int4range
    int8 int8multirange int8range isempty isfinite justify_days justify_hours justify_interval lag last_value
    lastval lcm lead least left length ln localtime localtimestamp log log10 lower lower_inc lower_inf lpad
    ltrim make_date make_interval make_time make_timestamp make_timestamptz masklen max md5 min min_scale mod
    mode netmask network nextafter normalize now nth_value ntile nullif num_nonnulls num_nulls numeric
    numrange obj_description octet_length oidvectortypes overlay percent_rank percentile_cont percentile_disc
    pg_backend_pid pg_current_xact_id pg_current_xact_id_if_assigned pg_is_in_recovery pg_notify
    pg_postmaster_start_time pg_size_pretty pg_sleep pg_sleep_for pg_sleep_until pg_typeof phraseto_tsquery pi
    plainto_tsquery position power quote_ident quote_literal quote_nullable radians random random_normal rank
    repeat replace reverse right round row row_number row_to_json rpad rtrim scale session_user set_bit
    set_byte set_config setseed sha224 sha256 sha384 sha512 shobj_description sign sin sinh some split_part
    sqrt starts_with statement_timestamp stddev string_agg string_to_array string_to_table strpos substr
    substring sum tan tanh text timeofday timestamptz to_char to_date to_hex to_json to_jsonb to_number
    to_regclass to_timestamp to_tsquery to_tsvector transaction_timestamp translate trim_array trim_scale
    trunc ts_headline ts_rank tsrange tstzrange txid_current txid_current_if_assigned txid_snapshot_xmax
    txid_snapshot_xmin unistr unnest upper upper_inc upper_inf uuidv4 uuidv7 varchar variance version
    websearch_to_tsquery width_bucket xmin xpath
"""
_SQLITE = """
    abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling changes char coalesce concat concat_ws cos
    cosh count cume_dist current_date current_time current_timestamp date datetime degrees dense_rank exp
    first_value floor format generate_series glob group_concat hex if ifnull iif instr json julianday lag
    last_insert_rowid last_value lead length like likelihood likely ln log log10 log2 lower ltrim max min mod
    nth_value ntile nullif octet_length percent_rank pi pow power printf quote radians raise random randomblob
    rank replace round row_number rtrim sign sin sinh soundex sqlite_source_id sqlite_version sqrt strftime
    string_agg substr substring sum tan tanh time timediff total total_changes trim trunc typeof unhex unicode
    unixepoch unlikely upper zeroblob
"""
_HARMLESS: Final = {"postgres": frozenset(_POSTGRES.split()), "sqlite": frozenset(_SQLITE.split())}

#: System relations that say what changes without a COMMIT, or with other tables.
LIVE: Final = frozenset({"pg_locks", "pg_prepared_xacts", "pg_sequences", "sqlite_sequence"})
#: Schemas of the system's own tables.
SYSTEM: Final = frozenset({"pg_catalog", "information_schema"})
#: Beginnings of the names of the system's own tables.
SYSTEM_NAMES: Final = {"postgres": "pg_", "sqlite": "sqlite_"}


def harmless(name: str, dialect: str) -> bool:
    """Say whether a function only computes, as far as others can see."""
    return name in _HARMLESS[dialect] or name.startswith(_FAMILIES[dialect])
