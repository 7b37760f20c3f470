"""Statements that want to write, read files, fill the memory or never end, for every engine.

`TEMPLATES` are for SQLite, the other lists for one engine each. `statements` fills in numbers,
names of tables and places, writes words in other letters and with other gaps, and damages every
fourth text a little.
"""

import random
import re
from collections.abc import Sequence
from pathlib import Path

from slmsql.sql.dialect import Dialect

COUNTING = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT {} FROM c"
TEMPLATES = [
    "INSERT INTO person VALUES ({n}, 'x')",
    "UPDATE movie SET title = '{n}' WHERE 1 RETURNING *",
    "DELETE FROM {table}",
    "REPLACE INTO {table} SELECT * FROM {table}",
    "WITH c AS (SELECT {n}) DELETE FROM {table} WHERE 1",
    "WITH c AS (SELECT {n}) UPDATE {table} SET rowid = 1",
    "CREATE TABLE t{n} AS SELECT * FROM {table}",
    "CREATE TEMP TABLE {table} AS SELECT {n}",
    "CREATE TEMP VIEW {table} AS SELECT {n}",
    "CREATE TRIGGER t{n} AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END",
    "CREATE VIRTUAL TABLE v{n} USING fts5(a)",
    "CREATE INDEX i{n} ON {table} (1)",
    "DROP TABLE {table}",
    "DROP TABLE IF EXISTS {table}; SELECT {n}",
    "ALTER TABLE {table} RENAME TO t{n}",
    "ALTER TABLE {table} ADD COLUMN c{n}",
    "ATTACH '{folder}/a{n}.sqlite' AS a{n}",
    "ATTACH 'file:{folder}/b{n}.sqlite?mode=rwc' AS b{n}",
    "ATTACH ':memory:' AS m{n}",
    "DETACH main",
    "VACUUM INTO '{folder}/v{n}.sqlite'",
    "VACUUM",
    "REINDEX; -- {n}",
    "ANALYZE {table}",
    "PRAGMA writable_schema = {n}",
    "PRAGMA journal_mode = WAL -- {n}",
    "PRAGMA query_only = OFF; DELETE FROM {table}",
    "PRAGMA case_sensitive_like = {n}",
    "PRAGMA hard_heap_limit = 0 -- {n}",
    "PRAGMA temp_store_directory = '{folder}/{n}'",
    "SELECT * FROM pragma_journal_mode('wal') -- {n}",
    "SELECT * FROM pragma_database_list -- {n}",
    "SELECT * FROM sqlite_master WHERE {n}",
    "SELECT * FROM sqlite_temp_schema WHERE {n}",
    "SELECT * FROM dbstat -- {n}",
    "SELECT load_extension('{folder}/x{n}.so')",
    "SELECT load_extension('libc.so.6', 'system')",
    "SELECT fts3_tokenizer('x{n}', x'4141414141414141')",
    "SELECT writefile('{folder}/w{n}', 'x'), readfile('/etc/passwd')",
    "SELECT edit('{n}')",
    "BEGIN EXCLUSIVE -- {n}",
    "SAVEPOINT s{n}",
    "ROLLBACK; COMMIT; END",
    "EXPLAIN DELETE FROM {table}",
    COUNTING.format("count(*) + {n}"),
    COUNTING.format("x || '{n}'"),
    COUNTING.format("group_concat(x || '{n}')"),
    COUNTING.format("json_group_array(hex(zeroblob(x + {n})))"),
    COUNTING.format("sum(length(randomblob(1000 * x + {n})))"),
    COUNTING.format("hex(zeroblob(50000)) || {n}"),
    "SELECT count(*) + {n} FROM person a, person b, person c, movie d",
    "SELECT a.person_name || {n} FROM person a, person b ORDER BY 1",
    "SELECT DISTINCT a.person_name, b.person_name, {n} FROM person a, person b",
    "SELECT count(*) + {n} FROM movie a, movie b WHERE a.title LIKE '%' || b.title || '%'",
    "SELECT max({n}, a.title GLOB '*' || b.title || '*') FROM movie a, movie b GROUP BY a.title",
    "SELECT randomblob(1000000000 + {n})",
    "SELECT zeroblob(2147483647 - {n})",
    "SELECT hex(randomblob(50000 + {n}))",
    "SELECT printf('%.{n}00000000f', 1)",
    "SELECT printf('%*d', 2000000000 + {n}, 1)",
    "SELECT printf('%s%s%s', hex(zeroblob(100000)), hex(zeroblob(100000)), {n})",
    "SELECT replace(hex(zeroblob(1000 + {n})), '0', hex(zeroblob(5000)))",
    "SELECT group_concat(hex(randomblob(100 + {n})), {n}) FROM person",
    "SELECT quote(zeroblob(100000)) || {n} FROM person LIMIT 50",
    "SELECT 'a' LIKE '{percents}' || {n}",
    "SELECT hex(zeroblob(100000)) LIKE '{percents}b{n}'",
    "SELECT hex(zeroblob(100000)) GLOB '{stars}[^0]{n}'",
    "SELECT {open}{n}{close}",
    "SELECT {nots}{n}",
    "SELECT " + "CASE WHEN {n} THEN " * 300 + "1" + " END" * 300,
    "SELECT {terms}",
    "SELECT {n} IN ({list})",
    "SELECT 1 WHERE {ands}",
    "{union}",
    "SELECT * FROM {joins}",
    "SELECT {n}; DROP TABLE {table}",
    "SELECT {n}; SELECT 2; SELECT 3",
    "SELECT {n} /* open comment ; DROP TABLE {table}",
    "-- {n}\nDROP TABLE {table}",
    "/* {n} */ /**/ PRAGMA user_version = 7",
    ";;; DELETE FROM {table} -- {n}",
    "\ufeffDELETE FROM {table} -- {n}",
    "SELECT {n}\0; DROP TABLE {table}",
    "SELECT '\udcff{n}\ud800'",
    "SELECT CAST(x'ff{n:04x}c328' AS TEXT)",
    "SELECT \"{n}",
    "SELECT '{n}",
    "SELECT `{n}",
    "SELECT json_extract('{json}', '$.a')",
    "SELECT count(*) + {n} FROM json_tree('{json}')",
    "SELECT * FROM json_each(json_array({list}))",
    "SELECT ?{n}, :a, @b, $c",
    "SELECT strftime('%{n}Y', 'now', '{n} years', 'localtime')",
    "SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN {n} PRECEDING AND CURRENT ROW) FROM (SELECT "
    "person_id x FROM person)",
    "SELECT zeroblob(200000), zeroblob(200000), zeroblob(200000), {n}, zeroblob(200000)",
]  # fmt: skip
POSTGRES = [
    "COPY album TO '/tmp/slmsql-out.csv'",
    "COPY album FROM PROGRAM 'touch /tmp/slmsql-program'",
    "COPY (SELECT 1) TO PROGRAM 'touch /tmp/slmsql-program'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT * FROM pg_stat_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/slmsql-lo')",
    "SELECT lo_create(1)",
    "SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t (i int)",
    "SELECT pg_sleep(100)",
    "SELECT pg_sleep_for('1 hour')",
    'SELECT "pg_sleep"(100)',
    "SELECT pg_catalog.pg_sleep(100)",
    'SELECT U&"pg\\005fsleep"(100)',
    "SELECT E'\\'' || pg_sleep(100) || ''",
    "SET ROLE owner",
    "RESET ROLE",
    "SET default_transaction_read_only = off",
    "SELECT set_config('role', 'owner', false)",
    "SELECT set_config('statement_timeout', '0', false)",
    "DO $$ BEGIN PERFORM pg_sleep(100); END $$",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock(1)",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
    "SELECT pg_cancel_backend(1)",
    "SELECT pg_reload_conf()",
    "SELECT pg_switch_wal()",
    "SELECT pg_notify('a', 'b')",
    "SELECT nextval('numbers')",
    "SELECT setval('numbers', 7)",
    "SELECT query_to_xml('SELECT pg_sleep(100)', true, true, '')",
    "SELECT table_to_xml('artist', true, true, '')",
    "SELECT ts_stat('SELECT pg_sleep(100)')",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_catalog.pg_shadow",
    "SELECT * FROM information_schema.tables",
    "SELECT 1; DELETE FROM album",
    "INSERT INTO artist VALUES (3, 'x')",
    "WITH gone AS (DELETE FROM album RETURNING *) SELECT * FROM gone",
    "WITH new AS (INSERT INTO artist VALUES (9, 'x') RETURNING *) SELECT * FROM new",
    "SELECT * INTO copied FROM artist",
    "SELECT * FROM artist FOR UPDATE",
    "UPDATE artist SET name = 'x'",
    "DELETE FROM artist",
    "TRUNCATE album",
    "DROP TABLE album",
    "CREATE TABLE t (i int)",
    "CREATE TEMP TABLE artist AS SELECT 1",
    "CREATE EXTENSION dblink",
    "ALTER SYSTEM SET fsync = off",
    "VACUUM",
    "ANALYZE",
    "LISTEN a",
    "NOTIFY a",
    "LOCK TABLE artist",
    "PREPARE p AS SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "CALL nothing()",
    "BEGIN",
    "COMMIT",
    "SHOW data_directory",
    "TABLE artist",
    "SELECT * FROM crosstab('SELECT pg_sleep(100)') AS t (a text, b text)",
    "SELECT * FROM connectby('artist', 'id', 'id', '1', 0) AS t (a int, b int, c int)",
    "SELECT ts_rewrite('a'::tsquery, 'SELECT pg_sleep(100)')",
    "SELECT txid_current()",
    "SELECT pg_current_xact_id()",
    "SELECT * FROM pg_stat_get_activity(NULL)",
    "SELECT current_setting('data_directory')",
    "SELECT * FROM pg_toast.pg_toast_1260",
    "SELECT lo_get(1)",
    "SELECT a.pg_restore_relation_stats FROM artist a",
    "SELECT pg_export_snapshot()",
]
MYSQL = [
    "SELECT * FROM album INTO OUTFILE '/tmp/slmsql-out.csv'",
    "SELECT * FROM album INTO DUMPFILE '/tmp/slmsql-out.csv'",
    "SELECT load_file('/etc/passwd')",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE album",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE album",
    "SELECT sleep(100)",
    "SELECT SLEEP (100)",
    "SELECT sleep/**/(100)",
    "SELECT `sleep`(100)",
    "SELECT 1 /*!50000 , sleep(100) */",
    "SELECT 1 /*M!100000 , 2 */",
    "SELECT '\\'' , sleep(100) , ''",
    "SELECT benchmark(1000000000, md5('x'))",
    "SELECT get_lock('a', 100)",
    "SELECT release_all_locks()",
    "SELECT master_pos_wait('a', 1, 100)",
    "SELECT * FROM mysql.user",
    "SELECT * FROM `mysql`.`user`",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM performance_schema.threads",
    "SELECT 1 INTO @a",
    "SELECT 1; DELETE FROM album",
    "SELECT * FROM artist FOR UPDATE",
    "SELECT * FROM artist LOCK IN SHARE MODE",
    "INSERT INTO artist VALUES (3, 'x')",
    "UPDATE artist SET name = 'x'",
    "DELETE FROM artist",
    "REPLACE INTO artist VALUES (1, 'x')",
    "TRUNCATE album",
    "DROP TABLE album",
    "CREATE TABLE t (i int)",
    "CREATE TEMPORARY TABLE artist (i int)",
    "SET GLOBAL read_only = 1",
    "SET SESSION TRANSACTION READ WRITE",
    "SET max_statement_time = 0",
    "HANDLER artist OPEN",
    "DO sleep(100)",
    "CALL nothing()",
    "SHOW TABLES",
    "KILL 1",
    "FLUSH TABLES",
    "LOCK TABLES artist WRITE",
    "PREPARE p FROM 'SELECT 1'",
    "BEGIN",
    "USE mysql",
    "SELECT * FROM artist FOR/**/UPDATE",
    "SELECT * FROM artist LOCK/**/IN SHARE MODE",
    "SELECT user FROM mysql/**/.user",
    "SELECT user FROM mysql-- \n.user",
    "SELECT user FROM mysql#\n.`user`",
    "SELECT /*+ MAX_EXECUTION_TIME(0) */ 1",
    "SELECT * FROM artist PROCEDURE ANALYSE()",
    "SELECT LAST_INSERT_ID(55)",
    "SELECT NEXT VALUE FOR numbers",
    "SELECT KDF('a', 'b', 2147483647, 'pbkdf2_hmac', 512)",
]
DUCKDB = [  # what may not happen, and the status that says so
    "COPY album TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/out.parquet'",
    "ATTACH '{folder}/new.duckdb' AS n",
    "INSTALL httpfs",
    "LOAD httpfs",
    "EXPORT DATABASE '{folder}/export'",
    "IMPORT DATABASE '{folder}/export'",
    "CREATE TABLE t (i INTEGER)",
    "CREATE TEMP TABLE album AS SELECT 1 AS id",
    "CREATE MACRO lower(x) AS 'x'",
    "CREATE SECRET (TYPE s3)",
    "INSERT INTO artist VALUES (3, 'x')",
    "UPDATE artist SET name = 'x'",
    "DELETE FROM artist",
    "DROP TABLE album",
    "ALTER TABLE album ADD COLUMN x INTEGER",
    "VACUUM",
    "CHECKPOINT",
    "BEGIN",
    "SET threads = 8",
    "SET VARIABLE x = 1",
    "RESET lock_configuration",
    "PRAGMA enable_profiling",
    "CALL pragma_version()",
    "EXPLAIN ANALYZE SELECT 1",
    "PREPARE p AS SELECT 1",
    "USE memory",
    "SELECT 1; DELETE FROM artist",
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_text/**/('{secret}')",
    "SELECT * FROM \"read_text\" ('{secret}')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM read_duckdb('{folder}/shop.duckdb')",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_csv('https://example.org/x.csv')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('artist')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT * FROM checkpoint()",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT nextval('numbers')",
    "SELECT setseed(0.5)",
    "SELECT sleep_ms(100000)",
    "SELECT write_log('x')",
    "SELECT * FROM query\u00a0('SELECT 1')",
    "SELECT sleep_ms\u2007(100000)",
    "SELECT * FROM\u3000sqlite_master",
    "SELECT * FROM duckdb_settings\ufeff()",
    "SELECT current_setting('secret_directory')",
]


