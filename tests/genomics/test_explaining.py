"""Changes of single bases and where they are read, against a model whose answers are known."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.data.records import Record
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.explain_target import (
    Question,
    check_label,
    question_about,
    target_of_record,
    target_on_genome,
    window_for,
)
from bigbird.genomics.explanation import ExplainConfig, explain
from bigbird.genomics.log_odds import Reader
from bigbird.genomics.mutagenesis import BASES, mutations
from bigbird.predictor import Predictor
from bigbird.tasks import BinClassification, Classification, MaskedLM, Summarization
from bigbird.tokenizers import KmerTokenizer, reverse_complement
from helpers import STRANDED, YES_NO, dna, loaded_model

MOTIF = "TATAAA"
MANY = Classification(labels=("motif", "other"), answer="many", max_length=256, overlap=16)


class FindsMotif(nn.Module):
    """Logit of "motif": matches of MOTIF at base 10 of each document; of "other": how many A there are."""

    def __init__(self, tokenizer):
        super().__init__()
        self.letters = [tokenizer.decode([index]) for index in range(tokenizer.vocab_size)]
        self.weight = nn.Parameter(torch.ones(1))  # tells the device

    def forward(self, token_ids, layout):
        rows = []
        for start, length in zip(layout.starts, layout.lengths, strict=True):
            sequence = "".join(self.letters[index] for index in token_ids[start : start + length].tolist())
            matches = sum(a == b for a, b in zip(sequence[10:16], MOTIF, strict=True))
            rows.append([float(matches), 0.5 * sequence.count("A")])
        return torch.tensor(rows) * self.weight


@pytest.fixture
def finds_motif():
    loaded = loaded_model(MANY)
    return Predictor(dataclasses.replace(loaded, model=FindsMotif(loaded.tokenizer).eval()))


def about(column, label="motif", place=0):
    return Question(label, column, place, 0.5)


def test_changes_of_a_planted_motif_have_the_effects_they_must_have(finds_motif):
    sequence = "C" * 10 + MOTIF + "GGNC"
    target = target_of_record(Record(sequence=sequence))
    found = mutations(finds_motif, target, about(0))
    for number, base in enumerate(sequence):
        for column, other in enumerate(BASES):
            effect = found.effects[number, column]
            if base == "N":
                assert np.isnan(effect).all()
            else:
                assert effect[0] == (-1 if 10 <= number < 16 and other != base else 0)
                assert effect[1] == 0.5 * ((other == "A") - (base == "A"))
    assert found.reference.tolist() == [6, 2]
    assert found.importance(0).tolist() == [0] * 10 + [1] * 6 + [0] * 4
    assert np.isnan(found.effects[:, 4]).all()


def test_a_deletion_draws_in_what_follows(finds_motif):
    target = target_of_record(Record(sequence="C" * 9 + MOTIF + "GGGC"))
    found = mutations(finds_motif, dataclasses.replace(target, beyond="A"), about(0), deletions=True)
    assert found.effects[3, 4].tolist() == [-found.reference[0] + matches_behind(target, 3), 0.5]
    assert found.effects[-1, 4].tolist() == [0, 0.5]


def matches_behind(target, missing):
    sequence = target.sequence[:missing] + target.sequence[missing + 1 :]
    return sum(a == b for a, b in zip(sequence[10:16], MOTIF, strict=True))


def test_changes_are_those_that_the_predictor_sees():
    sequence = dna(120, 1)
    place = next(place for place in range(60, 90) if sequence[place] != sequence[place + 1])
    predictor = Predictor(loaded_model(STRANDED))
    target = dataclasses.replace(target_of_record(Record(sequence=sequence)), first=55, last=58)
    found = mutations(predictor, target, about(1, "site-", place), deletions=True)

    def log_odds(changed, at):
        (answer,) = predictor.predict([Record(sequence=changed)])
        chance = answer.probabilities[at].astype(np.float64)
        return np.log(chance / (1 - chance))

    before = log_odds(sequence, place)
    np.testing.assert_allclose(found.reference, before, atol=1e-4)
    for number in range(3):
        for column, base in enumerate(BASES):
            changed = sequence[: 55 + number] + base + sequence[56 + number :]
            np.testing.assert_allclose(found.effects[number, column], log_odds(changed, place) - before, atol=2e-4)
        shorter = sequence[: 55 + number] + sequence[56 + number :] + "N"
        np.testing.assert_allclose(found.effects[number, 4], log_odds(shorter, place - 1) - before, atol=2e-4)


def test_the_other_strand_is_explained_as_its_mirror():
    predictor, sequence = Predictor(loaded_model(STRANDED)), dna(100, 2)
    target = dataclasses.replace(target_of_record(Record(sequence=sequence)), first=40, last=50)
    other = dataclasses.replace(target, sequence=reverse_complement(sequence), first=50, last=60)
    one = mutations(predictor, target, about(0, place=45))
    two = mutations(predictor, other, about(1, place=54))
    np.testing.assert_allclose(one.effects[:, :4, 0], two.effects[::-1, 3::-1, 1], atol=1e-5)


@pytest.mark.parametrize("answer", ["one", "many"])
def test_log_odds_are_those_of_the_predictor_s_probabilities(answer):
    labels = ("a", "b", "c+", "c-")
    loaded = loaded_model(Classification(labels=labels, answer=answer, max_length=256, overlap=16, strands="both"))
    reader, sequences = Reader(loaded), [dna(90, 1), dna(70, 2)]
    with torch.no_grad():
        log_odds = reader.log_odds(*reader.prepared(sequences, [0, 0])).numpy()
    answers = Predictor(loaded).predict([Record(sequence=sequence) for sequence in sequences])
    expected = [np.log(p / (1 - p)) for p in (answer.probabilities for answer in answers)]
    np.testing.assert_allclose(log_odds, expected, atol=1e-4)


def test_a_model_without_labels_cannot_be_explained():
    with pytest.raises(
        ConfigError, match="explaining needs a model with labels; the task of this one, MaskedLM, has none"
    ):
        Reader(loaded_model(MaskedLM()))
    with pytest.raises(ConfigError, match="explaining needs a model with labels; the task of this one, Summarization"):
        check_label(Summarization(), None)
    with pytest.raises(ConfigError, match="explaining needs a model with labels"):
        question_about(Predictor(loaded_model(MaskedLM())), target_of_record(Record(sequence="ACGT")))


@pytest.fixture
def genome(tmp_path):
    (tmp_path / "genome.fa").write_text(f">chr1\n{dna(1_000, 1)}\n>short\nACGTRACGTT\n")
    return Genome.open(tmp_path / "genome.fa")


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize(("start", "end", "window"), [(500, 520, 450), (0, 20, 0), (990, 1_000, 880), (95, 125, 50)])
def test_a_region_stands_in_the_middle_of_its_window_or_at_a_contig_s_end(genome, start, end, window, strand):
    target = target_on_genome(genome, Interval("chr1", start, end, strand), 120)
    assert target.window == Interval("chr1", window, window + 120, strand)
    assert target.region == genome.window(Interval("chr1", start, end, strand)).sequence
    positions = target.positions()
    for index in (0, 57, 119):
        there = int(positions[index])
        assert target.sequence[index] == genome.window(Interval("chr1", there, there + 1, strand)).sequence
    assert sorted(positions[target.first : target.last].tolist()) == list(range(start, end))
    next_place = window - 1 if strand == "-" else window + 120
    is_known = 0 <= next_place < 1_000
    expected = genome.window(Interval("chr1", next_place, next_place + 1, strand)).sequence if is_known else "N"
    assert target.beyond == expected


def test_a_contig_shorter_than_the_window_is_filled_up_and_that_is_said(genome):
    target = target_on_genome(genome, Interval("short", 2, 6), 40)
    assert target.sequence == "ACGTNACGTT" + "N" * 30
    assert target.region == "GTNA"
    assert target.remarks == (
        "the window reaches 30 bases over the ends of short; these are N",
        "1 ambiguity codes were read as N",
    )


class Along:
    """Says what it is told, base by base."""

    def __init__(self, *columns):
        self.loaded, self._rows = loaded_model(STRANDED), np.array(columns, np.float32).T

    def predict(self, records):
        for _ in records:
            yield dataclasses.make_dataclass("Answer", ["probabilities"])(self._rows)


def test_the_label_with_the_highest_score_is_read_at_the_middle_of_its_summit():
    predictor = Along([0.1] * 6 + [0.7] * 3 + [0.95], [0.2, 0.9, 0.8, 0.8, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1])
    target = dataclasses.replace(target_of_record(Record(sequence="ACGTACGTAC", name="r")), first=2, last=9)
    asked = question_about(predictor, target)
    assert (asked.label, asked.column, asked.place, round(asked.probability, 3)) == ("site-", 1, 4, 0.9)
    assert question_about(predictor, target, label="site+").place == 7
    assert question_about(predictor, target, at="middle").place == 5
    assert question_about(predictor, target, label="site+", at="10").place == 9
    with pytest.raises(ConfigError, match=r"this model has no label 'x' among its 2; nearest are site"):
        question_about(predictor, target, label="x")
    for at in ("11", "top", "0"):
        with pytest.raises(ConfigError, match=r"summit, middle or a position from 1 to 10 \(the window of r\), got"):
            question_about(predictor, target, at=at)


def test_the_window_is_that_of_scans_or_the_region_of_a_label_for_the_whole():
    tokens, whole = loaded_model(STRANDED), loaded_model(YES_NO)
    scans = dataclasses.replace(tokens, notes={"scan": {"window_bp": 300}})
    assert window_for(scans, 20, None) == 300
    assert window_for(scans, 400, None) == 400
    assert window_for(tokens, 20, None) == 510
    assert window_for(whole, 20, None) == 20
    assert window_for(whole, 20, 100) == 100
    for region, window in ((20, 511), (600, None), (20, 10)):
        with pytest.raises(ConfigError, match=r"^r: .* cannot be read: it must hold \d+ bases, .* reads 510"):
            window_for(tokens, region, window, name="r")


def test_what_makes_no_explanation_is_refused():
    predictor = Predictor(loaded_model(STRANDED))
    with pytest.raises(ConfigError, match="r holds nothing but N; there is nothing to explain"):
        explain(predictor, target_of_record(Record(sequence="NNNN", name="r")), ExplainConfig())
    long = target_of_record(Record(sequence="ACGT" * 1_251, name="r"))
    with pytest.raises(ConfigError, match=r"r has 5,004 bases, .* at most 5,000 bases are explained at once"):
        explain(predictor, long, ExplainConfig())
    for wrong in ({"method": "foo"}, {"num_steps": 0}):  # before anything is computed
        with pytest.raises(ConfigError, match=r"method must be one of integrated-gradients, gradient with at least 1"):
            ExplainConfig(**wrong)
    with pytest.raises(DataError, match="record 'r' has an empty sequence"):
        target_of_record(Record(sequence="", name="r"))


def test_tokens_of_several_bases_are_read_where_the_place_lies():
    loaded = loaded_model(STRANDED, tokenizer=KmerTokenizer(8), bases_per_token=8)
    reader, sequence = Reader(loaded), dna(101, 3)
    (answer,) = Predictor(loaded).predict([Record(sequence=sequence)])
    with torch.no_grad():
        for place in (0, 7, 8, 50, 100):
            chance = torch.sigmoid(reader.log_odds(*reader.prepared([sequence], [place]))[0]).numpy()
            np.testing.assert_allclose(chance, answer.probabilities[place], atol=1e-6)


@pytest.mark.parametrize("max_length", [400, 50])
def test_bins_are_read_where_the_place_lies(max_length):
    task = BinClassification(
        labels=("x", "y+", "y-"),
        bin_bp=20,
        context_bp=20,
        max_length=max_length,
        overlap=20,
        strands="both",
        calibration=((2.0, 0.5), (1.0, -1.0), (1.0, -1.0)),
    )
    loaded = loaded_model(task, seed=1)
    reader, sequences = Reader(loaded), [dna(160, 3), dna(200, 4)]
    answers = list(Predictor(loaded).predict([Record(sequence=sequence) for sequence in sequences]))
    with torch.no_grad():
        for place in (20, 39, 40, 75, 139):
            chance = torch.sigmoid(reader.log_odds(*reader.prepared(sequences, [place, place]))).numpy()
            for row, answer in zip(chance, answers, strict=True):
                np.testing.assert_allclose(row, answer.probabilities[(place - 20) // 20], atol=1e-6)
        with pytest.raises(ConfigError, match="no answer for the 20 bases at either end of what it reads"):
            reader.log_odds(*reader.prepared(sequences, [19, 19]))


def test_a_model_of_bins_is_explained_in_whole_bins(genome):
    task = BinClassification(labels=("x", "y"), bin_bp=20, context_bp=20, max_length=402, overlap=20)
    loaded = loaded_model(task)
    assert window_for(loaded, 30, 61) == 80
    assert window_for(loaded, 30, None) == 400
    target = target_on_genome(genome, Interval("chr1", 0, 10), window_for(loaded, 10, 100), bin_bp=20)
    asked = question_about(Predictor(loaded), target, at="5")
    assert asked.place == 44
    found = mutations(Predictor(loaded), target, asked)
    assert np.isfinite(found.effects[:, :4]).all()
    for at in ("0", "-1", "top"):  # there is N at positions -39 to 0
        with pytest.raises(ConfigError, match=r"a position from 1 to 60 \(the window of chr1:1-10\), got"):
            question_about(Predictor(loaded), target, at=at)
    short = target_on_genome(genome, Interval("chr1", 0, 10), 20)
    with pytest.raises(ConfigError, match=r"chr1:1-10 has no score to explain: all of it lies at an end of what is"):
        question_about(Predictor(loaded), dataclasses.replace(short, sequence=short.sequence + dna(60, 1)))


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize(("start", "end"), [(500, 540), (0, 40), (960, 1_000), (503, 513), (3, 63)])
@pytest.mark.parametrize("window_bp", [100, 120, 400])
def test_bins_begin_where_the_region_begins_and_it_is_never_context(genome, start, end, strand, window_bp):
    """With 120 bases around 40 the margin would be two bins, with 100 one and a half."""
    task = BinClassification(labels=("x", "y"), bin_bp=20, context_bp=20, max_length=402, overlap=20)
    predictor = Predictor(loaded_model(task))
    region = Interval("chr1", start, end, strand)
    window_bp = max(window_bp, window_for(predictor.loaded, region.length, None) if end == 63 else 0)
    target = target_on_genome(genome, region, window_bp, bin_bp=20)
    assert target.region == genome.window(region).sequence
    assert ((start - target.window.start) % 20, len(target.sequence)) == (0, window_bp)
    assert 20 <= target.first <= target.last <= window_bp - 20
    asked = question_about(predictor, target)
    assert target.first <= asked.place < target.last
    assert np.isfinite(asked.probability)
    positions = target.positions()[target.first : target.last]
    assert sorted(positions.tolist()) == list(range(start, end))


def test_a_sequence_without_a_place_stands_in_a_window_of_n():
    record = Record(sequence="ACGTRACG", name="r")
    target = target_of_record(record, 15)
    assert (target.name, target.sequence, target.region) == ("r", "NNNACGTNACGNNNN", "ACGTNACG")
    assert target.positions()[target.first : target.last].tolist() == list(range(8))
    assert target.remarks == (
        "the window reaches 7 bases over the ends of r; these are N",
        "1 ambiguity codes were read as N",
    )
    assert target_of_record(record, 60, bin_bp=20).first == 20
