"""Keywords and functions of SQLite: what may follow what."""

MANY = 99

# Keywords with which an operand begins, wherever one may stand.
OPERANDS = frozenset(
    [
        "not",
        "case",
        "cast",
        "exists",
        "null",
        "true",
        "false",
        "current_date",
        "current_time",
        "current_timestamp",
    ]
)
JOINS = frozenset({"join", "natural", "inner", "cross", "left"})
COMPOUNDS = frozenset({"union", "intersect", "except"})
# Keywords after an operand that go on with the expression.
BINARY = frozenset(
    ["and", "or", "is", "not", "like", "glob", "between", "in", "isnull", "notnull", "collate"]
)

_JOIN_WORDS = {
    "natural": "join inner cross left",
    "inner": "join",
    "cross": "join",
    "left": "outer join",
    "outer": "join",
}
_COMPOUND_WORDS = {
    "union": "all select",
    "union all": "select",
    "intersect": "select",
    "except": "select",
}
_FRAME_WORDS = {
    "rows": "between unbounded current",
    "range": "between unbounded current",
    "frame between": "unbounded current",
    "range between": "unbounded current",
    "range and": "unbounded current",
    "frame and": "unbounded current",
    "frame start": "preceding",
    "frame from": "preceding",
    "range from": "preceding",
    "frame to": "following",
    "current": "row",
    "current from": "row",
    "range current": "row",
    "framed from": "and",
    "ranged from": "and",
}
# Words of which one must follow.
FOLLOWERS = {
    word: frozenset(following.split())
    for word, following in {
        **_JOIN_WORDS,
        **_COMPOUND_WORDS,
        **_FRAME_WORDS,
        "group": "by",
        "order": "by",
        "partition": "by",
        "not after operand": "like glob between in null",
        "nulls": "first last",
        "collate": "nocase binary rtrim",
        "row": "in not",
        "not after row": "in",
        "cte": "select",
        "cte name": "as",
        "columns": "as",
    }.items()
}
# The words of a window's frame, by where they stand, and where they lead.
FRAME_STEPS = {
    ("rows", "between"): "frame between",
    ("rows", "unbounded"): "frame start",
    ("rows", "current"): "current",
    ("frame between", "unbounded"): "frame from",
    ("frame between", "current"): "current from",
    ("frame and", "unbounded"): "frame to",
    ("frame and", "current"): "current",
    ("frame start", "preceding"): "framed",
    ("frame from", "preceding"): "framed from",
    ("frame to", "following"): "framed",
    ("current", "row"): "framed",
    ("current from", "row"): "framed from",
    ("framed from", "and"): "frame and",
    # RANGE takes numbers only with one ORDER BY, so that it never takes any here.
    ("range", "between"): "range between",
    ("range", "unbounded"): "frame start",
    ("range", "current"): "current",
    ("range between", "unbounded"): "range from",
    ("range between", "current"): "range current",
    ("range from", "preceding"): "ranged from",
    ("range current", "row"): "ranged from",
    ("ranged from", "and"): "range and",
    ("range and", "unbounded"): "frame to",
    ("range and", "current"): "current",
}
FRAME_NUMBERS = {"rows": "frame start", "frame between": "frame from", "frame and": "frame to"}

IN_FROM = JOINS | {"on", "using"}
AFTER_FROM = frozenset({"where", "group", "order", "limit"}) | COMPOUNDS
_SOURCES = JOINS | AFTER_FROM
# Keywords after a complete clause.
AFTER_CLAUSES = {
    "select": frozenset({"from", "order", "limit"}) | COMPOUNDS,
    **dict.fromkeys(("from", "join", "natural", "on", "using"), _SOURCES),
    "where": frozenset({"group", "order", "limit"}) | COMPOUNDS,
    "group": frozenset({"having", "order", "limit"}) | COMPOUNDS,
    "having": frozenset({"order", "limit"}) | COMPOUNDS,
    "order": frozenset({"limit"}),
}
# Keywords after an operand within parentheses and CASE.
AFTER_OPERANDS = {
    "case": frozenset({"when"}),
    "when": frozenset({"then"}),
    "then": frozenset({"when", "else", "end"}),
    "else": frozenset({"end"}),
    "between": frozenset({"and"}),
    "cast": frozenset({"as"}),
    "over": frozenset({"order", "rows", "range"}),
    "over order": frozenset({"asc", "desc", "nulls", "rows", "range"}),
}
TYPES = frozenset(
    [
        "integer",
        "int",
        "bigint",
        "smallint",
        "real",
        "float",
        "double",
        "numeric",
        "decimal",
        "text",
        "char",
        "varchar",
        "nvarchar",
        "date",
        "datetime",
        "timestamp",
        "boolean",
        "blob",
        "signed",
        "unsigned",
    ]
)