OWN = {
    Dialect.SQLITE: [],
    Dialect.POSTGRES: POSTGRES,
    Dialect.MYSQL: MYSQL,
    Dialect.DUCKDB: DUCKDB,
}
HEAVY = {  # what keeps a server busy: its time limit must end it
    Dialect.SQLITE: [],
    Dialect.POSTGRES: [
        "SELECT {n} + count(*) FROM generate_series(1, 1000000000)",
        "SELECT {n} + count(*) FROM {table} a, {table} b, {table} c",
        "SELECT string_agg(repeat('x', 1000), '') FROM generate_series(1, 100000000) WHERE {n} > 0",
        "SELECT i FROM generate_series(1, 1000000000) i ORDER BY random(), {n}",
        "SELECT regexp_count(repeat('a', 100000), '(a*)*(a*)*b{n}')",
        "SELECT repeat('x', 100000000) || {n}",
        "WITH RECURSIVE c AS (SELECT {n} AS n UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c",
    ],
    Dialect.MYSQL: [
        "SELECT {n} + count(*) FROM seq_1_to_1000000000 a, {table} b WHERE a.seq > 0",
        "SELECT {n} + count(*) FROM {table} a, {table} b, {table} c",
        "SELECT sha2(repeat('x', 1000000), 512), {n} FROM seq_1_to_100000000 ORDER BY 1",
        "SELECT seq FROM seq_1_to_100000000 ORDER BY rand({n})",
        "SELECT repeat('a', 100000) REGEXP '(a*)*(a*)*b{n}'",
        "SELECT concat(repeat('x', 10000000), {n})",
    ],
    Dialect.DUCKDB: [
        "SELECT {n} + count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range > 0",
        "SELECT {n} + count(*) FROM {table} a, {table} b, {table} c",
        "SELECT list(range + {n}) FROM range(1000000000)",
        "SELECT range FROM range(100000000) ORDER BY random() + {n}",
        "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000 + {n}))",
        "SELECT repeat('x', 10000000) || {n}",
    ],
}


