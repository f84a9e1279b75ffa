"""Tiny randomly initialised transformers models of every family, with tiny trained tokenizers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = ["book a telescope tour for tonight", "what is the moon doing", "the sky is clear tonight", "我想订望远镜观测"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
SHIFTED = ["[UNK]", "[PAD]", "[CLS]", "[SEP]"]  # the padding id of XLM-R and MPNet is 1
COMMON = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}


def word_pieces(special: list[str]) -> Tokenizer:
    core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special))
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return core


def byte_pairs() -> Tokenizer:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    core.post_processor = processors.ByteLevel(trim_offsets=True)
    return core


def configuration(family: str) -> Any:
    import transformers as t

    positions = {"max_position_embeddings": 40}
    makers: dict[str, Callable[[], Any]] = {
        "bert": lambda: t.BertConfig(**COMMON, **positions, vocab_size=120),
        "roberta": lambda: t.RobertaConfig(**COMMON, **positions, vocab_size=120, pad_token_id=0),
        "xlm-roberta": lambda: t.XLMRobertaConfig(**COMMON, **positions, vocab_size=120, pad_token_id=1),
        "electra": lambda: t.ElectraConfig(**COMMON, **positions, vocab_size=120, embedding_size=20),
        "mpnet": lambda: t.MPNetConfig(**COMMON, **positions, vocab_size=120, pad_token_id=1),
        "xlnet": lambda: t.XLNetConfig(vocab_size=120, d_model=32, n_layer=3, n_head=4, d_inner=48),
        "gpt2": lambda: t.GPT2Config(vocab_size=300, n_positions=40, n_embd=32, n_layer=3, n_head=4),
    }
    return makers[family]()


def save_tiny(family: str, folder: Path) -> Path:
    """A model folder as `save_pretrained` leaves it; GPT-2's tokenizer has no padding and no special tokens."""
    import torch
    from transformers import AutoModel, PreTrainedTokenizerFast

    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = AutoModel.from_config(configuration(family))
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    core = byte_pairs() if family == "gpt2" else word_pieces(SHIFTED if family in ("xlm-roberta", "mpnet") else SPECIAL)
    named = {} if family == "gpt2" else {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    PreTrainedTokenizerFast(tokenizer_object=core, **named).save_pretrained(folder)
    return folder
