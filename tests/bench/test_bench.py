"""Measurements: who is right takes part, who is wrong stops them, and what comes out can be read."""

import json
from dataclasses import replace

import pytest

from bigbird import config as configs
from bigbird.attention import PatternSpec, native_cpu
from bigbird.bench import attention, contenders, encoder, model, report
from bigbird.bench.memory import peak_of
from bigbird.bench.timing import Spread, in_turn
from bigbird.errors import ConfigError

SMALL = attention.AttentionBench(
    lengths=(256,), rounds=2, num_heads=2, head_dim=16, spec=PatternSpec(block_size=16), memory=False
)


@pytest.mark.parametrize("name", [name for name in contenders.CONTENDERS if "compiled" not in name])
def test_everybody_computes_what_is_said_of_them(name):
    if "Hugging Face" in name:
        pytest.importorskip("transformers")
    if name == "native" and native_cpu.instruction_set() is None:
        pytest.skip("the native library is not built")
    shape = contenders.Shape(length=1024, num_heads=2, head_dim=16, spec=PatternSpec(block_size=16))
    error, allowed = attention._worst_error(contenders.CONTENDERS[name], shape)
    assert error <= allowed


def test_nothing_is_timed_while_ours_is_wrong(monkeypatch):
    wrong = replace(contenders.CONTENDERS["gathered"], prepare=lambda _: lambda q, k, v: q + k + v)
    monkeypatch.setitem(contenders.CONTENDERS, "gathered", wrong)
    with pytest.raises(RuntimeError, match=r"gathered is wrong \(error .*\): nothing is timed"):
        attention.run(replace(SMALL, contenders=("gathered",)), say=lambda _: None)


def test_a_rival_that_is_wrong_or_absent_is_left_out_and_named(monkeypatch):
    def absent(_):
        raise ImportError("it is not installed\nat all")

    dense = "dense (PyTorch SDPA)"
    monkeypatch.setitem(
        contenders.CONTENDERS, dense, replace(contenders.CONTENDERS[dense], prepare=lambda _: lambda q, k, v: q + k + v)
    )
    flex = next(name for name in contenders.CONTENDERS if name.startswith("Flex"))
    monkeypatch.setitem(contenders.CONTENDERS, flex, replace(contenders.CONTENDERS[flex], prepare=absent))
    lines = []
    measured = attention.run(replace(SMALL, contenders=("gathered", "dense", "Flex")), say=lines.append)
    assert {result["contender"] for result in measured["results"]} == {"gathered"}
    assert any(line.startswith(f"{dense} is not timed: error") for line in lines)
    assert f"{flex} takes no part: it is not installed" in lines


def test_the_file_and_the_picture(tmp_path):
    chosen = replace(SMALL, lengths=(256, 512), contenders=("gathered", "dense"))
    measured = attention.run(chosen, say=lambda _: None)
    lines = []
    path = tmp_path / "results" / "attention.json"
    report.write(path, "attention", configs.to_json(chosen), measured, say=lines.append)
    found = json.loads(path.read_text())
    assert found["config"]["lengths"] == [256, 512]
    assert {"commit", "torch", "processor", "threads", "date"} <= set(found["about"])
    assert {(r["contender"], r["length"], r["pass"]) for r in found["results"]} == {
        (name, length, kind)
        for name in ("gathered", "dense (PyTorch SDPA)")
        for length in (256, 512)
        for kind in attention.PASSES
    }
    for result in found["results"]:
        assert 0 < result["seconds"]["least"] <= result["seconds"]["median"] <= result["seconds"]["most"]
    if path.with_suffix(".png").exists():
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_useful_operations_count_visible_pairs_once():
    pattern = PatternSpec(block_size=16).build(num_blocks=40, num_heads=3)
    assert contenders.useful_operations(pattern, 8) == 4 * 8 * 16**2 * int((pattern.counts() > 0).sum())


def test_layers_and_steps_are_timed():
    pytest.importorskip("transformers")
    small = model.ModelBench(lengths=(1024,), size="tiny", rounds=1, memory=False)
    names = {"bigbird", "Hugging Face BigBird, eval", "Hugging Face BigBird, train", "dense (PyTorch's layer)"}
    layer = model.run("layer", small, say=lambda _: None)["results"]
    assert {(r["contender"], r["pass"]) for r in layer} == {(n, kind) for n in names for kind in attention.PASSES}
    step = model.run("step", small, say=lambda _: None)["results"]
    assert [r["contender"] for r in step] == ["bigbird", "Hugging Face BigBird, train"]


def test_encoders_are_timed_in_pairs_that_compute_the_same():
    pytest.importorskip("transformers")
    said = []
    small = model.ModelBench(lengths=(1024,), size="tiny", rounds=1)
    results = model.run("encoder", small, say=said.append)["results"]
    assert [(r["contender"], r["pass"]) for r in results] == [
        (f"{name} {mode}{graph}", "forward")
        for mode in ("train", "eval")
        for name, graph in (("bigbird, their", " graph"), ("Hugging Face BigBird,", ""))
    ]
    assert sum("outputs equal Hugging Face's" in line for line in said) == 2


def test_encoders_that_differ_are_not_timed(monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.setitem(encoder._SAME, "feed_forward_norm", "attention.output.LayerNorm")
    monkeypatch.setattr(encoder, "_ALLOWED_ERROR", 0.0)
    with pytest.raises(RuntimeError, match=r"the encoders differ by .* in train mode .*: nothing is timed"):
        model.run("encoder", model.ModelBench(lengths=(1024,), size="tiny"), say=lambda _: None)


def test_everything_runs_once_to_warm_up_and_then_in_turn():
    calls = []
    timings = in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert "".join(calls) == "abababab"
    assert timings["a"].times_the_first == (1, 1, 1)
    assert Spread.of([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (attention.AttentionBench, {"lengths": ()}, r"lengths and rounds must be at least 1, got \[\] and 7"),
        (attention.AttentionBench, {"contenders": ("flash",)}, r"contender 'flash' is unknown; there are native, gath"),
        (model.ModelBench, {"rounds": 0}, r"lengths and rounds must be at least 1, got \[1024, 4096\] and 0"),
    ],
)
def test_a_bench_that_makes_no_sense_is_refused(kind, values, message):
    with pytest.raises(ConfigError, match=message):
        kind(**values)


def test_memory_of_a_call_is_measured_in_its_own_process():
    lines = []
    chosen = attention.AttentionBench(lengths=(4096,), contenders=("gathered",), rounds=1, num_heads=12)
    assert peak_of("layer", "bigbird", 1024, "float32") > 2**20
    assert peak_of("attention", "nobody", 1024, "float32") is None
    able = {"gathered": contenders.CONTENDERS["gathered"]}
    (result,) = attention._weighed(able, {"gathered": set(attention.PASSES)}, chosen.shape(4096), lines.append)
    assert 2**20 < result["peak_bytes"] < 2**30


@pytest.mark.skipif(native_cpu.instruction_set() is None, reason="the native library is not built")
def test_memory_of_the_native_kernels_grows_with_the_length_not_its_square():
    shorter, longer = (peak_of("attention", "native", length, "float32") for length in (4096, 16384))
    assert longer < 4.5 * shorter  # a table of scores would make it 16 times as much
