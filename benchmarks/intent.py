"""Does it help to know which brand a query is after? `python -m benchmarks.intent`.

On Home Depot's judgements the first word of a title stands in for its brand where five titles begin with it,
and what was found to fit in other folds stands in for a log: no query is learned from that is asked about, so
words alone can help. On retrotech makers are known, and what was clicked in one half of the sessions is the
log; what attracts in the other half judges (see `benchmarks.clicks`), for the items clicked or for others.
"""

import csv
import gzip
import io
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.clicks import by_propensity, clicks_of, showings, split
from benchmarks.home_depot import FOLDS, Judged, read_judged
from benchmarks.search import ENCODER, by_folds, judgements, quality
from raysys.catalog import Catalog
from raysys.evaluation.metrics import mean_error
from raysys.events import ItemUpdate
from raysys.relevance.clicks import harvested
from raysys.relevance.documents import Document, fields_of, read_fields
from raysys.relevance.features import NAMES
from raysys.relevance.fit import RelevanceConfig, fit_trees, judged_features, mean_ndcg
from raysys.relevance.intent import Intent, query_hash
from raysys.relevance.model import Mix
from raysys.relevance.question import Question
from raysys.relevance.scorer import RelevanceScorer
from raysys.relevance.taken import NOBODY, Taken, learn_intents
from raysys.relevance.vocabulary import Vocabulary
from raysys.text.analysis import Analyzer
from raysys.text.encoder import TextEncoder
from raysys.types import Bools, Floats, Ints

PRODUCTS = Path("../shared/data/retrotech/products.csv.gz")
ENOUGH = 5
BRAND = NAMES.index("brand_wanted")
FITS = 2.3
"""Mean grade, of 1 to 3, from which a judged title counts as taken."""
READ = Analyzer()
ADDED = 0.02
"""How much a log lift adds to the untrained mix."""


def branded(titles: list[str]) -> Catalog:
    """The titles as items, with their first words as brands."""
    first = [title.split()[0] if title.split() else "" for title in titles]
    often = Counter(word.casefold() for word in first)
    items = [
        ItemUpdate(
            item_id=str(row),
            title=title,
            brand=word if often[word.casefold()] >= ENOUGH and not word[:1].isdigit() else "",
        )
        for row, (title, word) in enumerate(zip(titles, first, strict=True))
    ]
    return Catalog.of(items)


class Wishes:
    """The brand lift of judged pairs, from logs that leave some folds out."""

    def __init__(self, judged: Judged) -> None:
        self.judged, self.fold = judged, judged.folds()[judged.query]
        self.catalog = branded(judged.titles)
        rows = range(len(self.catalog))
        self.documents: list[Document] = [read_fields(READ, fields_of(self.catalog, row)) for row in rows]
        self.brand = np.array([document.names[0, 1] for document in self.documents], np.int64)
        self.questions = [Question.of(text, READ, Vocabulary.empty()) for text in judged.queries]

    def intent(self, learned_from: Bools) -> Intent:
        """From the pairs (N,) that fit, of those that `learned_from` says."""
        rows = learned_from & (self.judged.grade >= FITS)
        queries = [self.judged.queries[query] for query in self.judged.query[rows]]
        taken = Taken.of(queries, self.judged.title[rows]) if len(queries) else NOBODY
        return learn_intents(self.catalog, self.documents, READ, taken).brand

    def lifts(self, intent: Intent, asked: Bools) -> Floats:
        """(N,) of the pairs that `asked` says, 0 for all others."""
        found = np.zeros(len(asked))
        for query in np.unique(self.judged.query[asked]):
            question, pairs = self.questions[query], np.flatnonzero(self.judged.query == query)
            words = question.hashes.astype(np.int64)
            wanted = intent.wanted(words, query_hash(question.tokens))
            found[pairs] = wanted.of(self.brand[self.judged.title[pairs]])
        return found * asked

    def without(self, number: int) -> Floats:
        """(N,) lifts as a model would see them that is asked about fold `number`.

        For pairs of that fold all others are the log; a pair that is learned from never sees its own fold.
        """
        out = self.fold == number
        found = self.lifts(self.intent(~out), out)
        for other in range(FOLDS):
            if other != number:
                found += self.lifts(self.intent(~out & (self.fold != other)), self.fold == other)
        return found


