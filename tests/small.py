"""A transformer that learns in seconds, and judgements that are easy to see through."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raysys.catalog import TEXT_WIDTH
from raysys.relevance.fit import Judgements

COLORS = ("red", "blue", "green", "black", "white", "yellow")
THINGS = ("chair", "lamp", "table", "rug", "sofa")
TEXTS = [f"{color} {thing}" for color in COLORS for thing in THINGS]
TURNED = [f"{color}, {thing}" for color in COLORS for thing in THINGS]
"""The same said otherwise: of so many queries some fall into the tenth that is not learned from."""


def small_encoder(folder: Path, positions: int = 64) -> Path:
    """A sentence encoder of two layers and a few words, of random weights."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *COLORS, *THINGS]
    words = Tokenizer(WordLevel({name: place for place, name in enumerate(names)}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    config = BertConfig(
        vocab_size=len(names), hidden_size=TEXT_WIDTH, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=positions,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "body")
    tokenizer.save_pretrained(folder / "body")
    body = Transformer(str(folder / "body"))
    SentenceTransformer(modules=[body, Pooling(TEXT_WIDTH)], device="cpu").save(str(folder / "whole"))
    return folder / "whole"


def judgements(queries: Sequence[str] = TEXTS, turn: int = 0) -> Judgements:
    """Whoever asks for a thing in a color wants that color, whatever the thing: a grade of 1, else 0.

    Args:
        turn: wanted is the color so many further on, which no word of the query tells.
    """
    rng = np.random.default_rng(0)
    pairs = [(query, text) for query in range(len(queries)) for text in rng.permutation(len(TEXTS))[:12]]
    query, text = np.array(pairs).T
    things = len(THINGS)
    return Judgements(
        queries=queries, texts=TEXTS, query=query, text=text,
        relevant=((query // things + turn) % len(COLORS) == text // things).astype(float),
    )  # fmt: skip


def judged_file(path: Path, queries: Sequence[str] = TEXTS, turn: int = 0) -> Path:
    """The same as a CSV, in grades of 1 and 3."""
    told = judgements(queries, turn)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["query", "text", "grade"])
        for query, text, relevant in zip(told.query, told.text, told.relevant, strict=True):
            rows.writerow([queries[query], TEXTS[text], 3 if relevant else 1])
    return path
