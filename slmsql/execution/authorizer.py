"""What a statement may do: an allow-list that SQLite asks while it compiles the statement.

`SELECT name FROM singer` may run; `PRAGMA case_sensitive_like = on` may not. A read-only connection
would not be enough: ATTACH creates files, temporary tables hide real ones, and PRAGMA changes what
LIKE means for all later statements.
"""

import sqlite3

from slmsql.sql.tokens import meaningful

# All functions that SQLite documents for queries, except load_extension, fts3_tokenizer (it returns
# a pointer into the process), sqlite_log, rtreecheck and optimize (they run SQL of their own).
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
# Tables that SQLite offers in every database although they are not part of it.
INTERNAL = frozenset({"dbstat", "bytecode", "tables_used"})
# Why a statement is refused: by SQLite's code of the action, and by the statement's first word.
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
# What makes a result volatile. A function of DATES reads the clock if it has no more arguments than
# given here.
CLOCKS = {"current_date", "current_time", "current_timestamp"}
DATES = {"date": 0, "time": 0, "datetime": 0, "julianday": 0, "unixepoch": 0, "strftime": 1}
STATE = {"random", "randomblob", "changes", "total_changes", "last_insert_rowid"}


class Authorizer:
    """The authorizer of one connection.

    It records why it refused the current statement and which functions the statement uses.
    """

    def __init__(self) -> None:
        self.refused: str | None = None
        self.functions: set[str] = set()

    def reset(self) -> None:
        """Start a new statement."""
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
        if code == sqlite3.SQLITE_PRAGMA and first == "data_version":  # FTS5 uses it itself
            return sqlite3.SQLITE_OK
        # A virtual table that declares itself inserts into the schema.
        internal = (first or "").startswith("sqlite_")
        self.refused = "schema table" if internal else CODES.get(code, "schema change")
        return sqlite3.SQLITE_DENY


def is_volatile(sql: str, functions: set[str]) -> bool:
    """Whether a statement that uses these functions may give another result when run again."""
    if functions & STATE or functions & CLOCKS:
        return True
    dates = functions & DATES.keys()
    if not dates:
        return False
    parts = [text.lower() for _, text in meaningful(sql)]
    in_a_view = not dates <= set(parts)
    if "'now'" in parts or '"now"' in parts or in_a_view:
        return True
    return any(
        part in dates and _arguments(parts[index + 1 :]) <= DATES[part]
        for index, part in enumerate(parts)
    )


def _arguments(parts: list[str]) -> int:
    """Number of arguments of a call, from the tokens after its name; large if it is not a call."""
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
