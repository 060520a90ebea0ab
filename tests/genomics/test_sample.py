"""The bundled stretch of human chromosome 22 is what its SOURCE.txt says."""

from pathlib import Path

import bigbird
from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval, read_annotation, start_sites

FOLDER = Path(bigbird.__file__).parent / "samples" / "chr22_slice"


def test_the_sample_holds_one_known_megabase_with_its_genes_at_their_true_places():
    genome = Genome.open(FOLDER / "genome.fa.gz")
    assert genome.contigs == {"chr22": 50_818_468}
    inside = genome.window(Interval("chr22", 30_000_000, 31_000_000)).sequence
    assert "N" not in inside
    assert set(genome.window(Interval("chr22", 29_000_000, 30_000_000)).sequence) == {"N"}
    features = read_annotation(FOLDER / "genes.gtf.gz", genome.contigs)
    coding = [feature for feature in features if feature.kind == "gene" and feature.biotype == "protein_coding"]
    names = {feature.gene for feature in coding}
    assert {"OSM", "LIF", "SF3A1"} <= names  # known to lie there
    # A known truth that only right places show: transcripts start on a purine after a pyrimidine.
    starts = [site for site in start_sites(coding, kind="gene") if 30_000_100 < site.start < 30_999_900]
    pairs = [
        genome.window(Interval("chr22", site.start - 1, site.start + 1, "+")).sequence
        if site.strand == "+"
        else genome.window(Interval("chr22", site.start, site.start + 2, "-")).sequence
        for site in starts
    ]
    assert len(starts) > 15
    assert sum(pair[0] in "CT" and pair[1] in "AG" for pair in pairs) / len(pairs) > 0.4  # by chance 0.25


def test_the_sample_carries_its_source_and_licence():
    text = (FOLDER / "SOURCE.txt").read_text()
    assert "SnakeAltPromoter 1.0.5" in text
    assert "Permission is hereby granted" in text
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000
