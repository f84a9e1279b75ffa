"""The fusion Transformer: it is the pretrained encoder until it is trained, and no text depends on its neighbours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dialogue.encoding import Continued, EncoderSet
from dialogue.fusion.forward import Fused
from dialogue.fusion.shape import FusionConfig, sizes_of
from dialogue.fusion.training import contrastive, encode, fused
from dialogue.fusion.transformer import Fusion, activate
from dialogue.fusion.units import Units, collate
from dialogue.training.members import continued_layers
from encoders.base import Encoder
from encoders.bert import BertEncoder
from encoders.onehot import OneHotEncoder
from encoders.tokenizer import tokenize
from tests.encoders.tiny import save_tiny

TEXTS = ["book a telescope tour", "the moon!", "", "what is 望远镜 doing tonight", "sky", "sky " * 30]
SCRATCH = FusionConfig(16, 2, 24, 2, 0.1, 0.1, 1e-12, False, {"words": 256}, {"words": 256})


@pytest.fixture(scope="module", params=["bert", "mpnet"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(request.param, tmp_path_factory.mktemp(request.param))


def encoder_set(folder: Path, layers: int) -> EncoderSet:
    utterances = [tokenize(text) for text in TEXTS]
    encoders: dict[str, Encoder] = {
        "words": OneHotEncoder().fit(utterances),
        "bert": BertEncoder(model=str(folder), runtime="torch", max_tokens=24, pooling=("last",)).fit([]),
    }
    return EncoderSet(encoders, {"words": "onehot", "bert": "bert"}, Continued("bert", layers))


def continued(encoders: EncoderSet, units: Units) -> Fusion:
    """A fusion on the last layers of the encoder, untrained."""
    top = continued_layers(encoders)
    assert top is not None
    config = FusionConfig(
        **sizes_of(top),
        dropout=0.1,
        encoder_dropout=0.1,
        pretrained=True,
        words={"words": units.seen["words"].words.shape[1]},
        sentences={"words": units.seen["words"].sentence.shape[1]},
    )
    fusion = Fusion(config)
    fusion.continue_from(top)
    return fusion


def see(encoders: EncoderSet, texts: Sequence[str] = TEXTS) -> Units:
    return encoders.see([tokenize(text) for text in texts]).narrowed()


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
@pytest.mark.parametrize("pretrained", [True, False])
def test_what_serves_reads_as_torch_does_but_for_eight_bits(pretrained: bool, activation: str, folder: Path) -> None:
    if pretrained:
        encoders = encoder_set(folder, 2)
        units = see(encoders)
        config = replace(continued(encoders, units).config, activation=activation)
    else:
        units, config = scratch()[0], replace(SCRATCH, activation=activation)
    fusion = Fusion(config)
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)  # gates open, biases are not zero
    cosines = (Fused.of(config, fusion.arrays()).encode(units) * encode(fusion, units)).sum(axis=1)
    assert cosines.min() > 0.999


def test_arrays_that_do_not_fit_are_refused() -> None:
    arrays = Fusion(SCRATCH).arrays()
    with pytest.raises(ValueError, match=r"'blocks\.1\.key\.bias' has shape None, expected \(16,\)"):
        Fused.of(SCRATCH, {name: array for name, array in arrays.items() if name != "blocks.1.key.bias"})
    with pytest.raises(ValueError, match=r"'words\.words\.gate' has shape \(2,\), expected \(1,\)"):
        Fused.of(SCRATCH, {**arrays, "words.words.gate": np.zeros(2, np.float32)})
    with pytest.raises(ValueError, match="layers are 16 wide, expected 24"):
        Fused(replace(SCRATCH, hidden=24, words={}, sentences={}), {}, Fused.of(SCRATCH, arrays).blocks)
    with pytest.raises(ValueError, match=r"'sentences\.words\.gate' has shape None, expected \(1,\)"):
        Fused(SCRATCH, {}, Fused.of(SCRATCH, arrays).blocks)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_before_training_the_fusion_is_the_pretrained_encoder(
    layers: int, activation: str, tmp_path: Path, folder: Path
) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "hidden_act": activation}))
    encoders = encoder_set(tmp_path, layers)
    units = see(encoders)
    found = encode(continued(encoders, units), units)
    expected = units.seen["bert"].sentence
    spoken = [i for i, text in enumerate(TEXTS) if text]
    cosines = (found[spoken] * np.asarray(expected)[spoken]).sum(axis=1)
    assert cosines.min() > 0.9999
    assert np.abs(found[spoken] - np.asarray(expected)[spoken]).max() < 5e-3


def test_a_text_alone_is_the_same_as_in_company(folder: Path) -> None:
    encoders = encoder_set(folder, 2)
    units = see(encoders)
    fusion = continued(encoders, units).eval()
    open_gates(fusion)
    with torch.inference_mode():
        together = fused(fusion, units, np.arange(len(TEXTS))).numpy()
        for i in range(len(TEXTS)):
            assert np.allclose(fused(fusion, units, np.array([i])).numpy()[0], together[i], atol=1e-5)
    assert np.allclose(encode(fusion, units), together, atol=1e-5)


def test_a_text_alone_is_the_same_as_in_company_from_scratch() -> None:
    units, fusion = scratch()
    with torch.inference_mode():
        together = fused(fusion, units, np.arange(len(TEXTS))).numpy()
        for i in range(len(TEXTS)):
            assert np.allclose(fused(fusion, units, np.array([i])).numpy()[0], together[i], atol=1e-5)


def scratch() -> tuple[Units, Fusion]:
    """Units of one sparse encoder and a fusion that continues nothing."""
    utterances = [tokenize(text) for text in TEXTS]
    encoders = EncoderSet({"words": OneHotEncoder().fit(utterances)}, {"words": "onehot"}, None)
    torch.manual_seed(0)
    return see(encoders), Fusion(SCRATCH).eval()


def open_gates(fusion: Fusion) -> None:
    for gates in (fusion.words, fusion.sentences):
        for gate in gates.values():
            gate.gate.data.fill_(0.7)  # type: ignore[operator]


@pytest.mark.parametrize("blank", ["", "   "])
def test_a_blank_text_has_a_finite_feature_of_length_one(blank: str, folder: Path) -> None:
    encoders = encoder_set(folder, 1)
    units = see(encoders, [blank])
    fusion = continued(encoders, units)
    open_gates(fusion)
    for feature in (encode(fusion, units), encode(scratch()[1], see_words([blank]))):
        assert np.isfinite(feature).all()
        assert np.linalg.norm(feature) == pytest.approx(1, abs=1e-5)


def see_words(texts: list[str]) -> Units:
    utterances = [tokenize(text) for text in TEXTS]
    encoders = EncoderSet({"words": OneHotEncoder().fit(utterances)}, {"words": "onehot"}, None)
    return see(encoders, texts)


def test_nothing_to_encode_is_no_features() -> None:
    units, fusion = scratch()
    assert encode(fusion, units.pick(np.zeros(0, np.int64))).shape == (0, 16)


def test_closed_gates_still_learn(folder: Path) -> None:
    encoders = encoder_set(folder, 1)
    units = see(encoders, ["sky tonight", "sky", "moon doing", "the moon"])
    fusion = continued(encoders, units)
    labels = torch.tensor([0, 0, 1, 1])
    contrastive(fused(fusion, units, np.arange(4)), labels).backward()  # type: ignore[no-untyped-call]
    for gates in (fusion.words, fusion.sentences):
        gate: Any = gates["words"]
        assert float(gate.gate.detach()) == 0
        assert float(gate.gate.grad.abs()) > 0


def test_states_of_padding_do_not_leak_into_the_feature() -> None:
    units, fusion = scratch()
    batch = collate(units, np.array([0, 5]), 16, ["words"])
    with torch.inference_mode():
        _, clean = fusion(batch)
        states = batch.states.clone()
        states[~batch.mask] = 9.0
        _, dirty = fusion(replace(batch, states=states))
    assert torch.allclose(clean, dirty, atol=1e-5)


def test_a_word_s_units_reach_its_own_subwords_only() -> None:
    units, fusion = scratch()
    batch = collate(units, np.array([0]), 16, ["words"])
    before = fusion.word_units(batch)
    words = batch.words["words"].clone()
    words[2] += 1.0
    changed = (fusion.word_units(replace(batch, words={"words": words})) - before).abs().sum(-1)[0] > 1e-6
    assert changed.tolist() == [False, False, True, False]


def test_special_tokens_and_padding_get_no_word(folder: Path) -> None:
    encoders = encoder_set(folder, 1)
    units = see(encoders)
    fusion = continued(encoders, units).eval()
    open_gates(fusion)
    batch = collate(units, np.array([0, 1]), 32, ["words"])
    reached = fusion.word_units(batch).abs().sum(-1) > 0
    assert torch.equal(reached, batch.word_of >= 0)
    assert not reached[:, 0].any()


def test_encoders_are_dropped_whole_in_training_only() -> None:
    units, fusion = scratch()
    fusion = Fusion(replace(SCRATCH, encoder_dropout=1.0))
    batch = collate(units, np.array([0, 1]), 16, ["words"])
    assert not fusion.train().word_units(batch).any()
    assert not fusion.train().sentence_units(batch).any()
    assert fusion.eval().word_units(batch).any()


def test_block_agrees_with_torch_s_own_post_norm_layer() -> None:
    torch.manual_seed(1)
    fusion = Fusion(replace(SCRATCH, layers=1, epsilon=1e-5)).eval()
    block: Any = fusion.blocks[0]
    theirs = torch.nn.TransformerEncoderLayer(16, 2, 24, activation="gelu", batch_first=True).eval()
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(torch.cat([block.query.weight, block.key.weight, block.value.weight]))
        theirs.self_attn.in_proj_bias.copy_(torch.cat([block.query.bias, block.key.bias, block.value.bias]))
        theirs.self_attn.out_proj.load_state_dict(block.attended.state_dict())
        theirs.linear1.load_state_dict(block.widen.state_dict())
        theirs.linear2.load_state_dict(block.narrow.state_dict())
        x = torch.randn(2, 5, 16)
        mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
        ours = block(x, mask[:, None, None, :])
        expected = theirs(x, src_key_padding_mask=~mask)
    assert torch.allclose(ours[mask], expected[mask], atol=1e-5)


def test_activations_are_those_of_transformers() -> None:
    from transformers.activations import ACT2FN

    x = torch.linspace(-3, 3, 50)
    for name in ("gelu", "gelu_new", "relu"):
        assert torch.allclose(activate(name, x), ACT2FN[name](x), atol=1e-6)
