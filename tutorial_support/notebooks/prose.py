"""Rules for text that people read, on any page: words, sentences, headings, spelling."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

SENTENCE_WORDS = 35
BANNED = re.compile(
    r"\b(simply|just|obviously|of course|easy|easily|trivial|trivially|basically|clearly)\b",
    re.IGNORECASE,
)
AMERICAN = re.compile(
    r"\b(behavior|color|favorite|gray|(?:anal|paral)yze|(?:author|emphas|initial|organ|recogn|"
    r"serial|synchron|visual)iz(?:e|ed|es|ing))\b",
    re.IGNORECASE,
)
OWN_WORDS = Path(__file__).with_name("words.txt")
_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`]*`|<[^>]+>|https?://\S+|\$[^$\n]+\$|^ {4,}\S.*$", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_EMPHASIS = re.compile(r"(?<!\w)[*_]+|[*_]+(?!\w)")
_BLOCK = re.compile(r"\n\s*\n|^\s*(?:[-*] |\d+\. |#+ |: )|\|", re.MULTILINE)
_END = re.compile(r"(?<=[.!?:;])[\"')]*\s+")
_WORD = re.compile(r"(?<![\w.])[^\W\d_]+(?:[\'\u2019][^\W\d_]+)*(?!\w)")


def plain(markdown: str) -> str:
    """The words of a page: without code, tags, addresses and the marks of emphasis."""
    text = _LINK.sub(r"\1", _FENCE.sub("\n\n", markdown))
    return _EMPHASIS.sub("", _CODE.sub(" x ", text))


def sentences(markdown: str) -> Iterator[str]:
    """The sentences of a page; an item of a list, a heading and a cell of a table end one too."""
    for block in _BLOCK.split(plain(markdown)):
        for sentence in _END.split(block):
            if words := " ".join(sentence.split()):
                yield words


def wording(markdown: str) -> Iterator[str]:
    """What is wrong with the words and sentences of a text."""
    text = plain(markdown)
    for word in BANNED.findall(text):
        yield f"'{word}' helps nobody who is stuck: leave it out"
    for word in AMERICAN.findall(text):
        yield f"'{word}' is spelled the American way: our pages are British"
    for word in misspelt(text):
        yield f"'{word}' is not in the dictionary: mend it, or add it to {OWN_WORDS.name}"
    for sentence in sentences(markdown):
        if (size := len(sentence.split())) > SENTENCE_WORDS:
            start = " ".join(sentence.split()[:6])
            yield f"'{start} ...' has {size} words; at most {SENTENCE_WORDS}: make it two sentences"


def headings(markdown: str) -> Iterator[str]:
    """What is wrong with the order of headings: one title, and no level left out."""
    found = re.findall(r"^(#+) +(.+)$", _FENCE.sub("", markdown), re.MULTILINE)
    level = 0
    for marks, title in found:
        if len(marks) > level + 1:
            yield f"the heading '{title}' leaves a level out: use {'#' * (level + 1)}"
        if len(marks) == 1 and level:
            yield f"'{title}' is a second title: use ##"
        level = len(marks)


def misspelt(text: str) -> list[str]:
    """Words that neither the dictionary nor our list knows. Capitalised ones may be names."""
    if find_spec("spellchecker") is None:  # a learner's environment: nobody writes there
        return []
    words = {_stem(word) for word in _WORD.findall(text) if word.islower()}
    return sorted(word for word in words if len(word) > 2 and not _known(word))


def _stem(word: str) -> str:
    return re.sub(r"[\'\u2019]s?$", "", word)


@cache
def _known(word: str) -> bool:
    forms = {word, word.removesuffix("s")}
    return bool(forms & _own_words() or forms & _dictionary())


@cache
def _own_words() -> frozenset[str]:
    return frozenset(OWN_WORDS.read_text("utf-8").split())


@cache
def _dictionary() -> frozenset[str]:
    from spellchecker import SpellChecker

    return frozenset(SpellChecker(language="en").word_frequency.words())
