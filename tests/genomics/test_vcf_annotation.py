"""A whole VCF file through a model: nothing lost, nothing altered, everything said."""

import gzip
import itertools
import logging
import os
import re
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from bigbird.data.genome import Genome
from bigbird.errors import ConfigError, DataError, InputError
from bigbird.genomics.variant_config import VariantsConfig
from bigbird.genomics.variant_fields import InfoFields, field_names
from bigbird.genomics.vcf import read_lines
from bigbird.genomics.vcf_annotation import annotate_vcf, in_words
from bigbird.predictor import Predictor
from bigbird.tasks import Classification, SequenceLabels
from helpers import STRANDED, loaded_model
from variant_cases import HARD, HARD_VCF, HEADER, Letters, base, genome_in, other, row, without_ours

CONFIG = VariantsConfig(window_bp=101)
REAL = os.environ.get("BIGBIRD_GENOMICS")  # folder with human_grch38_chr16 and variants_dbsnp156_chr16


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return genome_in(tmp_path_factory.mktemp("genome"))


def annotated(folder, genome, text, *, config=CONFIG, predictor=None, name="out.vcf", table=None):
    """The file that comes out, and the counts."""
    source = folder / "in.vcf"
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    counts = annotate_vcf(predictor or Letters(), genome, source, folder / name, config, model="a", table=table)
    return (folder / name).read_bytes(), counts


def infos(data):
    """INFO of each record as a dictionary."""
    records = [line.split(b"\t") for line in data.splitlines() if line and not line.startswith(b"#")]
    return [dict(entry.partition("=")[::2] for entry in columns[7].decode().split(";") if entry) for columns in records]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["with a line end", "without"])
def test_of_hard_records_none_is_lost_or_altered(tmp_path, genome, end, last):
    text = HARD_VCF.replace("\n", end)
    text = text if last == "with a line end" else text.removesuffix(end)
    data, counts = annotated(tmp_path, genome, text)
    assert without_ours(data) == without_ours(text.encode())
    reasons = [reason for _, of_alts in HARD for reason in of_alts]
    assert (counts.num_records, counts.num_alleles) == (len(HARD), len(reasons))
    assert counts.num_scored == reasons.count(None)
    assert counts.reasons == {reason: reasons.count(reason) for reason in set(reasons) - {None}}
    for info, (record, of_alts) in zip(infos(data), HARD, strict=True):
        for name in ("DIFF_site_plus", "LOGODDS_site_minus", "MAX", "MAX_LABEL"):
            values = info.get(f"BIGBIRD_{name}", ",".join("." * len(of_alts))).split(",")
            assert [value == "." for value in values] == [reason is not None for reason in of_alts], record
        why = info.get("BIGBIRD_WHY", ",".join("." * len(of_alts))).split(",")
        assert why == [reason or "." for reason in of_alts], record


def test_values_are_those_of_the_model(tmp_path, genome):
    ref, alt = base(500), other(base(500))
    data, _ = annotated(tmp_path, genome, HEADER + row("chr1", 500, ref, f"<DEL>,{alt}"))
    around = base(450, count=50) + "{}" + base(501, count=50)
    (info,) = infos(data)
    largest = 0.0
    for label, letter in (("site_plus", "A"), ("site_minus", "T")):
        before, after = ((around.format(allele).count(letter) / 101) for allele in (ref, alt))
        change = np.log(after / (1 - after)) - np.log(before / (1 - before))
        for name, value in (("DIFF", after - before), ("LOGODDS", change)):
            missing, found = info[f"BIGBIRD_{name}_{label}"].split(",")
            assert missing == "."
            assert float(found) == pytest.approx(value, rel=1e-5, abs=1e-9)
        largest = max(largest, change, key=abs)
    assert float(info["BIGBIRD_MAX"].split(",")[1]) == pytest.approx(largest, rel=1e-5)
    assert info["BIGBIRD_WHY"] == "symbolic,."


