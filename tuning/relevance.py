"""Learn relevance from judgements, clicks or the log: a bundle like an old one with another relevance model.

    python -m tuning.relevance JUDGED.csv --bundle var/bundles/ID --out var/drafts/relevance
    python -m tuning.relevance --log EVENTS... --bundle var/bundles/ID --out var/drafts/relevance

A file of judgements has the columns query, text and grade; grades are scaled to 0 to 1. A file of clicks has
query, text, position (from 0) and clicked (0 or 1), a row for each showing; a position-based click model
tells what attracts from what stands where people look. A column item_id names items of the bundle, which are
judged with all their fields; `text` is for what is no item. A log (impressions with their query, and what
was clicked, carted and bought) tells of showings too, and of the categories and brands that queries are
after. The constants that bring relevance to the scale of the other signals are measured again. A
cross-encoder gets the say that does best on queries that neither it nor the model has learned from. What
comes out goes through the gate like any other draft (`tuning.release`).
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.dataset.read import read, together
from raysys.dataset.wishes import Wishes
from raysys.errors import ConfigError, DataError
from raysys.events import Impression
from raysys.relevance.blend import blend_of
from raysys.relevance.clicks import judgements_of
from raysys.relevance.fit import Fitted, Judgements, RelevanceConfig, fit_relevance, mean_ndcg
from raysys.relevance.scorer import RelevanceScorer
from raysys.relevance.searches import Searches
from raysys.relevance.unseen import unread, unseen_meaning
from raysys.surfaces.experts import Encoder
from raysys.text.analysis import Analyzer
from raysys.text.cross_encoder import CrossEncoder
from raysys.text.static import load_encoder
from raysys.text.synonyms import read_synonyms
from raysys.types import Bools, Floats

JUDGED = ("query", "grade")
SHOWN = ("query", "position", "clicked")


def read_file(path: Path, catalog: Catalog | None = None) -> Judgements:
    """Judgements, or what clicks say of relevance, whichever the columns tell of.

    Raises:
        DataError: says what the file lacks.
    """
    with path.open(newline="", encoding="utf-8") as file:
        shown = "clicked" in (csv.DictReader(file).fieldnames or ())
    return read_clicks(path, catalog) if shown else read_judged(path, catalog)


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows with these columns, and with an item_id or a text."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        names = set(rows.fieldnames or ())
        missing = set(columns) - names
        if missing or not names & {"text", "item_id"}:
            lacks = sorted(missing | (set() if names & {"text", "item_id"} else {"text"}))
            raise DataError(
                f"{path.name} lacks the columns {lacks}, expected {[*columns, 'text or item_id']}"
            )
        told = list(rows)
    if not told:
        raise DataError(f"{path.name} has no rows, expected one for each pair")
    return told


def _numbers(path: Path, rows: Sequence[Mapping[str, str]], name: str) -> Floats:
    try:
        return np.array([float(row[name]) for row in rows])
    except ValueError as error:
        raise DataError(f"{path.name}: {name} must be a number in every row: {error}") from error


def _known(rows: Sequence[dict[str, str]], catalog: Catalog | None) -> tuple[list[dict[str, str]], list[str]]:
    """The rows of known items and of texts, and what each is of: `item:` and its row, or `text:`."""
    kept, of = [], []
    for row in rows:
        place = -1 if catalog is None else catalog.index.get(row.get("item_id") or "", -1)
        if place >= 0 or row.get("text"):
            kept.append(row)
            of.append(f"item:{place}" if place >= 0 else f"text:{row['text']}")
    return kept, of


def _judged(found: Judgements, catalog: Catalog | None) -> Judgements:
    """Judgements of what `_known` told, as those of items and texts."""
    rows = np.array([int(one[5:]) if one.startswith("item:") else -1 for one in found.texts])
    texts = [
        catalog.text(row) if catalog is not None and row >= 0 else one[5:]
        for one, row in zip(found.texts, rows.tolist(), strict=True)
    ]
    return replace(found, texts=texts, row=rows)


def read_clicks(path: Path, catalog: Catalog | None = None) -> Judgements:
    """What attracts, from a CSV of showings; those of items unknown to the catalog are left out."""
    rows, of = _known(_rows(path, SHOWN), catalog)
    position = _numbers(path, rows, "position").astype(np.int64)
    clicked = _numbers(path, rows, "clicked") > 0
    return _judged(judgements_of([row["query"] for row in rows], of, position, clicked), catalog)


def read_judged(path: Path, catalog: Catalog | None = None) -> Judgements:
    """Pairs from a CSV of judgements; those of items unknown to the catalog are left out."""
    rows, of = _known(_rows(path, JUDGED), catalog)
    grade = _numbers(path, rows, "grade")
    queries, texts = list(dict.fromkeys(row["query"] for row in rows)), list(dict.fromkeys(of))
    query_of, text_of = ({text: n for n, text in enumerate(names)} for names in (queries, texts))
    found = Judgements(
        queries=queries,
        texts=texts,
        query=np.array([query_of[row["query"]] for row in rows]),
        text=np.array([text_of[one] for one in of]),
        relevant=(grade - grade.min()) / max(float(np.ptp(grade)), 1e-9),
    )
    return _judged(found, catalog)


def read_log(paths: Sequence[Path], catalog: Catalog) -> Searches:
    """What the log tells of searches, without people who did not consent or asked to be forgotten."""
    events = together(read(paths))
    impressions = [event for event in events.others if isinstance(event, Impression)]
    deeds, shown = Wishes.of(events.others).kept(events.interactions, impressions)
    return Searches.of(shown, deeds.select("kind", "query_id", "item_id").iter_rows(), catalog)


def read_judgements(file: Path | None, log: Sequence[Path], catalog: Catalog | None) -> Judgements:
    """Judgements of a file, or of a log about the items of a catalog.

    Raises:
        ConfigError: there is neither.
    """
    if file is not None:
        return read_file(file, catalog)
    if not log or catalog is None:
        raise ConfigError("name a file of judgements or clicks, or a log and a bundle")
    return read_log(log, catalog).judgements(catalog)


def tune_relevance(
    judged: Judgements,
    scorer: RelevanceScorer,
    encoder: Encoder | None,
    config: RelevanceConfig | None = None,
    catalog: Catalog | None = None,
    folder: Path | None = None,
    apart: Bools | None = None,
) -> Fitted:
    """`scorer` with what the judgements say; without an encoder, from words alone.

    Args:
        folder: of the encoder, if it may have learned from these queries (`tuning.encoder`).
        apart: (Q,) the queries to hold out; some by lot if None.
    """
    vectors = None if encoder is None else (encoder.encode(judged.queries), encoder.encode(judged.texts))
    meaning = None if folder is None else unseen_meaning(folder, judged)
    return fit_relevance(scorer, judged, vectors, config, catalog, meaning, apart)


def beside(fitted: Fitted, judged: Judgements, cross: CrossEncoder) -> tuple[CrossEncoder | None, float]:
    """A cross-encoder with the say that it is to have, and NDCG@5 with it on queries nothing learned from.

    Args:
        fitted: where the queries that are `unread` were held out.

    Returns:
        None in its place if they are in no better order with it.
    """
    held = fitted.held
    query, relevant, plain = judged.query[held], judged.relevant[held], fitted.held_out
    close = cross.of_pairs(judged.queries, judged.texts, query, judged.text[held])
    without = mean_ndcg(plain, relevant, query)
    weight = None if judged.weight is None else judged.weight[held]
    if (blend := blend_of(plain, close, relevant, query, weight)) is None:
        return None, without
    ndcg = mean_ndcg(blend(plain, close), relevant, query)
    return (cross.with_blend(blend) if ndcg > without else None), ndcg


def with_encoder(bundle: Bundle, folder: Path) -> Bundle:
    """The bundle with another text encoder, and with the vectors of its items by it.

    Raises:
        ConfigError: its interest network reads texts by the old one.
    """
    if getattr(bundle.interest, "network", None) is not None:
        raise ConfigError(
            f"bundle {bundle.id}: its interest network has learned from vectors of the old encoder;"
            f" learn the bundle again with --encoder {folder}"
        )
    encoder, catalog = load_encoder(folder), bundle.catalog
    vectors = encoder.encode([catalog.text(row) for row in range(len(catalog))])
    return replace(bundle, encoder=encoder, catalog=catalog.with_vectors(dict(enumerate(vectors))))


def from_log(log: Searches, analyzer: Analyzer, catalog: Catalog) -> tuple[Judgements, RelevanceScorer]:
    """What a log alone says of relevance, and the scorer to learn it with; see `tune_relevance`.

    The model learns from the later half, with what queries are after as the earlier half tells it: what
    is learned of a query from the very clicks that are to be explained would explain them too well.
    """
    before, after = log.halves()
    earlier = RelevanceScorer.of_catalog(catalog, analyzer, before.what_was_taken())
    return after.judgements(catalog), earlier


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, say what it brought, and write the bundle."""
    parser = argparse.ArgumentParser(
        prog="python -m tuning.relevance", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("judged", type=Path, nargs="?", help="judgements or clicks, a CSV")
    parser.add_argument("--log", type=Path, nargs="+", default=[], help="impressions and interactions")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--encoder", type=Path, help="folder of a text encoder to take, such as of tuning.encoder"
    )
    parser.add_argument(
        "--cross-encoder", type=Path, help="folder of a cross-encoder of tuning.cross_encoder to take"
    )
    parser.add_argument("--synonyms", type=Path, help="a group of phrases a line, apart by commas")
    parser.add_argument("--segment", default="pairs", help="pairs, or jieba for Chinese words")
    given = parser.parse_args(arguments)
    if given.judged is None and not given.log:
        parser.error("name a file of judgements or clicks, or a log")
    bundle = Bundle.load(given.bundle)
    if given.encoder is not None:
        bundle = with_encoder(bundle, given.encoder)
    groups = () if given.synonyms is None else tuple(map(tuple, read_synonyms(given.synonyms)))
    analyzer, log = Analyzer(groups, given.segment), read_log(given.log, bundle.catalog)
    scorer, old = RelevanceScorer.of_catalog(bundle.catalog, analyzer, log.what_was_taken()), bundle.relevance
    if not given.log and isinstance(old, RelevanceScorer) and old.analyzer == analyzer:
        scorer = replace(scorer, intents=old.intents)
    if given.judged is None:
        judged, base = from_log(log, analyzer, bundle.catalog)
    else:
        judged, base = read_file(given.judged, bundle.catalog), scorer
    cross = bundle.cross_encoder if given.cross_encoder is None else CrossEncoder.load(given.cross_encoder)
    apart = None if cross is None else unread(judged.queries)
    fitted = tune_relevance(judged, base, bundle.encoder, None, bundle.catalog, given.encoder, apart)
    ndcg = {"mix": fitted.mix_ndcg, "trees": fitted.trees_ndcg}
    if isinstance(cross, CrossEncoder):
        cross, ndcg["with_cross_encoder"] = beside(fitted, judged, cross)
    told = {"judgements": fitted.judgements, "showings": len(log), "ndcg_at_5": ndcg}
    saved = replace(
        bundle,
        relevance=replace(scorer, model=fitted.scorer.model),
        cross_encoder=cross,
        signals=bundle.signals.measured("relevance", fitted.held_out),
        manifest={**bundle.manifest, "relevance": told},
    ).save(given.out)
    better = fitted.trees_ndcg > fitted.mix_ndcg
    print(
        f"NDCG@5 on queries held out: mix {fitted.mix_ndcg:.4f}, trees {fitted.trees_ndcg:.4f}"
        f" (error {fitted.trees_error:.3f}); {'trees' if better else 'the mix'} in {saved.id} at {given.out}"
    )
    if "with_cross_encoder" in ndcg:
        verdict = "no better, so it is left out" if cross is None else "it reads the first candidates"
        print(f"with the cross-encoder {ndcg['with_cross_encoder']:.4f}: {verdict}")


if __name__ == "__main__":
    main()
