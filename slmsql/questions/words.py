"""Words of a text, normalised for comparison, and an estimate of its tokens.

>>> words("The Singers' Cafés of Ann's cities")
['the', 'singer', 'cafe', 'of', 'ann', 'city']
"""

import re
import unicodedata
from functools import lru_cache

WORD = re.compile(r"[^\W_]+")
# A token for every four letters, every digit and every other sign. Byte-level BPE needs about as
# many or fewer, so a text cut by this estimate stays within its budget for the models in use.
TOKEN_ESTIMATE = re.compile(r"[^\W\d_]{1,4}|\d|[^\w\s]|_")
POSSESSIVE = re.compile(r"['’]s\b")
STOP_WORDS_TEXT = """
    a about above after all also am an and any are as at be been before being below between both
    but by can could did do does doing down each every few find for from further get give had has
    have having he her here hers him his how i if in into is it its itself just list many may me
    more most much my name no nor not number of off on once one only or other our out over own
    please refer refers same she show so some such than that the their them then there these they
    this those through to too under until up very was we were what when where which while who whom
    whose why will with would you your
"""
STOP_WORDS = frozenset(STOP_WORDS_TEXT.split())


def words(text: str) -> list[str]:
    """The words of a text: in lower case, without accents, in the singular.

    The time is linear in the length of the text, whatever its characters.
    """
    plain = POSSESSIVE.sub("", text.lower())
    if not plain.isascii():
        plain = "".join(map(_without_accents, plain))
    return [_singular(word) for word in WORD.findall(plain)]


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has."""
    return len(TOKEN_ESTIMATE.findall(text))


@lru_cache(maxsize=50_000)
def _without_accents(character: str) -> str:
    """A character's letters: "é" gives "e", "ﬁ" gives "fi", "ⅅ" gives "d", an accent nothing.

    Whole texts are not normalised at once: that takes quadratic time if accents follow each other.
    """
    letters = unicodedata.normalize("NFKD", character)
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).lower()


def _singular(word: str) -> str:
    """A word without its plural ending; wrong for some words, but always in the same way."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
