"""Spider's exact-set match and its four levels of difficulty.

    same_sets("SELECT age, name FROM singer", "SELECT name, age FROM singer", catalog)  # True
    hardness("SELECT name FROM singer", catalog)  # "easy"

In: queries and the names in their database. Out: matches and levels. Imports `slmsql.sql`,
`slmsql.execution` and `slmsql.questions`.

Both are defined by a small grammar (Yu et al., 2018): one FROM clause of joins, no column aliases,
no outer joins, no parentheses around conditions. A prediction outside this grammar does not match,
even if its result is right. Therefore report exact-set match only together with EX.
"""

from slmsql.evaluation.spider.catalog import Catalog, read_catalog, read_foreign_keys
from slmsql.evaluation.spider.exact import same_sets
from slmsql.evaluation.spider.grammar import NotInGrammar, Query, read_query
from slmsql.evaluation.spider.hardness import hardness
from slmsql.evaluation.spider.levels import Catalogs, with_levels

__all__ = [
    "Catalog",
    "Catalogs",
    "NotInGrammar",
    "Query",
    "hardness",
    "read_catalog",
    "read_foreign_keys",
    "read_query",
    "same_sets",
    "with_levels",
]
