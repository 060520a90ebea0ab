import gzip
import logging

import pytest

from bigbird.data.intervals import (
    Interval,
    in_genome_order,
    parse_region,
    read_annotation,
    read_bed,
    start_sites,
    translate_names,
)
from bigbird.errors import ConfigError, DataError

CONTIGS = {"chr1": 1000, "chr2": 500, "chrM": 100}


def written(tmp_path, text, name="file.bed"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["file.bed", "file.bed.gz"])
def test_bed_lines_of_three_to_six_columns(tmp_path, name):
    text = "track name=x\n# a comment\nchr1\t0\t10\r\nchr1 20 30 gene 0 -\n\nchr2\t499\t500\tb\t.\t+\n"
    assert read_bed(written(tmp_path, text, name), CONTIGS) == [
        Interval("chr1", 0, 10),
        Interval("chr1", 20, 30, "-", "gene"),
        Interval("chr2", 499, 500, "+", "b"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t990\t1001", r"file.bed:1: chr1:990-1001 goes beyond the contig, which has 1000 bases.*same assembly"),
        ("chr1\t10\t10", r"file.bed:1: BED counts from 0 and needs 0 <= start < end, got start 10, end 10"),
        ("chr1\t-1\t10", r"0 <= start < end, got start -1"),
        ("chr1\t10", r"file.bed:1: a BED line needs at least 3 columns .*got 2"),
        ("chr1\tten\t20", r"start and end must be whole numbers, got 'ten' and '20'"),
        ("chr1\t1e3\t2e3", r"must be whole numbers, got '1e3'"),
        ("chr9\t0\t10", r"the genome has no contig chr9; it has chr1, chr2, chrM\. Is it the same assembly\?"),
        ("", r"file.bed holds no intervals"),
        ("chr1\t0\t10\0", r"file.bed:1: this is a binary file, not text"),
    ],
)
def test_a_bad_bed_line_is_refused_with_its_number(tmp_path, line, message):
    with pytest.raises(DataError, match=message):
        read_bed(written(tmp_path, line + "\n"), CONTIGS)


def test_text_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "file.bed").write_bytes(b"chr1\t0\t10\nchr\xff\t0\t10\n")
    with pytest.raises(DataError, match=r"file.bed:2: byte 4 is not UTF-8 text"):
        read_bed(tmp_path / "file.bed", CONTIGS)


def test_lines_of_other_contigs_are_left_out_aloud_when_asked_for(tmp_path, caplog):
    path = written(tmp_path, "chr1\t0\t1\nchr9\t0\t1\n")
    assert read_bed(path, CONTIGS, missing="skip") == [Interval("chr1", 0, 1)]
    assert "left out contigs the genome lacks: chr9" in caplog.text


@pytest.mark.parametrize(
    ("given", "contigs", "found"),
    [("1", CONTIGS, "chr1"), ("chr1", {"1": 9}, "1"), ("MT", CONTIGS, "chrM"), ("chrM", {"MT": 9}, "MT"),
     ("M", {"chrMT": 9}, "chrMT"), ("Chr2", CONTIGS, "chr2")],
)  # fmt: skip
def test_names_with_and_without_chr_are_reconciled_aloud(given, contigs, found, caplog):
    with caplog.at_level(logging.WARNING):
        assert translate_names([given], contigs, source="it") == {given: found}
    assert f"it names contigs unlike the genome; read as: {given} -> {found}" in caplog.text


def test_names_that_fit_are_taken_silently(caplog):
    assert translate_names(["chr1"], CONTIGS, source="it") == {"chr1": "chr1"}
    assert not caplog.records


GTF = '''#comment
chr1\tHAVANA\tgene\t101\t200\t.\t+\t.\tgene_id "G1"; gene_type "protein_coding"; gene_name "ALPHA";
chr1\tHAVANA\ttranscript\t111\t200\t.\t+\t.\tgene_id "G1"; transcript_id "T1"; gene_name "ALPHA";
chr1\tHAVANA\texon\t111\t150\t.\t+\t.\tgene_id "G1";
chr2\tHAVANA\tgene\t301\t400\t.\t-\t.\t"gene_id ""BETA""; transcript_id """"; gene_biotype ""lncRNA""; "
'''
GFF = """##gff-version 3
1\thavana\tncRNA_gene\t101\t200\t.\t-\t.\tID=gene:E1;Name=ALPHA;biotype=lncRNA
1\thavana\tlnc_RNA\t101\t190\t.\t-\t.\tID=transcript:T1;Parent=gene:E1;Name=ALPHA-201;biotype=lncRNA
1\thavana\tbiological_region\t1\t5\t.\t+\t.\tID=x
##FASTA
>1
ACGT
"""


