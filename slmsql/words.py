"""Words of a text, normalised for comparison, and an estimate of its tokens."""

import re
import unicodedata

WORD = re.compile(r"[^\W_]+")
# Estimate of tokens without a tokenizer: four letters, one digit or one sign each. Byte-level BPE
# needs about that or less, so a text cut by it stays within its budget for the models in use.
TOKEN_ESTIMATE = re.compile(r"[^\W\d_]{1,4}|\d|[^\w\s]|_")
POSSESSIVE = re.compile(r"['’]s\b")
STOP = """
    a about above after all also am an and any are as at be been before being below between both
    but by can could did do does doing down each every few find for from further get give had has
    have having he her here hers him his how i if in into is it its itself just list many may me
    more most much my name no nor not number of off on once one only or other our out over own
    please refer refers same she show so some such than that the their them then there these they
    this those through to too under until up very was we were what when where which while who whom
    whose why will with would you your
"""
STOP_WORDS = frozenset(STOP.split())


def words(text: str) -> list[str]:
    """The words of a text: lower case, without accents, in the singular where that is plain."""
    plain = POSSESSIVE.sub("", text.lower())
    if not plain.isascii():
        plain = "".join(c for c in unicodedata.normalize("NFKD", plain) if not combining(c))
    return [singular(word) for word in WORD.findall(plain)]


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has."""
    return len(TOKEN_ESTIMATE.findall(text))


def combining(character: str) -> bool:
    """Whether it is an accent or the like, which NFKD has split from its letter."""
    return unicodedata.combining(character) != 0


def singular(word: str) -> str:
    """A word without its plural ending; wrong for some words, but always in the same way."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
