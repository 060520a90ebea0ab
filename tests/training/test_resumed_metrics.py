from bigbird.training.resumed_metrics import cut_to, position_of


def test_metrics_are_cut_to_the_byte_and_nothing_is_said(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert position_of(path) == 0
    assert cut_to(path, 0) is None
    path.write_text("one\ntwo\n")
    place = position_of(path)
    path.write_text("one\ntwo\nthree\nfo")
    assert cut_to(path, place) is None
    assert path.read_text() == "one\ntwo\n"
    assert cut_to(path, place) is None


def test_what_is_missing_is_told_and_whole_lines_stay(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("one\ntw")
    assert cut_to(path, 8).startswith(f"{path} holds 6 of the 8 bytes it had when the state was saved; what it said")
    assert path.read_text() == "one\n"
    path.unlink()
    assert cut_to(path, 8).startswith(f"{path} holds 0 of the 8 bytes")
    assert not path.exists()
