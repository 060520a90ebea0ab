"""Measurements: who is right takes part, who is wrong stops them, and what comes out can be read."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from bigbird import config as configs
from bigbird.attention import PatternSpec, native_cpu
from bigbird.bench import attention, contenders, encoder, memory, model, report
from bigbird.bench.memory import peak_of
from bigbird.bench.timing import Spread, in_turn
from bigbird.errors import ConfigError, InputError, WrongAnswer
from bigbird.interop import huggingface_names

SMALL = attention.AttentionBench(
    lengths=(256,), rounds=2, num_heads=2, head_dim=16, spec=PatternSpec(block_size=16), memory=False
)


@pytest.mark.parametrize("name", [name for name in contenders.CONTENDERS if "compiled" not in name])
def test_everybody_computes_what_is_said_of_them(name):
    if "Hugging Face" in name:
        pytest.importorskip("transformers")
    if name == "native" and native_cpu.instruction_set() is None:
        pytest.skip("the native library is not built")
    if name == "triton" and not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    shape = contenders.Shape(length=1024, num_heads=2, head_dim=16, spec=PatternSpec(block_size=16))
    error, allowed = attention._worst_error(contenders.CONTENDERS[name], shape)
    assert error <= allowed


def test_nothing_is_timed_while_ours_is_wrong(monkeypatch):
    wrong = replace(contenders.CONTENDERS["gathered"], prepare=lambda _: lambda q, k, v: q + k + v)
    monkeypatch.setitem(contenders.CONTENDERS, "gathered", wrong)
    with pytest.raises(WrongAnswer, match=r"gathered is wrong \(error .*\): nothing is timed"):
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


def test_triton_takes_part_where_it_can_and_else_its_reason_is_said():
    assert list(contenders.CONTENDERS)[:3] == ["triton", "native", "gathered"]
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    lines = []
    attention.run(replace(SMALL, contenders=("triton", "gathered")), say=lines.append)
    reason = "attention backend 'triton' cannot serve this call: it computes on a CUDA device, the tensors are on cpu"
    assert lines[0] == f"triton takes no part: {reason}"


def test_who_cannot_do_one_length_takes_part_in_the_next(monkeypatch):
    def only_even(_):
        def attend(q, k, v):
            if q.shape[2] % 2:
                raise ValueError
            return torch.nn.functional.scaled_dot_product_attention(q, k, v)

        return attend

    dense = "dense (PyTorch SDPA)"
    monkeypatch.setitem(contenders.CONTENDERS, dense, replace(contenders.CONTENDERS[dense], prepare=only_even))
    lines = []
    measured = attention.run(replace(SMALL, lengths=(255, 256), contenders=("gathered", "dense")), say=lines.append)
    assert f"255 tokens, forward: {dense} takes no part: ValueError" in lines
    assert {r["length"] for r in measured["results"] if r["contender"] == dense} == {256}


def test_when_nothing_could_be_timed_that_is_an_error():
    with pytest.raises(
        ConfigError, match=r"nothing was timed: .* within seconds_limit 1e-09; the lines above name each"
    ):
        attention.run(replace(SMALL, contenders=("gathered",), seconds_limit=1e-9), say=lambda _: None)


def test_a_model_nobody_can_time_is_an_error(monkeypatch):
    monkeypatch.setattr(model, "layers", lambda *_: iter(()))
    with pytest.raises(ConfigError, match=r"nothing was timed: nobody takes part; the lines above"):
        model.run("layer", model.ModelBench(lengths=(64,), size="tiny"), say=lambda _: None)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"lengths": (64, 10**11)}, r"100,000,000,000 tokens, 2 heads of 16"),
        ({"num_heads": 10**9}, r"256 tokens, 1,000,000,000 heads of 16"),
        ({"head_dim": 10**9}, r"1,024 tokens, 2 heads of 1,000,000,000"),
        ({"spec": PatternSpec(block_size=10**12)}, r"blocks of 1,000,000,000,000"),
    ],
)
def test_what_the_memory_cannot_hold_is_refused_before_anything_is_made(monkeypatch, changes, what):
    monkeypatch.setattr(contenders.Shape, "tensors", None)
    with pytest.raises(
        ConfigError, match=rf"one call at .*{what}.* GiB of memory or more, .* available\. Give smaller"
    ):
        attention.run(replace(SMALL, **changes), say=lambda _: None)


@pytest.mark.parametrize("what", ["layer", "step"])
def test_a_model_of_too_many_tokens_is_refused(what):
    with pytest.raises(
        ConfigError, match=rf"one {what} of size tiny at 10,000,000,000 tokens needs .* Give smaller len"
    ):
        model.run(what, model.ModelBench(lengths=(64, 10**10), size="tiny"), say=lambda _: None)


def test_a_length_that_is_not_for_a_rival_is_said():
    pytest.importorskip("transformers")
    lines = []
    model.run("layer", model.ModelBench(lengths=(100,), size="tiny", rounds=1, memory=False), say=lines.append)
    assert any(line.startswith("Hugging Face BigBird, eval takes no part: Sequence length must") for line in lines)


def test_a_picture_is_replaced_with_its_results_and_never_alone(tmp_path):
    path = tmp_path / "mine.json"
    report.check_place(path)
    path.with_suffix(".png").touch()
    with pytest.raises(
        InputError, match=r"the picture beside it would replace .*mine\.png, which belongs to no mine\.json"
    ):
        report.check_place(path)
    path.touch()
    report.check_place(path)


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
    names = huggingface_names.BIG_BIRD_NAMES.in_a_layer
    monkeypatch.setitem(names, "feed_forward_norm", "attention.output.LayerNorm")
    monkeypatch.setattr(encoder, "_ALLOWED_ERROR", 0.0)
    with pytest.raises(WrongAnswer, match=r"the encoders differ by .* in train mode .*: nothing is timed"):
        model.run("encoder", model.ModelBench(lengths=(1024,), size="tiny"), say=lambda _: None)


def test_everything_runs_once_to_warm_up_and_then_in_turn():
    calls = []
    runs = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    timings = in_turn(runs, rounds=3, say=calls.append)
    assert "".join(calls) == "abababab"
    assert timings["a"].times_the_first == (1, 1, 1)
    assert Spread.of([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (attention.AttentionBench, {"lengths": ()}, r"lengths and rounds must be at least 1, got \[\] and 7"),
        (attention.AttentionBench, {"contenders": ("flash",)}, r"contender 'flash' is unknown; there are triton, nati"),
        (attention.AttentionBench, {"num_heads": -1}, r"num_heads must be at least 1, got -1"),
        (attention.AttentionBench, {"head_dim": -3}, r"head_dim must be at least 1, got -3"),
        (
            attention.AttentionBench,
            {"seconds_limit": 0},
            r"seconds_limit must be a finite number of seconds above 0, got 0",
        ),
        (
            attention.AttentionBench,
            {"seconds_limit": float("nan")},
            r"seconds_limit must be a finite number .*, got nan",
        ),
        (
            attention.AttentionBench,
            {"seconds_limit": float("inf")},
            r"seconds_limit must be a finite number .*, got inf",
        ),
        (attention.AttentionBench, {"rounds": 0}, r"lengths and rounds must be at least 1, got .* and 0"),
        (model.ModelBench, {"rounds": 0}, r"lengths and rounds must be at least 1, got \[1024, 4096\] and 0"),
    ],
)
def test_a_bench_that_makes_no_sense_is_refused(kind, values, message):
    with pytest.raises(ConfigError, match=message):
        kind(**values)


def test_memory_of_a_call_is_measured_in_its_own_process():
    lines = []
    chosen = attention.AttentionBench(lengths=(4096,), contenders=("gathered",), rounds=1, num_heads=12)
    layers = [peak_of("layer", "bigbird", 4096, model.ModelBench(size=size)) for size in ("tiny", "base")]
    assert 2**20 < 2 * layers[0] < layers[1]
    able = {"gathered": contenders.CONTENDERS["gathered"]}
    (result,) = attention._weighed(able, {"gathered": set(attention.PASSES)}, chosen.shape(4096), lines.append)
    assert 2**20 < result["peak_bytes"] < 2**30


def test_memory_is_that_of_the_shape_asked_for():
    usual = contenders.Shape(length=2048)
    changes = [{}, {"num_heads": 2}, {"head_dim": 16}]
    whole, fewer, narrow = (peak_of("attention", "gathered", 2048, replace(usual, **c)) for c in changes)
    assert max(fewer, narrow) < 0.7 * whole


def test_what_is_measured_in_the_new_process_is_the_whole_shape(monkeypatch):
    shape = contenders.Shape(length=64, num_heads=2, dtype="bfloat16", spec=PatternSpec(block_size=16, random_blocks=1))
    asked = []

    def run(command, **_):
        asked.extend(command[-2:])
        return SimpleNamespace(returncode=0, stdout="5")

    monkeypatch.setattr(memory.subprocess, "run", run)
    assert peak_of("attention", "gathered", 2048, shape) == 5
    assert asked[0] == "2048"
    assert configs.from_json(contenders.Shape, json.loads(asked[1]), source="") == shape


def test_memory_that_cannot_be_measured_is_said():
    lines = []
    timed = {"nobody": set(attention.PASSES)}
    able = {"nobody": contenders.CONTENDERS["gathered"]}
    assert list(attention._weighed(able, timed, SMALL.shape(256), lines.append)) == []
    assert lines == ["    256 tokens, forward and backward: the memory of nobody could not be measured"]


@pytest.mark.skipif(native_cpu.instruction_set() is None, reason="the native library is not built")
def test_memory_of_the_native_kernels_grows_with_the_length_not_its_square():
    usual = contenders.Shape(length=4096)
    shorter, longer = (peak_of("attention", "native", length, usual) for length in (4096, 16384))
    assert longer < 4.5 * shorter  # a table of scores would make it 16 times as much
