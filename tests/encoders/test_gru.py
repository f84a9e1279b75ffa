import subprocess
import sys

import numpy as np
import pytest

from encoders.gru import GRUEncoder
from encoders.gru_forward import ARRAYS, Vocabulary, Ways, states
from encoders.tokenizer import tokenize

LABELLED = [
    (f"{verb} {article} {noun}", label)
    for verb, noun, label in [
        ("book", "tour", "a"),
        ("see", "planet", "b"),
        ("eat", "cake", "c"),
        ("buy", "ticket", "d"),
    ]
    for article in ("a", "the", "my", "that", "one")
    for _ in range(6)
]
TEXTS, LABELS = [tokenize(text) for text, _ in LABELLED], [label for _, label in LABELLED]


def test_numpy_computes_what_torch_trains() -> None:
    import torch

    from encoders.gru_training import Network, Sizes

    vocabulary = Vocabulary({"moon": 2, "tonight": 3}, {"m": 2, "o": 3, "n": 4, "t": 5})
    torch.manual_seed(0)
    network = Network(vocabulary, Sizes(dim=10, word_dim=6, char_dim=4, spelling=5), 3).eval()
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items() if name in ARRAYS}
    texts = [["moon", "unheard", "tonight", "x" * 30], ["tonight"], ["moon", "moon"]]
    found, mask = states(vocabulary, arrays, Ways.of(arrays), texts)
    forms = [form for text in texts for form in text]
    words, rows = torch.zeros(3, 4, dtype=torch.long), torch.zeros(3, 4, dtype=torch.long)
    for row, text in enumerate(texts):
        words[row, : len(text)] = torch.tensor(vocabulary.word_ids(text))
        rows[row, : len(text)] = torch.tensor([forms.index(form) for form in text])
    characters = torch.from_numpy(vocabulary.character_ids(forms))
    with torch.inference_mode():
        wanted, _ = network(words, rows, characters, torch.tensor([4, 1, 2]))
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)
    assert mask.sum() == 7


def test_training_tells_labels_apart_and_sees_through_typos() -> None:
    encoder = GRUEncoder(dim=32).fit(TEXTS, LABELS)
    known = encoder.encode(TEXTS).sentence
    centres = np.stack([known[[label == name for label in LABELS]].mean(axis=0) for name in "abcd"])
    unseen = encoder.encode([tokenize(t) for t in ("book tours", "see planets", "eat cakes", "buy tickets")]).sentence
    assert (unseen @ centres.T).argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_without_labels_or_with_one_it_stays_as_drawn() -> None:
    drawn = GRUEncoder(dim=8, epochs=0).fit(TEXTS, LABELS, seed=2).encode(TEXTS[:3]).words
    np.testing.assert_array_equal(GRUEncoder(dim=8).fit(TEXTS, None, seed=2).encode(TEXTS[:3]).words, drawn)
    np.testing.assert_array_equal(
        GRUEncoder(dim=8).fit(TEXTS, ["a"] * len(TEXTS), seed=2).encode(TEXTS[:3]).words, drawn
    )
    assert np.abs(GRUEncoder(dim=8, epochs=1).fit(TEXTS, LABELS, seed=2).encode(TEXTS[:3]).words - drawn).max() > 0


def test_many_texts_need_fewer_passes() -> None:
    from encoders.gru_training import enough_epochs

    assert [enough_epochs(texts) for texts in (0, 20, 100, 770, 1600, 10_000)] == [8, 8, 8, 6, 3, 3]


def test_passes_may_be_given() -> None:
    given, enough = (GRUEncoder(dim=8, epochs=epochs).fit(TEXTS, LABELS, seed=2) for epochs in (8, None))
    np.testing.assert_array_equal(given.encode(TEXTS[:3]).words, enough.encode(TEXTS[:3]).words)


def test_passes_below_none_are_refused() -> None:
    with pytest.raises(ValueError, match="epochs = -1: expected 0 or more"):
        GRUEncoder(epochs=-1).fit(TEXTS, LABELS)


def test_training_leaves_the_chance_and_threads_of_others_alone() -> None:
    import torch

    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    GRUEncoder(dim=8, epochs=1).fit(TEXTS, LABELS)
    assert torch.equal(torch.rand(3), wanted)
    assert torch.get_num_threads() == threads


def test_bad_options_and_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="dim = 7"):
        GRUEncoder(dim=7).fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="120 texts but 1 labels"):
        GRUEncoder(dim=8).fit(TEXTS, ["a"])


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = (
        "torch",
        "transformers",
        "gensim",
        "fasttext",
        "onnxruntime",
        "onnx",
        "tokenizers",
        "pydantic",
        "sklearn",
        "rjieba",
    )
    script = (
        "import sys\n"
        "import encoders, encoders.catalog, encoders.tokenizer, encoders.cache, encoders.bert, encoders.gru\n"
        "import encoders.onehot, encoders.word2vec, encoders.fasttext, encoders.testing\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("seed", range(4))
def test_training_goes_both_ways_as_torch_does(seed) -> None:
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    from encoders.gru_recurrence import both_ways

    torch.manual_seed(seed)
    gru = torch.nn.GRU(7, 5, batch_first=True, bidirectional=True)
    lengths = torch.randint(1, 9, (6,))
    inputs = torch.randn(6, int(lengths.max()), 7, requires_grad=True)
    weights = torch.randn(6, inputs.shape[1], 10)
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    due, _ = pad_packed_sequence(gru(packed)[0], batch_first=True)
    found = both_ways(gru, inputs, lengths)
    parts = [inputs, *gru.parameters()]
    by_due, by_found = (torch.autograd.grad((states * weights).sum(), parts) for states in (due, found))
    assert torch.allclose(found, due, atol=1e-6)
    for one, other in zip(by_found, by_due, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
