"""A variant's score: what it is, and that nothing but the variant changes it."""

import random
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pytest

from bigbird.data.genome import Genome
from bigbird.data.records import Record
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.variant_config import VariantsConfig, settled
from bigbird.genomics.variant_windows import AlleleWindow, allele_window
from bigbird.genomics.variants import read_out, score_variants
from bigbird.genomics.vcf import Variant
from bigbird.predictor import Predictor
from bigbird.tasks import Classification, MaskedLM, SequenceLabels, TokenLabels
from bigbird.tokenizers import TextTokenizer, reverse_complement
from helpers import STRANDED, YES_NO, loaded_model
from variant_cases import CHR1, Letters, base, genome_in, other, write_genome

BOTH = Classification(labels=("start+", "start-", "other"), answer="many", max_length=256, strands="both")
TASKS = {"base by base": STRANDED, "once, both strands": BOTH, "once": YES_NO}
CONFIG = VariantsConfig(window_bp=101, reach_bp=10)


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return genome_in(tmp_path_factory.mktemp("genome"))


@pytest.fixture(params=TASKS)
def predictor(request):
    return Predictor(loaded_model(TASKS[request.param]))


def snv(position, step=1):
    return Variant("chr1", position, base(position), (other(base(position), step),))


def some_variants():
    """Single bases, indels, several ALTs, at ends and in the middle."""
    return [
        *(snv(position) for position in (1, 2, 60, 1_500, 2_999, 3_000)),
        Variant("chr1", 1_500, base(1_500), ("A", "C", "G", "T", "*", base(1_500) + "ACGT" * 5)),
        Variant("chr1", 1_500, base(1_500, count=40), (base(1_500),)),
        Variant("chr3", 50, base(50, "chr3"), (other(base(50, "chr3")),)),
    ]


def same(one, two):
    """Exactly, bit for bit."""
    assert one.variant == two.variant
    for ours, theirs in zip(one.alleles, two.alleles, strict=True):
        assert ours.reason == theirs.reason
        if ours.reason is None:
            assert np.array_equal(ours.reference, theirs.reference)
            assert np.array_equal(ours.alternative, theirs.alternative)


def log_odds(probabilities):
    values = np.asarray(probabilities, np.float64)
    return np.log(values / (1 - values))