def test_every_field_is_declared_with_model_version_and_window(tmp_path, genome):
    data, _ = annotated(tmp_path, genome, HARD_VCF)
    header = [line for line in data.decode().splitlines() if line.startswith("##")]
    declared = {match[1]: match[2] for line in header if (match := re.match(r"##INFO=<ID=(\w+),Number=(.)", line))}
    used = {name for info in infos(data) for name in info if name.startswith("BIGBIRD_")}
    assert used <= declared.keys()
    assert declared["BIGBIRD_DIFF_site_plus"] == "A"
    described = (
        r'Type=Float,Description="Difference of log odds of site-, ALT minus REF; bigbird [\d.]+, model a, windows'
    )
    assert any(re.search(f"ID=BIGBIRD_LOGODDS_site_minus,Number=A,{described} of 101 bases", line) for line in header)
    (about,) = [line for line in header if line.startswith("##BIGBIRD_variants=")]
    assert about.endswith('model a, windows of 101 bases; reach_bp 100, reading mean, placements 1"')


def test_a_second_run_replaces_the_first_and_gives_the_same_file(tmp_path, genome, caplog):
    once, _ = annotated(tmp_path, genome, HARD_VCF)
    assert "earlier run" not in caplog.text
    twice, _ = annotated(tmp_path, genome, once)
    assert twice == once
    assert (
        "holds fields named BIGBIRD_… of an earlier run; they are replaced. To keep them, give another" in caplog.text
    )
    both, _ = annotated(tmp_path, genome, once, config=VariantsConfig(window_bp=51, info_prefix="SHORT"))
    assert without_ours(both, "SHORT") == without_ours(once, "SHORT")
    assert all("SHORT_WHY" in info or "BIGBIRD_MAX" in info for info in infos(both))


def test_fields_of_an_earlier_run_are_told_even_when_the_header_lost_them(tmp_path, genome, caplog):
    text = HEADER + row("chr1", 500, base(500), other(base(500)), info="BIGBIRD_MAX=7;DP=3")
    data, _ = annotated(tmp_path, genome, text)
    assert b"BIGBIRD_MAX=7" not in data
    assert "of an earlier run; they are replaced" in caplog.text


@pytest.mark.parametrize("text", [HEADER, HEADER.removesuffix("\n"), HEADER + "\n#end\n"])
def test_a_file_without_records_comes_out_with_the_declarations(tmp_path, genome, text):
    data, counts = annotated(tmp_path, genome, text)
    assert without_ours(data) == without_ours(text.encode())
    assert b"BIGBIRD_MAX" in data
    assert counts.num_records == 0


def test_comments_and_blank_lines_stay_where_they_are(tmp_path, genome):
    one, two = (row("chr1", place, base(place), other(base(place))) for place in (500, 600))
    text = f"{HEADER}{one}# between\n\n{two}# last\n"
    data, counts = annotated(tmp_path, genome, text)
    assert without_ours(data) == without_ours(text.encode())
    assert counts.num_records == 2


@pytest.mark.parametrize("kind", ["plain gzip", "bgzip"])
def test_compressed_files_are_read_and_written_for_tabix(tmp_path, genome, kind):
    pysam = pytest.importorskip("pysam")
    records = sorted(
        (row("1", p, base(p), other(base(p))) for p in range(100, 600, 50)), key=lambda r: int(r.split()[1])
    )
    source, target, text = tmp_path / "in.vcf.gz", tmp_path / "out.vcf.gz", HEADER + "".join(records)
    if kind == "bgzip":
        with pysam.BGZFile(str(source), "wb") as file:
            file.write(text.encode())
    else:
        source.write_bytes(gzip.compress(text.encode()))
    annotate_vcf(Letters(), genome, source, target, CONFIG, model="a")
    assert without_ours(gzip.decompress(target.read_bytes())) == without_ours(text.encode())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.vcf.gz", "out.vcf.gz"]
    pysam.tabix_index(str(target), preset="vcf")
    with pysam.VariantFile(str(target)) as opened:
        (found,) = opened.fetch("1", 199, 200)
        assert len(found.info["BIGBIRD_DIFF_site_plus"]) == 1
        assert isinstance(found.info["BIGBIRD_MAX"][0], float)