def home_depot() -> None:
    """Print how well brands are foreseen, and what trees make of it."""
    judged = read_judged()
    wishes = Wishes(judged)
    scorer = RelevanceScorer.learn(judged.titles)
    seen = judged_features(scorer, judgements(judged), judged.vectors(ENCODER))
    nobody = np.zeros(len(seen), np.bool_)
    by_catalog = wishes.lifts(wishes.intent(nobody), ~nobody)
    by_log = [wishes.without(number) for number in range(FOLDS)]
    asked = np.choose(wishes.fold, by_log)
    fits = (judged.grade >= FITS) & (wishes.brand[judged.title] > 0)
    print(f"{int(fits.sum())} fitting titles with a brand, of {len(np.unique(wishes.brand)) - 1} brands")
    for name, lift in (("catalog", by_catalog), ("catalog and log", asked)):
        mean, error = mean_error(lift[fits])
        print(f"gain in log likelihood of their brand, {name:16} {mean:.3f} ± {error:.3f}")
    config = RelevanceConfig(objectives=("regression",))
    base = quality(judged, by_folds(judged, seen, config))
    print(base.line("trees without it"))
    found, relevant = np.zeros(len(seen)), (judged.grade - 1.0) / 2.0
    for number, lift in enumerate(by_log):
        more, out = seen.copy(), wishes.fold == number
        more[:, BRAND] = lift
        trees = fit_trees(more[~out], relevant[~out], judged.query[~out], config)
        found[out] = trees.relevance(more[out])
    print(quality(judged, found).line("trees with it", base))
    for lift, name in ((by_catalog, "catalog"), (asked, "catalog and log")):
        mixed = Mix().relevance(seen)
        told = quality(judged, mixed + ADDED * lift).line(f"mix and {name}", quality(judged, mixed))
        print(told)


def products(wanted: set[str]) -> list[ItemUpdate]:
    """Products of retrotech with their makers; their category is what follows the last dash of a name."""
    text = gzip.decompress(PRODUCTS.read_bytes()).decode()
    lines = csv.reader(io.StringIO(text), escapechar="\\", skipinitialspace=True)
    return [
        ItemUpdate(
            item_id=line[0].lstrip("0"),
            title=line[1].strip(),
            brand=line[2].strip(),
            category=line[1].rpartition(" - ")[2].strip() if " - " in line[1] else "",
        )
        for line in lines
        if len(line) > 2 and line[0].lstrip("0") in wanted
    ]


def retrotech() -> None:
    """Print how the mix orders with and without what clicks say of makers and forms."""
    table, query, half = split(showings())
    size = len(query)
    pairs = table.select("pair", "query", "doc").unique("pair").sort("pair")
    docs, texts = [str(doc) for doc in pairs["doc"]], pairs["query"].to_list()
    encoder = TextEncoder.load(ENCODER)
    catalog = Catalog.of(products(set(docs)), encoder.encode)
    rows, fold = catalog.rows(docs), np.random.default_rng(0).permutation(size) % FOLDS
    gains: dict[str, list[Floats]] = {}
    for seen in (0, 1):
        train, test = (clicks_of(table.filter(pl.Series(half == h))) for h in (seen, 1 - seen))
        truth = by_propensity(test, harvested(test), size)
        clicked = np.bincount(train.pair, train.clicked, minlength=size)
        everything = np.ones(size, np.bool_)
        orders = {
            "mix": scores(catalog, encoder, texts, rows, None),
            "and what the catalog says": scores(catalog, encoder, texts, rows, NOBODY),
            "and clicks on the same items": scores(
                catalog, encoder, texts, rows, clicks_in(texts, rows, clicked, everything)
            ),
        }
        others = np.zeros(size)
        for number in range(FOLDS):
            taken = clicks_in(texts, rows, clicked, fold != number)
            others += np.where(fold == number, scores(catalog, encoder, texts, rows, taken), 0.0)
        orders["and clicks on other items"] = others
        for name, order in orders.items():
            each = [
                mean_ndcg(order[query == q], truth[query == q], query[query == q]) for q in np.unique(query)
            ]
            gains.setdefault(name, []).append(np.array(each))
    plain = np.mean(gains["mix"], axis=0)
    for name, found in gains.items():
        value, gain = (mean_error(v) for v in (np.mean(found, axis=0), np.mean(found, axis=0) - plain))
        print(f"{name:32} NDCG@5 {value[0]:.4f} ± {value[1]:.4f}  {gain[0]:+.4f} ± {gain[1]:.4f}")


def clicks_in(texts: list[str], rows: Ints, clicked: Floats, kept: Bools) -> Taken:
    """What was clicked of the pairs that are kept."""
    queries = [text for text, keep in zip(texts, kept.tolist(), strict=True) if keep]
    return Taken.of(queries, rows[kept], clicked[kept])


def scores(
    catalog: Catalog, encoder: TextEncoder, texts: list[str], rows: Ints, taken: Taken | None
) -> Floats:
    """The mix (pairs,) and, unless `taken` is None, ADDED times the lifts of form and maker."""
    scorer = RelevanceScorer.of_catalog(catalog, taken=taken)
    found, asked = np.zeros(len(rows)), np.array(texts)
    for text in dict.fromkeys(texts):
        own = np.flatnonzero((asked == text) & (rows >= 0))
        seen = scorer.features(text, encoder.encode([text])[0], rows[own], catalog)
        found[own] = scorer.model.relevance(seen)
        if taken is not None:
            found[own] += ADDED * seen[:, [BRAND, BRAND - 1]].sum(axis=1)
    return found


if __name__ == "__main__":
    home_depot()
    retrotech()