@pytest.mark.parametrize("reading", ["mean", "max"])
def test_a_score_is_the_prediction_for_alt_less_that_for_ref(genome, predictor, reading):
    variant = snv(1_500)
    (scored,) = score_variants(predictor, genome, [variant], replace(CONFIG, reading=reading))
    (allele,) = scored.alleles
    left, right = CHR1[1_449:1_499], CHR1[1_500:1_550]
    answers = predictor.predict(Record(sequence=left + letter + right) for letter in (variant.ref, *variant.alts))
    read = {"mean": np.mean, "max": np.max}[reading]
    ref, alt = (
        read(log_odds(answer.probabilities[40:61]), axis=0)
        if isinstance(answer, TokenLabels)
        else log_odds(answer.probabilities)
        for answer in answers
    )
    np.testing.assert_allclose(allele.reference, ref, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(allele.alternative, alt, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(allele.log_odds, alt - ref, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(allele.difference, 1 / (1 + np.exp(-alt)) - 1 / (1 + np.exp(-ref)), atol=1e-9)
    assert np.abs(allele.log_odds).max() > 0


def test_several_placements_are_averaged(genome, predictor):
    variant = snv(1_500)
    config = replace(CONFIG, placements=3)
    (scored,) = score_variants(predictor, genome, [variant], config)
    each = []
    for shift in (-1, 0, 1):
        window = allele_window(variant, variant.ref, genome, contig="chr1", window_bp=101, shift_bp=shift)
        assert window.sequence == CHR1[1_449 - shift : 1_550 - shift]
        (answer,) = predictor.predict([Record(sequence=window.sequence)])
        each.append(read_out(answer, window, reach_bp=10, reading="mean"))
    np.testing.assert_allclose(scored.alleles[0].reference, np.mean(each, 0), rtol=1e-9)
    assert not np.array_equal(each[0], each[1])


def test_a_score_does_not_depend_on_the_variants_around_it(genome, predictor):
    variants = some_variants()
    together = list(score_variants(predictor, genome, variants, CONFIG))
    assert [scored.variant for scored in together] == variants
    for variant, scored in zip(variants, together, strict=True):
        same(next(score_variants(predictor, genome, [variant], CONFIG)), scored)
    order = random.Random(0).choices(range(len(variants)), k=60)
    again = list(score_variants(predictor, genome, [variants[index] for index in order], CONFIG))
    for index, scored in zip(order, again, strict=True):
        same(scored, together[index])


def test_a_longer_batch_and_padding_change_nothing(genome, predictor, monkeypatch):
    before = list(score_variants(predictor, genome, some_variants(), CONFIG))
    monkeypatch.setattr("bigbird.genomics.variants._WINDOWS_AT_ONCE", 1)
    monkeypatch.setattr("bigbird.tasks.prediction.RECORDS_AT_ONCE", 3)
    monkeypatch.setattr("bigbird.tasks.base.MAX_TOKENS_PER_BATCH", 300)
    for one, two in zip(before, score_variants(predictor, genome, some_variants(), CONFIG), strict=True):
        same(one, two)


@pytest.mark.parametrize("placements", [1, 3, 5])
@pytest.mark.parametrize("task", ["base by base", "once, both strands"])
def test_on_the_other_strand_of_the_genome_scores_are_exactly_the_same(tmp_path, genome, task, placements):
    """Odd alleles in odd windows lie in the very middle, so that both strands are cut alike."""
    (tmp_path / "turned.fa").write_text(f">chr1\n{reverse_complement(CHR1)}\n")
    turned = Genome.open(tmp_path / "turned.fa")
    predictor = Predictor(loaded_model(TASKS[task]))
    columns = [1, 0, 2][: len(predictor.loaded.task.labels)]  # of the labels on the other strand
    variants = [snv(position) for position in (1, 30, 1_499, 1_500, 3_000)]
    variants.append(Variant("chr1", 800, base(800, count=3), (base(800), base(800) + "GATTACA" * 2)))
    mirrored = [
        Variant(
            "chr1",
            len(CHR1) - variant.position - len(variant.ref) + 2,
            reverse_complement(variant.ref),
            tuple(map(reverse_complement, variant.alts)),
        )
        for variant in variants
    ]
    config = replace(CONFIG, placements=placements)
    forward = score_variants(predictor, genome, variants, config)
    for one, two in zip(forward, score_variants(predictor, turned, mirrored, config), strict=True):
        assert two.ref_state == "agrees"
        for ours, theirs in zip(one.alleles, two.alleles, strict=True):
            assert np.array_equal(ours.reference, theirs.reference[columns])
            assert np.array_equal(ours.alternative, theirs.alternative[columns])


def test_the_window_of_ref_is_read_once_for_all_alts_and_records_of_a_place(genome):
    letters = Letters()
    variants = [Variant("chr1", 900, base(900), tuple(alt for alt in "ACGT" if alt != base(900)))] * 3
    scored = list(score_variants(letters, genome, [*variants, snv(900)], CONFIG))
    assert len(letters.seen) == 4
    assert len(scored) == 4
    assert letters.seen[0] == CHR1[849:950]


def test_alt_like_ref_changes_nothing(genome, predictor):
    (scored,) = score_variants(predictor, genome, [snv(900, step=0)], CONFIG)
    assert not scored.alleles[0].difference.any()
    assert not scored.alleles[0].log_odds.any()


def test_variants_are_read_a_few_at_a_time(genome, monkeypatch):
    monkeypatch.setattr("bigbird.genomics.variants._VARIANTS_AT_ONCE", 50)
    taken = []

    def endless():
        number = 0
        while True:
            number += 1
            taken.append(number)
            yield Variant("chr1", 5, base(5), ("<DEL>",)) if number % 2 else Variant("chrUn", 5, "A", ("C",))

    scored = score_variants(Letters(), genome, endless(), CONFIG)
    assert [next(scored).alleles[0].reason for _ in range(4)] == ["symbolic", "contig_missing"] * 2
    assert len(taken) == 50
    taken.clear()
    scored = score_variants(Letters(), genome, (taken.append(place) or snv(place) for place in range(1, 200)), CONFIG)
    next(scored)
    assert len(taken) == 32  # of two windows each
    assert len([*scored]) == 198


@pytest.mark.parametrize(
    ("policy", "reason", "window"), [("skip", "ref_mismatch", None), ("warn", None, "the variant's own REF")]
)
def test_a_ref_that_differs_is_left_out_or_scored_as_given(genome, policy, reason, window):
    letters, wrong = Letters(), other(base(900))
    variant = Variant("chr1", 900, wrong, (base(900), "*"))
    config = VariantsConfig(window_bp=101, on_ref_mismatch=policy)
    (scored,) = score_variants(letters, genome, [variant], config)
    assert scored.ref_state == "differs"
    assert [allele.reason for allele in scored.alleles] == [reason, "spanning_deletion"]
    expected = [CHR1[849:899] + letter + CHR1[900:950] for letter in (wrong, base(900))]
    assert letters.seen == (expected if window else [])


def test_a_ref_that_differs_is_an_error_by_default(genome):
    wrong = Variant("chr1", 900, other(base(900)), ("*", base(900)))
    message = rf"REF of chr1:900 .>\*,. differs from the genome, where chr1 has {base(900)}\. To leave such variants"
    with pytest.raises(DataError, match=message):
        list(score_variants(Letters(), genome, [wrong], CONFIG))
    with pytest.raises(
        DataError, match=r"REF of chr1:3001 A>C differs .* where chr1 ends after 3,000 bases\. To leave"
    ):
        list(score_variants(Letters(), genome, [Variant("chr1", 3_001, "A", ("C",))], CONFIG))


def test_a_model_along_the_sequence_is_read_around_the_allele():
    values = np.arange(1, 41, dtype=np.float64).reshape(20, 2) / 100
    window, odds = AlleleWindow("A" * 20, 8, 10), log_odds(values)

    def read(probabilities, reach, reading):
        return read_out(TokenLabels(probabilities), window, reach_bp=reach, reading=reading)

    for reach, place in ((0, slice(8, 10)), (3, slice(5, 13)), (9, slice(0, 19)), (1_000, slice(0, 20))):
        np.testing.assert_allclose(read(values, reach, "mean"), odds[place].mean(0), rtol=1e-12)
        np.testing.assert_allclose(read(values, reach, "max"), odds[place].max(0), rtol=1e-12)
        assert np.array_equal(read(values, 1_000, "mean"), read(values[::-1], 1_000, "mean"))  # whatever the order
    whole = SequenceLabels((), np.array([0.25, 0.75]))
    np.testing.assert_allclose(read_out(whole, window, reach_bp=3, reading="max"), log_odds([0.25, 0.75]), rtol=1e-12)


class Bins(NamedTuple):
    """As the task bin-classification answers."""

    probabilities: np.ndarray
    first: int
    bin_bp: int


@pytest.mark.parametrize(
    ("first", "last", "reach", "begin", "bins"),
    [
        (8, 9, 0, 0, (2, 3)),
        (7, 9, 0, 0, (1, 3)),
        (8, 9, 4, 0, (1, 4)),
        (8, 9, 400, 0, (0, 5)),
        (8, 9, 0, 8, (0, 1)),
        (8, 9, 6, 8, (0, 2)),
        (8, 8, 0, 8, (0, 1)),
    ],
)
def test_a_model_that_answers_in_bins_is_read_in_those_the_reach_touches(first, last, reach, begin, bins):
    values = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    found = read_out(Bins(values, begin, 4), AlleleWindow("A" * 20, first, last), reach_bp=reach, reading="max")
    np.testing.assert_allclose(found, log_odds(values[slice(*bins)].max(0)), rtol=1e-12)


def test_windows_of_a_model_that_answers_in_bins_hold_whole_bins_and_one_is_read():
    @dataclass(frozen=True)
    class BinTask:
        labels = ("a",)
        max_length = 512
        bin_bp = 20

    loaded = replace(loaded_model(STRANDED), task=BinTask())
    config = settled(VariantsConfig(window_bp=100), Predictor(loaded))
    assert (config.window_bp, config.reach_bp) == (100, 0)
    assert settled(VariantsConfig(window_bp=100, reach_bp=7), Predictor(loaded)).reach_bp == 7
    with pytest.raises(
        ConfigError, match="window_bp must be a multiple of the 20 bases of a bin of this model, got 110"
    ):
        settled(VariantsConfig(window_bp=110), Predictor(loaded))


def test_probabilities_of_0_and_1_have_log_odds(genome):
    class Sure(Letters):
        def predict(self, records):
            for record in records:
                yield SequenceLabels((), np.array([1.0, 0.0]) if record.sequence[50] == "A" else np.array([0.0, 1.0]))

    position = next(place for place in range(900, 950) if base(place) != "A")
    (scored,) = score_variants(Sure(), genome, [Variant("chr1", position, base(position), ("A",))], CONFIG)
    np.testing.assert_allclose(scored.alleles[0].log_odds, [27.63, -27.63], atol=0.01)


def test_contigs_are_found_under_their_other_names(tmp_path):
    (tmp_path / "a.fa").write_text(f">1\n{CHR1}\n>MT\n{CHR1}\n")
    genome = Genome.open(tmp_path / "a.fa")
    names = ["chr1", "1", "chrM", "M", "MT", "chr7"]
    variants = [snv(900)._replace(contig=name) for name in names]
    reasons = [scored.alleles[0].reason for scored in score_variants(Letters(), genome, variants, CONFIG)]
    assert reasons == [None] * 5 + ["contig_missing"]


def test_windows_of_little_but_n_are_counted(genome):
    variant = Variant("chr2", 1_000, base(1_000, "chr2"), (other(base(1_000, "chr2")),))
    (scored,) = score_variants(Letters(), genome, [variant], CONFIG)
    assert scored.unknown == pytest.approx(50 / 101)


def test_the_window_is_what_the_model_was_made_for():
    assert settled(VariantsConfig(), _noted({"scan": {"window_bp": 60}})).window_bp == 60
    notes = {"scan": {"window_bp": 60}, "variants": {"window_bp": 80}}
    assert settled(VariantsConfig(), _noted(notes)).window_bp == 80
    assert settled(VariantsConfig(window_bp=70), _noted(notes)).window_bp == 70
    expected = VariantsConfig(window_bp=510, reach_bp=100, placements=1)
    assert settled(VariantsConfig(window_bp=510), _noted({})) == expected
    twice = VariantsConfig(window_bp=510, labels=("site+", "site-", "site+"))
    assert settled(twice, _noted({})).labels == ("site+", "site-")
    notes["variants"] |= {"reach_bp": 0, "placements": 4}
    assert settled(VariantsConfig(), _noted(notes)) == VariantsConfig(window_bp=80, reach_bp=0, placements=4)
    assert settled(VariantsConfig(reach_bp=9, placements=2), _noted(notes)).reach_bp == 9


def test_the_shipped_model_says_how_it_reads_variants():
    expected = VariantsConfig(window_bp=2_000, reach_bp=100, placements=4)
    assert settled(VariantsConfig(), Predictor.load("promoter")) == expected


def _noted(notes, task=STRANDED):
    loaded = loaded_model(task)
    loaded.notes.update(notes)
    return Predictor(loaded)


@pytest.mark.parametrize(
    ("config", "task", "message"),
    [
        (
            {},
            STRANDED,
            r"this model does not say how long the sequences were .* give their length, with --set window_bp",
        ),
        ({"window_bp": 511}, STRANDED, r"window_bp 511 is more than this model reads at once; set it to 510 or less"),
        (
            {"window_bp": 50},
            MaskedLM(),
            r"variants need a model of DNA with labels; this model has none, or reads text",
        ),
        (
            {"window_bp": 50, "labels": ("site",)},
            STRANDED,
            r"this model has no label 'site' among its 2; nearest are site-, site\+",
        ),
    ],
)
def test_a_config_that_does_not_fit_the_model_is_refused(config, task, message):
    with pytest.raises(ConfigError, match=message):
        settled(VariantsConfig(**config), _noted({}, task))


def test_a_model_of_text_is_refused():
    text = TextTokenizer.__new__(TextTokenizer)  # what it reads does not matter
    predictor = Predictor(replace(loaded_model(YES_NO), tokenizer=text))
    with pytest.raises(ConfigError, match="variants need a model of DNA with labels; a has none, or reads text"):
        settled(VariantsConfig(window_bp=50), predictor, source="a")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window_bp": 0}, "window_bp must be at least 1, got 0"),
        ({"reach_bp": -1}, "reach_bp must be at least 0, got -1"),
        (
            {"info_prefix": "2X"},
            "info_prefix must be letters, digits and '_', no digit first, as VCF wants it, got '2X'",
        ),
        ({"info_prefix": "a;b"}, "info_prefix must be letters"),
        ({"info_prefix": "é"}, "info_prefix must be letters"),
    ],
)
def test_a_setting_out_of_range_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        VariantsConfig(**values)


def test_the_genome_fixture_is_what_the_cases_say(tmp_path):
    assert Genome.open(write_genome(tmp_path)).contigs == {"chr1": 3_000, "chr2": 2_000, "chr3": 200}