def test_pysam_reads_what_is_written_for_hard_records(tmp_path, genome):
    pysam = pytest.importorskip("pysam")
    odd = ("A-", "\t\t", "DP=3;\t", "H2;", "caf", "chrUn")  # what htslib itself does not take
    kept = [record for record, _ in HARD if not any(part in record for part in odd)]
    lines = [f"##contig=<ID={name},length={length}>" for name, length in {**genome.contigs, "1": 3_000}.items()]
    kinds = (("INFO", "DP", "Integer"), ("INFO", "SVTYPE", "String"), ("INFO", "END", "Integer"))
    for kind, name, value in (*kinds, ("FORMAT", "GT", "String"), ("FORMAT", "DP", "Integer")):
        lines.append(f'##{kind}=<ID={name},Number=1,Type={value},Description="x">')
    lines.append(HEADER.splitlines()[-1])
    annotated(tmp_path, genome, "\n".join(["##fileformat=VCFv4.2", *lines, *kept]).replace("\n\n", "\n"))
    with pysam.VariantFile(str(tmp_path / "out.vcf")) as opened:
        found = list(opened)
        assert len(found) == len(kept) > 25
        for record in found:
            for name, value in record.info.items():
                if name.startswith("BIGBIRD_") and name not in ("BIGBIRD_WHY", "BIGBIRD_REF_MISMATCH"):
                    assert len(value) == len(record.alts)


def test_mismatches_are_told_before_anything_is_scored_and_leave_no_file(tmp_path, genome):
    text = HEADER + row("chr1", 500, other(base(500)), base(500))
    letters = Letters()
    with pytest.raises(DataError, match=r"in\.vcf: REF differs .* in line 6, is chr1:500 .* Nothing was scored\."):
        annotated(tmp_path, genome, text, predictor=letters)
    assert not letters.seen
    assert [path.name for path in tmp_path.iterdir()] == ["in.vcf"]


@pytest.mark.parametrize("policy", ["skip", "warn"])
def test_mismatches_are_kept_marked_and_counted(tmp_path, genome, caplog, policy):
    records = [row("chr1", place, base(place), other(base(place))) for place in range(500, 520)]
    records[7] = row("chr1", 507, other(base(507)), f"{base(507)},*")
    records[9] = row("chr1", 5_000, "A", "C")
    config = VariantsConfig(window_bp=101, on_ref_mismatch=policy)
    data, counts = annotated(tmp_path, genome, HEADER + "".join(records), config=config)
    assert without_ours(data) == without_ours((HEADER + "".join(records)).encode())
    info = infos(data)[7]
    if policy == "skip":
        assert info == {"DP": "3", "BIGBIRD_WHY": "ref_mismatch,spanning_deletion"}
    else:
        assert info["BIGBIRD_WHY"] == ".,spanning_deletion"
        assert "BIGBIRD_REF_MISMATCH" in info
    assert infos(data)[9] == {"DP": "3", "BIGBIRD_WHY": "outside_contig"}
    assert not any("BIGBIRD_REF_MISMATCH" in info for info in infos(data)[:7])
    assert (counts.num_checked, counts.num_differing) == (20, 2)
    assert "REF differs from the genome in 2 of 20 records looked at" in caplog.text
    assert "REF agrees with the genome in 18 of 20 records in which it was looked at" in list(in_words(counts))


def test_contigs_are_translated_and_missing_ones_told(tmp_path, genome, caplog):
    annotated(tmp_path, genome, HARD_VCF)
    assert "in.vcf names contigs unlike the genome; read as: 1 -> chr1" in caplog.text
    assert "in.vcf: the genome lacks chrUn_1; 1 records there are kept without a score" in caplog.text