def test_gtf_also_with_the_doubled_quotes_of_table_programs(tmp_path):
    genes = [f for f in read_annotation(written(tmp_path, GTF, "a.gtf"), CONTIGS) if f.kind == "gene"]
    assert [(f.gene, f.biotype, f.start_site, f.interval.strand) for f in genes] == [
        ("ALPHA", "protein_coding", 100, "+"),
        ("BETA", "lncRNA", 399, "-"),
    ]


def test_gff3_with_other_contig_names(tmp_path, caplog):
    features = read_annotation(written(tmp_path, GFF, "a.gff3.gz"), CONTIGS)
    assert [(f.kind, f.gene, f.biotype, f.start_site) for f in features] == [
        ("gene", "ALPHA", "lncRNA", 199),
        ("transcript", "ALPHA-201", "lncRNA", 189),
    ]
    assert "read as: 1 -> chr1" in caplog.text


def test_start_sites_are_distinct_single_bases_in_order(tmp_path):
    features = read_annotation(written(tmp_path, GTF, "a.gtf"), CONTIGS)
    assert start_sites(features) == [Interval("chr1", 110, 111, "+", "ALPHA")]
    assert start_sites([*features, *features], kind="gene") == [
        Interval("chr1", 100, 101, "+", "ALPHA"),
        Interval("chr2", 399, 400, "-", "BETA"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\tx\tgene\t0\t10\t.\t+\t.\tgene_id 1", r"a.gtf:1: GTF and GFF3 count from 1 and need 1 <= start <= end"),
        ("chr1\tx\tgene\t5\t1001\t.\t+\t.\tgene_id 1", r"a.gtf:1: chr1:4-1001 goes beyond the contig"),
        ("chr1 x gene 5 10 . + . gene_id", r"a.gtf:1: a GTF or GFF3 line needs 9 columns separated by tabs, got 1"),
        ("chr1\tx\texon\t5\t10\t.\t+\t.\tgene_id 1", r"a.gtf holds no gene or transcript rows; it must be GTF or GFF3"),
    ],
)
def test_a_bad_annotation_line_is_refused_with_its_number(tmp_path, line, message):
    with pytest.raises(DataError, match=message):
        read_annotation(written(tmp_path, line + "\n", "a.gtf"), CONTIGS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("chr1", (0, 1000)), ("chr1:1-10", (0, 10)), ("chr1:901-1,000", (900, 1000)), ("1:5-5", (4, 5))],
)
def test_regions_count_from_one_and_include_both_ends(text, expected):
    region = parse_region(text, CONTIGS)
    assert (region.contig, region.start, region.end) == ("chr1", *expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1:5", r"region 'chr1:5' is not of the form contig or contig:start-end, for example chr22:1-50000"),
        ("chr1:0-10", r"region 'chr1:0-10' must satisfy 1 <= start <= end <= 1000, the length of chr1"),
        ("chr1:10-2000", r"<= 1000"),
        ("chrX", r"the genome has no contig chrX"),
        ("", r"is not of the form"),
        ("chr1:,-,", r"region 'chr1:,-,' is not of the form contig or contig:start-end"),
        (":1-5", r"region ':1-5' is not of the form"),
        ("chr1:1-" + "9" * 5000, r"is not of the form"),
        ("chr1:1-\u0665", r"is not of the form"),
    ],
)
def test_a_region_off_the_genome_is_refused(text, message):
    with pytest.raises(DataError, match=message):
        parse_region(text, CONTIGS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HLA-A*01:01", Interval("HLA-A*01:01", 0, 3000)),
        ("HLA-A*01:01:5-10", Interval("HLA-A*01:01", 4, 10)),
        ("c:1-2", Interval("c:1-2", 0, 7)),
        ("c:1-2:3-4", Interval("c:1-2", 2, 4)),
    ],
)
def test_a_contig_s_name_may_hold_a_colon(text, expected):
    assert parse_region(text, {"HLA-A*01:01": 3000, "c": 50, "c:1-2": 7}) == expected


def test_regions_are_put_in_the_order_of_the_genome():
    regions = [Interval("b", 5, 9), Interval("a", 8, 9), Interval("a", 0, 8), Interval("b", 0, 5)]
    assert in_genome_order(regions, ["b", "a"]) == [regions[3], regions[0], regions[2], regions[1]]


def test_regions_that_share_bases_are_refused():
    regions = [Interval("a", 1999, 3000), Interval("b", 0, 9), Interval("a", 0, 2000)]
    with pytest.raises(ConfigError, match=r"the regions a:1-2,000 and a:2,000-3,000 share bases; give each base once"):
        in_genome_order(regions, ["a", "b"])
