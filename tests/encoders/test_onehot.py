import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from encoders.onehot import OneHotEncoder
from encoders.tokenizer import tokenize

TEXTS = ["Book a book", "a telescope tour", "what is on tonight", "tour tonight tonight"]
UNSEEN = ["book a telescope tonight", "zzz", "", "tonightish"]


def test_sentences_are_scikit_learns_tfidf() -> None:
    encoder = OneHotEncoder().fit([tokenize(text) for text in TEXTS])
    ours = encoder.encode([tokenize(text) for text in UNSEEN]).sentence
    words = TfidfVectorizer(token_pattern=r"\w+", ngram_range=(1, 2), sublinear_tf=True).fit(TEXTS)
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True).fit(TEXTS)
    wanted = normalize(hstack([words.transform(UNSEEN), pieces.transform(UNSEEN)]))
    np.testing.assert_allclose(ours.toarray(), wanted.toarray(), atol=1e-6)


def test_words_are_one_hot_beside_their_pieces() -> None:
    encoder = OneHotEncoder(char_ngrams=(2, 2)).fit([tokenize("ab b")])
    features = encoder.encode([tokenize("b ab"), tokenize("bb")])
    assert isinstance(features.words, csr_matrix)
    # columns: ab, b | " a", " b", "ab", "b "
    assert features.words.toarray().tolist() == [
        [0, 1, 0, 1, 0, 1],
        [1, 0, 1, 0, 1, 1],
        [0, 0, 0, 1, 0, 1],
        [0, 0, 0, 0, 0, 0],
    ]


def test_rare_terms_and_case() -> None:
    texts = [tokenize(text) for text in ("Moon moon", "moon sun")]
    assert list(OneHotEncoder(min_count=2).fit(texts)._terms()[0].columns) == ["moon"]
    assert list(OneHotEncoder(lowercase=False).fit(texts)._terms()[0].columns) == ["Moon", "moon", "sun"]


@pytest.mark.parametrize("options", [{"word_ngrams": 0}, {"char_ngrams": (3, 2)}, {"char_ngrams": (0, 2)}])
def test_lengths_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        OneHotEncoder(**options).fit([])  # type: ignore[arg-type]