@pytest.mark.parametrize(("window_bp", "number"), [(101, 0), (398, 0), (402, 1)])
def test_windows_of_little_but_n_are_counted(tmp_path, genome, window_bp, number):
    text = HEADER + row("chr3", 100, base(100, "chr3"), other(base(100, "chr3")))  # of 200 bases, one of them R
    _, counts = annotated(tmp_path, genome, text, config=VariantsConfig(window_bp=window_bp))
    assert counts.num_unknown == number
    words = "1 scored records have a window of which more than half is N"
    assert (words in list(in_words(counts))) == (number == 1)


def test_a_file_of_nothing_but_unknown_contigs_is_refused(tmp_path, genome):
    text = HEADER + row("chr9", 5, "A", "C") + row("chr8", 5, "A", "C")
    with pytest.raises(
        DataError, match=r"in\.vcf: the genome has no contig chr8, chr9; it has chr1, .* same assembly\?"
    ):
        annotated(tmp_path, genome, text)


def test_a_header_that_gives_another_length_is_told(tmp_path, genome, caplog):
    text = HEADER.replace("length=3000", "length=3001") + row("1", 500, base(500), other(base(500)))
    annotated(tmp_path, genome, text)
    assert "its header gives 1 3001 bases, the genome has 3000. Is it the same assembly?" in caplog.text


@pytest.fixture
def many_labels():
    """A model of 300 labels, of which the share of A decides one and that of T another."""
    labels = tuple(f"track {number}" for number in range(300))

    class Many(Letters):
        def __init__(self):
            super().__init__(Classification(labels=labels, answer="many"))

        def predict(self, records):
            for answer in super().predict(records):
                values = np.full(300, 0.5)
                values[[7, 299]] = answer.probabilities
                yield SequenceLabels((), values)

    return Many()


def test_of_many_labels_info_holds_those_asked_for_and_the_largest_change(tmp_path, genome, many_labels):
    position = next(place for place in range(500, 600) if base(place) == "A")
    text = HEADER + row("chr1", position, "A", "G")
    data, _ = annotated(tmp_path, genome, text, predictor=many_labels, table=tmp_path / "all.tsv")
    (info,) = infos(data)
    assert set(info) == {"DP", "BIGBIRD_MAX", "BIGBIRD_MAX_LABEL"}
    assert info["BIGBIRD_MAX_LABEL"] == "track%207"
    assert len((tmp_path / "all.tsv").read_text().splitlines()) == 301
    config = VariantsConfig(window_bp=101, labels=("track 7", "track 5"))
    data, _ = annotated(tmp_path, genome, text, predictor=many_labels, config=config, table=tmp_path / "some.tsv")
    assert {"BIGBIRD_DIFF_track_7", "BIGBIRD_LOGODDS_track_5", "BIGBIRD_MAX"} < set(infos(data)[0])
    assert [line.split("\t")[5] for line in (tmp_path / "some.tsv").read_text().splitlines()] == [
        "label",
        "track 7",
        "track 5",
    ]


def test_the_table_has_a_line_for_each_alt_and_label(tmp_path, genome):
    data, counts = annotated(tmp_path, genome, HARD_VCF, table=tmp_path / "out.tsv")
    header, *lines = ((tmp_path / "out.tsv").read_text().removesuffix("\n")).split("\n")
    assert header.split("\t") == [
        "contig", "position", "id", "ref", "alt", "label",
        "ref_probability", "alt_probability", "difference", "log_odds", "reason",
    ]  # fmt: skip
    rows = [line.split("\t") for line in lines]
    assert len(rows) == 2 * counts.num_scored + sum(counts.reasons.values())
    assert {len(cells) for cells in rows} == {11}
    assert rows[0][:6] == ["chr1", "500", "rs1;rs2", base(500), other(base(500)), "site+"]
    assert float(rows[0][7]) - float(rows[0][6]) == pytest.approx(float(rows[0][8]), abs=1e-6)
    assert rows[0][8] == infos(data)[0]["BIGBIRD_DIFF_site_plus"]
    unscored = [cells for cells in rows if cells[10] != "."]
    assert all(cells[5:10] == ["."] * 5 for cells in unscored)
    assert [cells[10] for cells in unscored] == [reason for _, of_alts in HARD for reason in of_alts if reason]


