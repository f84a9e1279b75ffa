"""A name for a cluster of messages: the words that are more its own than others'.

Words are compared by the z-score of their log odds under an informative Dirichlet prior, the words of all messages
(Monroe, Colaresi and Quinn 2008, "Fightin' Words: Lexical Feature Selection and Evaluation for Identifying the Content
of Political Conflict", equations 16 to 22).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence

from encoders.tokenizer import tokenize

PRIOR_WORDS = 100.0  # how many words the prior is worth
WORDS = 2  # in a name


def words_of(text: str, language: str) -> list[str]:
    """The words of a text in lower case, without signs and numbers."""
    return [token.text.lower() for token in tokenize(text, language).tokens if token.text.isalpha()]


def characteristic(own: Counter[str], everything: Counter[str]) -> list[str]:
    """The words of a cluster, the most characteristic first; `everything` counts its words too."""
    whole, mine = sum(everything.values()), sum(own.values())

    def z(word: str) -> float:
        prior = PRIOR_WORDS * everything[word] / whole
        other = everything[word] - own[word]
        inside = _log_odds(own[word] + prior, mine + PRIOR_WORDS)
        outside = _log_odds(other + prior, whole - mine + PRIOR_WORDS)
        return (inside - outside) / math.sqrt(1 / (own[word] + prior) + 1 / (other + prior))

    return sorted(own, key=lambda word: (-z(word), word))


def name_for(texts: Sequence[str], everything: Counter[str], language: str, taken: Collection[str]) -> str:
    """A name that is not taken: the cluster's most characteristic words, in the order they are usually said in."""
    spoken = [words_of(text, language) for text in texts]
    own = Counter(word for words in spoken for word in words)
    best = characteristic(own, everything)[:WORDS]
    places = {word: [w.index(word) / len(w) for w in spoken if word in w] for word in best}
    ordered = sorted(best, key=lambda word: sum(places[word]) / len(places[word]))
    name = "_".join(ordered) or "new_intent"
    if name not in taken:
        return name
    return next(f"{name}_{number}" for number in range(2, len(taken) + 3) if f"{name}_{number}" not in taken)


def _log_odds(count: float, total: float) -> float:
    return math.log(count / max(total - count, 1e-9))