def statements(
    count: int, dialect: Dialect, tables: Sequence[str], folder: Path, secret: Path, seed: int = 20
) -> list[str]:
    """Hostile statements, drawn by the seed: SQLite's, and twice as many of the engine's own.

    Args:
        count: how many.
        dialect: the engine that they attack.
        tables: names of tables in the attacked database.
        folder: where they try to write.
        secret: a file that they try to read.
    """
    chance = random.Random(seed)
    own = OWN[dialect]
    return [
        _statement(n, chance, own if own and n % 3 else TEMPLATES, dialect, tables, folder, secret)
        for n in range(count)
    ]


def _statement(
    n: int,
    chance: random.Random,
    templates: Sequence[str],
    dialect: Dialect,
    tables: Sequence[str],
    folder: Path,
    secret: Path,
) -> str:
    template = chance.choice(templates)
    if HEAVY[dialect] and n % 10 == 1:
        template = chance.choice(HEAVY[dialect])
    if dialect is not Dialect.SQLITE:
        template = _disguised(template, dialect, chance)
    sql = _filled(template, n, chance.randrange(10, 900), chance.choice(tables), folder, secret)
    return _damaged(sql, chance) if chance.random() < 0.25 else sql


def _disguised(template: str, dialect: Dialect, chance: random.Random) -> str:
    """Other letters and gaps that mean the same, outside of literals and quoted names."""
    gaps = [" ", " ", " ", "  ", "\t", "\n", "/**/", "-- \n", "\f"]
    gaps += ["\u00a0", "\ufeff"] if dialect is Dialect.DUCKDB else []

    def other(part: re.Match[str]) -> str:
        text = part[0]
        if text == " ":
            return chance.choice(gaps)
        return chance.choice((text, text.upper(), text.title())) if text[0].isalpha() else text

    return re.sub(r"""'[^']*'|"[^"]*"|`[^`]*`|\{\w+\}|\\?\w+|\s""", other, template)


def _filled(template: str, n: int, size: int, table: str, folder: Path, secret: Path) -> str:
    values = {
        "n": n,
        "folder": folder,
        "secret": secret,
        "table": table,
        "percents": "%a_" * (size // 3),
        "stars": "*[0-9]?" * (size // 8),
        "open": "(" * size,
        "close": ")" * size,
        "nots": "NOT " * size,
        "terms": " + ".join(["1"] * 3 * size),
        "list": ", ".join(map(str, range(size))),
        "ands": " AND ".join(["1"] * size),
        "union": " UNION ALL ".join(["SELECT 1"] * size),
        "joins": ", ".join(f"person p{i}" for i in range(size // 10)) or "person",
        "json": "[" * size + "]" * size,
    }
    return template.format(**values)


def _damaged(sql: str, chance: random.Random) -> str:
    characters = list(sql)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(characters))
        characters[place] = chance.choice(["", "'", '"', "(", ")", ";", "--", "/*", "\0", " ", "é"])
    return "".join(characters)