def test_a_table_may_be_gzip_and_keeps_bytes_that_are_no_text(tmp_path, genome):
    text = (HEADER + row("chr1", 500, base(500), other(base(500)), name="@")).encode().replace(b"@", b"r\xff")
    for name in ("out.tsv", "out.tsv.gz"):
        annotated(tmp_path, genome, text, table=tmp_path / name)
    plain = (tmp_path / "out.tsv").read_bytes()
    assert gzip.decompress((tmp_path / "out.tsv.gz").read_bytes()) == plain
    assert plain.splitlines()[1].split(b"\t")[2] == b"r\xff"


def test_names_of_fields_are_legal_and_distinct():
    labels = ("a+", "a-", "CTCF (K562)", "CTCF [K562]", "é", "a_plus", "x")
    names = field_names(labels)
    assert names == {
        "a+": "a_plus", "a-": "a_minus", "CTCF (K562)": "CTCF__K562_", "CTCF [K562]": "CTCF__K562__2", "é": "_",
        "a_plus": "a_plus_2", "x": "x",
    }  # fmt: skip
    fields = InfoFields(labels=labels, config=CONFIG, model='say "x"')
    for line in fields.declarations()[1:]:
        assert re.fullmatch(
            r'##INFO=<ID=[A-Za-z_][\w.]*,Number=[A.0],Type=(Float|String|Flag),Description="(?:[^"\\]|\\.)*">', line
        ), line
        assert fields.stale_header.match(line)


def test_the_input_is_never_the_output_and_a_table_is_whole_or_not_there(tmp_path, genome):
    with pytest.raises(InputError, match=r"in\.vcf is what is read; name another file"):
        annotated(tmp_path, genome, HARD_VCF, name="in.vcf")

    class Dies(Letters):
        def predict(self, records):
            yield from itertools.islice(super().predict(records), 3)
            raise RuntimeError("dead")

    with pytest.raises(RuntimeError, match="dead"):
        annotated(tmp_path, genome, HARD_VCF, predictor=Dies(), table=tmp_path / "out.tsv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.vcf"]


def test_a_model_s_fit_is_looked_at_first(tmp_path, genome):
    with pytest.raises(ConfigError, match="window_bp 5,000 is more than model a reads at once; set it to 510 or less"):
        annotated(tmp_path, genome, HARD_VCF, config=VariantsConfig(window_bp=5_000))


KILLED = """
import os, signal, sys
from pathlib import Path
from bigbird.data.genome import Genome
from bigbird.genomics.variant_config import VariantsConfig
from bigbird.genomics.vcf_annotation import annotate_vcf
from variant_cases import Letters

class Killed(Letters):
    def predict(self, records):
        yield next(super().predict(records))
        os.kill(os.getpid(), signal.SIGKILL)

genome, config = Genome.open(Path("genome.fa")), VariantsConfig(window_bp=101)
annotate_vcf(Killed(), genome, Path("in.vcf"), Path("out.vcf"), config, model="a")
"""


def test_a_killed_run_leaves_no_half_file_and_the_next_one_is_whole(tmp_path):
    genome = genome_in(tmp_path)
    (tmp_path / "in.vcf").write_text(HARD_VCF)
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=tmp_path, check=False, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out.vcf").exists()
    data, _ = annotated(tmp_path, genome, HARD_VCF)
    assert without_ours(data) == without_ours(HARD_VCF.encode())
    assert not list(tmp_path.glob(".*.part"))


def test_a_long_file_is_not_held_in_memory(tmp_path, genome):
    """Of 2,000 lines of 10,000 bytes, some of them scored, only a few are held at once."""
    info = "X=" + "x" * 10_000
    alts = (other(base(500)), "<DEL>", "<DEL>", "<DEL>", "<DEL>")
    text = HEADER + "".join(row("chr1", 500, base(500), alts[number % 5], info=info) for number in range(2_000))
    (tmp_path / "in.vcf").write_text(text)
    del text
    tracemalloc.start()
    try:
        annotate_vcf(Letters(), genome, tmp_path / "in.vcf", tmp_path / "out.vcf", CONFIG, model="a")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


