"""What a statement may do: an allow-list, asked by SQLite while it compiles the statement.

A read-only connection is not enough: ATTACH creates files, temporary tables shadow real ones, and
PRAGMA changes what LIKE means for everything that runs afterwards.
"""

import sqlite3

from slmsql.sql.tokens import meaningful

# Everything SQLite documents for queries. Left out on purpose: load_extension, fts3_tokenizer
# (a pointer into the process), sqlite_log, rtreecheck and optimize (run SQL of their own).
DOCUMENTED = """
    abs changes char coalesce concat concat_ws format glob hex ifnull iif if instr
    last_insert_rowid length like likelihood likely lower ltrim match max min nullif
    octet_length printf quote random randomblob regexp replace round rtrim sign soundex
    sqlite_version substr substring total_changes trim typeof unhex unicode unistr unistr_quote
    unlikely upper zeroblob
    acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10
    log2 mod pi pow power radians sin sinh sqrt tan tanh trunc
    avg count group_concat string_agg sum total median percentile percentile_cont percentile_disc
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank
    row_number
    current_date current_time current_timestamp date datetime julianday strftime time timediff
    unixepoch
    -> ->> json json_array json_array_length json_error_position json_extract json_group_array
    json_group_object json_insert json_object json_patch json_pretty json_quote json_remove
    json_replace json_set json_type json_valid jsonb jsonb_array jsonb_extract jsonb_group_array
    jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set
    subtype bm25 highlight matchinfo offsets snippet rtreedepth rtreenode
"""
FUNCTIONS = frozenset(DOCUMENTED.split())
# Tables that exist in every database without being part of it.
INTERNAL = frozenset({"dbstat", "bytecode", "tables_used"})
CODES: dict[int, str] = {
    sqlite3.SQLITE_INSERT: "write",
    sqlite3.SQLITE_UPDATE: "write",
    sqlite3.SQLITE_DELETE: "write",
    sqlite3.SQLITE_ATTACH: "attach",
    sqlite3.SQLITE_DETACH: "attach",
    sqlite3.SQLITE_PRAGMA: "pragma",
    sqlite3.SQLITE_TRANSACTION: "transaction",
    sqlite3.SQLITE_SAVEPOINT: "transaction",
}
COMMANDS: dict[str, str] = {
    **dict.fromkeys(("INSERT", "UPDATE", "DELETE", "REPLACE"), "write"),
    **dict.fromkeys(("CREATE", "DROP", "ALTER", "REINDEX", "ANALYZE", "VACUUM"), "schema change"),
    **dict.fromkeys(("ATTACH", "DETACH"), "attach"),
    **dict.fromkeys(("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"), "transaction"),
    "PRAGMA": "pragma",
    "EXPLAIN": "explain",
}
CLOCKS = {"current_date", "current_time", "current_timestamp"}
DATES = {"date": 0, "time": 0, "datetime": 0, "julianday": 0, "unixepoch": 0, "strftime": 1}
STATE = {"random", "randomblob", "changes", "total_changes", "last_insert_rowid"}


class Authority:
    """Authorizer of one connection; remembers why it refused and what functions were used."""

    def __init__(self) -> None:
        self.refused: str | None = None
        self.functions: set[str] = set()

    def forget(self) -> None:
        """Before each statement."""
        self.refused = None
        self.functions.clear()

    def __call__(
        self, code: int, first: str | None, second: str | None, _db: str | None, _by: str | None
    ) -> int:
        if code == sqlite3.SQLITE_READ:
            name = first or ""
            if not name.startswith(("sqlite_", "pragma_")) and name not in INTERNAL:
                return sqlite3.SQLITE_OK
            self.refused = "schema table"
            return sqlite3.SQLITE_DENY
        if code == sqlite3.SQLITE_SELECT or code == sqlite3.SQLITE_RECURSIVE:
            return sqlite3.SQLITE_OK
        if code == sqlite3.SQLITE_FUNCTION:
            name = (second or "").lower()
            if name in FUNCTIONS:
                self.functions.add(name)
                return sqlite3.SQLITE_OK
            self.refused = "forbidden function"
            return sqlite3.SQLITE_DENY
        if code == sqlite3.SQLITE_PRAGMA and first == "data_version":  # FTS5 asks itself
            return sqlite3.SQLITE_OK
        # A virtual table that declares itself asks to insert into the schema.
        internal = (first or "").startswith("sqlite_")
        self.refused = "schema table" if internal else CODES.get(code, "schema change")
        return sqlite3.SQLITE_DENY


def is_volatile(sql: str, functions: set[str]) -> bool:
    """Whether a statement that uses these functions may give something else when run again."""
    if functions & STATE or functions & CLOCKS:
        return True
    dates = functions & DATES.keys()
    if not dates:
        return False
    parts = [text.lower() for _, text in meaningful(sql)]
    if "'now'" in parts or '"now"' in parts or not dates <= set(parts):  # the last: in a view
        return True
    return any(
        part in dates and _arguments(parts[index + 1 :]) <= DATES[part]
        for index, part in enumerate(parts)
    )


def _arguments(parts: list[str]) -> int:
    """How many arguments a call has, given what follows the name; many where it is no call."""
    if not parts or parts[0] != "(":
        return 99
    if parts[1:2] == [")"]:
        return 0
    depth = 0
    count = 1
    for part in parts:
        depth += (part == "(") - (part == ")")
        count += part == "," and depth == 1
        if depth == 0:
            break
    return count
