"""However a text is typed, its tokens and quantities are the same, and reading them again changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.errors import ConfigError
from raysys.text.analysis import Analyzer, stem
from raysys.text.normalize import normalize, words
from raysys.text.quantities import BARE, DIMENSIONS, Quantity

LENGTH = DIMENSIONS.index("length")
PIECES = st.sampled_from(
    ["3/4", "1-1/2", "½", "2x4", '5"', "6'", "12v", "volts", "in.", "inches", "x", "cu. ft.", "1,000", ".5",
     "手机壳", "500毫升", "iPhone手机", "タオル", "ผ้า", "men's", "Boxes", "batteries", "sofa", "bed", "a19",
     "0", "²", "Ⅻ", "ſ", "ß", "İ", "\u0345", "-", "/", ",", "_", "#", " "]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=8).map("".join),
                  st.lists(PIECES, max_size=8).map(" ".join))  # fmt: skip
SYNONYMS = (("couch", "sofa", "davenport"), ("day bed", "sofa bed"), ("ac", "air conditioner"))


@pytest.mark.parametrize(
    "typed",
    [
        "3/4 in. pipe",
        '3/4" pipe',
        "¾ inch Pipes",
        "0.75in pipe",
        ".75-inch pipe",
        "３／４　ＩＮ pipe",
        "0.750 in, pipe",
    ],
)
def test_a_size_may_be_typed_in_many_ways(typed: str) -> None:
    read = Analyzer().read(typed)
    assert read.tokens == ("0.75", "in", "pipe")
    assert read.quantities == (Quantity(0.75, LENGTH, 0.75),)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("12v battery", "12 v battery"), ("12 Volt batteries", "12 v battery"),
        ("5 gal. buckets", "5 gal bucket"),
        ("2x4", "2 4"), ("2 in. × 4 in.", "2 in 4 in"), ("1½-in", "1.5 in"), ("1.9 cu. ft.", "1.9 cuft"),
        ("6'x8' rug", "6 ft 8 ft rug"), ("(4-Pack)", "4 pack"), ("1,000 sq ft", "1000 sqft"),
        ("men's glasses", "men glass"), ("A19 SC-141 M18", "a19 sc 141 m18"), ("007", "007"), ("1/0", "1 0"),
        ("500毫升牛奶", "500 ml 牛奶"), ("iphone手机壳", "iphone 手机 机壳"), ("box 4", "box 4"),
    ],
)  # fmt: skip
def test_known_readings(typed: str, expected: str) -> None:
    assert " ".join(Analyzer().tokens(typed)) == expected


def test_feet_and_inches_are_one_dimension_and_a_bare_number_has_none() -> None:
    assert Analyzer().read("1 ft or 12 in or 12").quantities == (
        Quantity(12.0, LENGTH, 1.0), Quantity(12.0, LENGTH, 12.0), Quantity(12.0, BARE, 12.0),
    )  # fmt: skip


@given(TEXTS)
def test_normalizing_twice_is_the_same_as_once(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)


@given(TEXTS, st.sampled_from([Analyzer(), Analyzer(SYNONYMS), Analyzer(segment="jieba")]))
def test_tokens_read_again_are_the_same(text: str, analyzer: Analyzer) -> None:
    if analyzer.segment == "jieba":
        pytest.importorskip("rjieba", reason="the extra `chinese` is not installed")
    tokens = analyzer.tokens(text)
    assert analyzer.tokens(" ".join(tokens)) == tokens


@given(TEXTS)
def test_case_width_and_spaces_do_not_matter(text: str) -> None:
    assert Analyzer().tokens(f"  {text}\t") == Analyzer().tokens(normalize(text))


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", max_size=12))
def test_a_stem_has_no_other_stem(word: str) -> None:
    assert stem(stem(word)) == stem(word)


@pytest.mark.parametrize("word", ["gas", "bus", "glass", "plus"])
def test_what_is_no_plural_stays(word: str) -> None:
    assert stem(word) == word


def test_synonyms_are_read_as_the_first_of_their_group_and_the_longest_phrase_wins() -> None:
    analyzer = Analyzer(SYNONYMS)
    assert analyzer.tokens("Sofas") == analyzer.tokens("couch") == ("couch",)
    assert analyzer.tokens("a sofa bed") == ("a", "day_bed")
    assert analyzer.tokens("air conditioners") == ("ac",)


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ([["alone"]], "at least two phrases"),
        ([["a", "b"], ["c", "b"]], "'b' is in two groups"),
        ([["a", "b"], ["!", "c"]], "each with a word"),
    ],
)
def test_synonyms_that_make_no_sense_are_refused(groups: list[list[str]], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Analyzer.parse({"synonyms": groups})


@pytest.mark.parametrize("number", ["9" * 16, "9" * 400, "9" * 400 + ".5"])
def test_a_number_too_long_to_count_anything_is_a_word(number: str) -> None:
    read = Analyzer().read(f"{number} 1/2 ft")
    assert read.tokens == (number, "0.5", "ft")
    assert [size.number for size in read.quantities] == [0.5]


def test_half_a_character_is_told_as_one_that_is_missing() -> None:
    assert normalize("A\ud800 b") == "a\ufffd b"


def test_a_reader_in_a_hurry_reads_the_first_words() -> None:
    assert Analyzer(SYNONYMS).read("sofa bed 2 ft 牛奶咖啡", 3).tokens == ("day_bed", "2")


def test_the_settings_come_back_from_their_table() -> None:
    analyzer = Analyzer(SYNONYMS)
    assert Analyzer.parse(analyzer.table()) == analyzer
    with pytest.raises(ConfigError, match="no setting 'stems'"):
        Analyzer.parse({"stems": True})


def test_chinese_words_come_from_the_extra_and_pairs_do_without_it() -> None:
    pytest.importorskip("rjieba", reason="the extra `chinese` is not installed")
    analyzer = Analyzer(segment="jieba")
    assert analyzer.tokens("手机壳牛奶") == ("手机", "壳", "牛奶")
    assert analyzer.tokens("手机 壳 牛奶") == ("手机", "壳", "牛奶")
    with pytest.raises(ConfigError, match="expected 'pairs' or 'jieba'"):
        Analyzer(segment="moses").tokens("手机")


def test_words_without_spaces_are_found_in_longer_ones() -> None:
    assert set(words("牛奶")) <= set(words("全脂牛奶500毫升"))