def test_lines_are_watched_as_they_are_taken(tmp_path, genome):
    (tmp_path / "in.vcf").write_text(HARD_VCF)
    seen = []

    def watch(lines, total):
        for line in lines:
            seen.append((line.number, total))
            yield line

    annotate_vcf(Letters(), genome, tmp_path / "in.vcf", tmp_path / "out.vcf", CONFIG, model="a", watch=watch)
    assert seen == [(number, len(HARD)) for number in range(6, 6 + len(HARD))]


def test_a_real_model_s_scores_come_through(tmp_path, genome):
    data, counts = annotated(tmp_path, genome, HARD_VCF, predictor=Predictor(loaded_model(STRANDED)))
    assert without_ours(data) == without_ours(HARD_VCF.encode())
    changes = [
        float(value) for info in infos(data) for value in info.get("BIGBIRD_MAX", ".").split(",") if value != "."
    ]
    assert len(changes) == counts.num_scored
    assert sum(change != 0 for change in changes) == counts.num_scored - 1  # of one ALT is REF


@pytest.fixture(scope="module")
def dbsnp(tmp_path_factory):
    """The first ten thousand records of dbSNP on chr16, and the chromosome."""
    if not REAL:
        pytest.skip("BIGBIRD_GENOMICS is not set")
    folder, path = Path(REAL), tmp_path_factory.mktemp("dbsnp") / "in.vcf"
    with gzip.open(folder / "variants_dbsnp156_chr16/dbsnp156_chr16_50k.vcf.gz") as file:
        header = list(itertools.takewhile(lambda line: not line.startswith(b"chr"), file))
    with gzip.open(folder / "variants_dbsnp156_chr16/dbsnp156_chr16_50k.vcf.gz") as file:
        path.write_bytes(b"".join(itertools.islice(file, len(header) + 10_000)))
    return path, Genome.open(folder / "human_grch38_chr16/chr16.fa.gz")


def test_ten_thousand_records_of_dbsnp_go_through(tmp_path, dbsnp):
    path, genome = dbsnp
    config = VariantsConfig(window_bp=510)  # the longest allele has 262 letters
    counts = annotate_vcf(Letters(), genome, path, tmp_path / "out.vcf", config, model="a", table=tmp_path / "out.tsv")
    assert without_ours((tmp_path / "out.vcf").read_bytes()) == without_ours(path.read_bytes())
    assert (counts.num_records, counts.num_checked, counts.num_differing) == (10_000, 10_000, 0)
    assert counts.num_scored == counts.num_alleles > 10_000


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda v: (v.contig, v.position - 1, v.ref, v.alts), "positions count from 0, VCF counts from 1"),
        (lambda v: (v.contig, v.position + 1, v.ref, v.alts), "positions are one too high"),
        (lambda v: (v.contig, v.position, v.alts[0], (v.ref, *v.alts[1:])), "REF and ALT are swapped"),
        (lambda v: (v.contig, v.position + 1_000_003, v.ref, v.alts), "another assembly (GRCh37, GRCh38, T2T)"),
    ],
)
def test_dbsnp_for_another_build_is_told_with_the_cause(tmp_path, dbsnp, change, cause):
    path, genome = dbsnp
    records = itertools.islice((change(line.variant) for line in read_lines(path) if line.variant), 500)
    lines = [f"{contig}\t{position}\t.\t{ref}\t{','.join(alts)}\t.\t.\t.\n" for contig, position, ref, alts in records]
    text = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(lines)
    with pytest.raises(DataError) as caught:
        annotated(tmp_path, genome, text)
    assert f"Likely cause: {cause}" in str(caught.value)
    logging.getLogger(__name__).info("%s", caught.value)
