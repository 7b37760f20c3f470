"""Spider's own view of a query: its exact-set match and its four levels of difficulty.

Both are defined by a small grammar (Yu et al., 2018): one FROM clause of joins, no column aliases,
no outer joins, no parentheses around conditions. A prediction that this grammar cannot read counts
as no match, however right it is; that is the metric, and the reason to report it beside EX only.
"""

from slmsql.spider.catalog import Catalog, read_catalog, read_foreign_keys
from slmsql.spider.exact import same_sets
from slmsql.spider.grammar import NotInGrammar, Query, read_query
from slmsql.spider.hardness import hardness
from slmsql.spider.levels import Catalogs, with_levels

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