AGGREGATES = {
    **dict.fromkeys(["count", "sum", "avg", "total", "min", "max"], (1, 1)),
    "group_concat": (1, 2),
}
RANKINGS = {
    **dict.fromkeys(["row_number", "rank", "dense_rank", "percent_rank", "cume_dist"], (0, 0)),
    **dict.fromkeys(["ntile", "first_value", "last_value"], (1, 1)),
    **dict.fromkeys(["lag", "lead"], (1, 3)),
}
# The fewest and most arguments.
FUNCTIONS = {
    "random": (0, 0),
    "pi": (0, 0),
    **dict.fromkeys(
        [
            "abs",
            "hex",
            "length",
            "lower",
            "upper",
            "typeof",
            "unicode",
            "quote",
            "sign",
            "floor",
            "ceil",
            "ceiling",
            "sqrt",
            "exp",
            "ln",
            "log10",
            "log2",
            "radians",
            "degrees",
            "sin",
            "cos",
            "tan",
            "asin",
            "acos",
            "atan",
            "sinh",
            "cosh",
            "tanh",
            "soundex",
            "json",
            "json_valid",
        ],
        (1, 1),
    ),
    **dict.fromkeys(
        ["round", "trim", "ltrim", "rtrim", "log", "json_type", "json_array_length"], (1, 2)
    ),
    **dict.fromkeys(
        ["ifnull", "nullif", "instr", "glob", "like", "power", "pow", "mod", "atan2"], (2, 2)
    ),
    **dict.fromkeys(["substr", "substring"], (2, 3)),
    **dict.fromkeys(["replace", "iif"], (3, 3)),
    "coalesce": (2, MANY),
    **dict.fromkeys(["char", "printf", "format", "json_array"], (1, MANY)),
    "json_extract": (2, MANY),
    **dict.fromkeys(["date", "time", "datetime", "julianday", "unixepoch"], (0, MANY)),
    "strftime": (1, MANY),
}


def openers(previous: str, parens: str) -> frozenset[str]:
    """Keywords that may come first where an operand is expected.

    Args:
        previous: what came before: a keyword or a mark.
        parens: the kind of the innermost parentheses; empty if there are none.
    """
    if previous == "(":
        return OPENERS.get(parens, frozenset())
    return OPENERS.get(f"after {previous}", frozenset())


_QUERY = frozenset({"select", "with"})
_BEFORE_QUERIES = ("group", "in", "exists", "derived", "cte", "rows", "row value", "after start")
OPENERS = {
    **dict.fromkeys(_BEFORE_QUERIES, _QUERY),
    "aggregate": frozenset({"distinct"}),
    "over": frozenset({"partition", "order", "rows", "range"}),
    "filter": frozenset({"where"}),
    "after select": frozenset({"distinct", "all"}),
    "after case": frozenset({"when"}),
}
# Parentheses in which a keyword must come first.
ONLY_OPENERS = frozenset({"derived", "exists", "cte", "over", "filter", "rows"})

KEYWORDS = frozenset().union(
    OPERANDS,
    BINARY,
    TYPES,
    *FOLLOWERS.values(),
    *AFTER_CLAUSES.values(),
    *AFTER_OPERANDS.values(),
    *OPENERS.values(),
    ("as", "on", "using", "by", "over", "filter", "desc", "asc", "offset", "recursive"),
)
