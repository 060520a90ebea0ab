import numpy as np
import pytest

from bigbird.data.intervals import Interval
from bigbird.genomics.plots import draw_scan
from bigbird.genomics.track import Track


@pytest.mark.parametrize("labels", [("Reb1", "Abf1"), ("promoter+", "promoter-")])
def test_scores_take_most_of_a_picture_without_calls(tmp_path, monkeypatch, labels):
    figures = []
    figure = pytest.importorskip("matplotlib.figure").Figure
    save = figure.savefig

    def saved(drawn, *place, **options):
        figures.append(drawn)
        save(drawn, *place, **options)

    monkeypatch.setattr(figure, "savefig", saved)
    track = Track(Interval("chr1", 0, 2_000), 200, np.full((10, 2), 0.1, np.float32), labels)
    draw_scan(tmp_path / "scan.png", track, [], [], threshold=0.5)
    assert figures[0].axes[0].get_position().height > 0.5
