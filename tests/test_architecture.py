"""Imports point down only; heavy and optional packages stay out of the way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "bigbird"

# Each part may import those of lower levels, and itself; parts of one level do not know each other.
LEVELS = [
    {"errors", "randomness"},
    {"attention", "tokenizers", "config", "machine"},
    {"model", "data", "stored_weights"},
    {"tasks", "documents"},
    {"checkpoint"},
    {"training", "predictor", "interop", "representations"},
    {"run_start", "run_folder"},
    {"run"},
    {"genomics", "bench", "reading", "summarizing"},
    {"recipes"},
    {"info"},
    {"cli"},
    {"__main__"},
]
LEVEL = {part: level for level, parts in enumerate(LEVELS) for part in parts}

# `attention` and `model` run on a bare GPU machine.
TORCH_AND_NUMPY = {"torch", "numpy", "bigbird"}


def imports(path):
    """(line, module) of every import of a file, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            if node.module == "bigbird":
                yield from ((node.lineno, f"bigbird.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)


def violations(package=PACKAGE):
    for path in sorted(package.rglob("*.py")):
        part = path.relative_to(package).with_suffix("").parts[0]
        if part == "__init__":
            continue
        for line, module in imports(path):
            target = module.split(".")
            if target[0] != "bigbird" or target[1] == part:
                continue
            if LEVEL[target[1]] >= LEVEL[part]:
                yield f"{path.relative_to(package)}:{line} {part} imports {target[1]}"


def test_imports_point_down_only():
    assert list(violations()) == []


@pytest.mark.parametrize(
    ("part", "line", "found"),
    [
        ("attention/api.py", "from bigbird.model.encoder import Encoder", "attention imports model"),
        ("model/blocks.py", "def f():\n    import bigbird.training.trainer", "model imports training"),
        ("data/genome.py", "from bigbird.model import sizes", "data imports model"),
        ("errors.py", "from bigbird import randomness", "errors imports randomness"),
    ],
)
def test_an_upward_or_sideways_import_is_found(tmp_path, part, line, found):
    path = tmp_path / part
    path.parent.mkdir(exist_ok=True)
    path.write_text(line + "\n")
    assert [violation.split(" ", 1)[1] for violation in violations(tmp_path)] == [found]


def test_every_part_has_a_level():
    parts = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in PACKAGE.rglob("*.py")}
    assert parts - {"__init__"} == set(LEVEL)


def test_attention_and_model_need_torch_and_numpy_alone():
    for part in ("attention", "model"):
        for path in (PACKAGE / part).rglob("*.py"):
            allowed = TORCH_AND_NUMPY | ({"triton"} if path.stem == "triton_kernels" else set())
            outside = {module.split(".")[0] for _, module in imports(path)} - allowed
            assert outside <= set(sys.stdlib_module_names), path


def test_backends_do_not_import_each_other():
    for path in (PACKAGE / "attention").glob("*.py"):
        if path.stem in ("gathered", "reference"):
            assert not {m for _, m in imports(path)} & {"bigbird.attention.gathered", "bigbird.attention.reference"}


def in_fresh_python(code, *blocked):
    blocks = "".join(f"sys.modules[{name!r}] = None\n" for name in blocked)
    program = f"import sys\n{blocks}{code}"
    return subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)


OPTIONAL = (
    "triton",
    "transformers",
    "pysam",
    "pyfaidx",
    "matplotlib",
    "sklearn",
    "fastapi",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "tensorflow",
    "pyarrow",
    "tensorboard",
    "anndata",
    "pandas",
    "pyBigWig",
    "h5py",
    "scipy",
    "pypdf",
)


NEED_TRANSFORMERS = (  # their classes are filled-in classes of transformers; nothing else imports them
    "transformers",
    "transformers_base",
    "transformers_config",
    "transformers_heads",
    "transformers_models",
    "transformers_pipelines",
    "transformers_question_answering",
    "transformers_summarization",
)


@pytest.mark.parametrize("name", NEED_TRANSFORMERS)
def test_what_needs_transformers_says_how_to_install_it(name):
    done = in_fresh_python(f"import bigbird.interop.{name}", "transformers")
    assert "bigbird.errors.MissingDependency: " in done.stderr
    assert "needs transformers, which is not installed. Run: pip install 'bigbird[hf]'" in done.stderr


def test_the_whole_package_imports_and_attends_without_optional_packages():
    modules = sorted(
        "bigbird." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if path.stem not in ("__init__", "triton_kernels")  # imported by triton_launch where a GPU is at hand
        and path.stem not in NEED_TRANSFORMERS
    )
    code = (
        f"import importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
        "import torch, bigbird\n"
        "q = torch.randn(1, 2, 100, 8)\n"
        "pattern = bigbird.PatternSpec(block_size=8).build(num_blocks=13, num_heads=2)\n"
        "print(tuple(bigbird.block_sparse_attention(q, q, q, pattern=pattern).shape))"
    )
    done = in_fresh_python(code, *OPTIONAL)
    assert done.stdout.strip() == "(1, 2, 100, 8)", done.stderr


def test_import_bigbird_and_help_stay_light():
    heavy = ("torch", "numpy", "tokenizers", "pydantic")
    code = f"import bigbird, bigbird.cli\nprint([name for name in {heavy} if name in sys.modules])"
    done = in_fresh_python(code)
    assert done.stdout.strip() == "[]", done.stderr


def test_nothing_unpickles_or_runs_code_from_files():
    banned = {"pickle", "torch.load", "eval", "exec", "yaml.load", "trust_remote_code"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                is_fenced = path.name == "unpickling.py" and ast.unparse(node.func) == "torch.load"
                assert ast.unparse(node.func) not in banned or is_fenced, f"{path}:{node.lineno}"
                if is_fenced:  # a program that runs alone, behind limits, and only when someone asked for it
                    assert "weights_only=True" in ast.unparse(node)
        assert not {module.split(".")[0] for _, module in imports(path)} & {"pickle", "dill", "cloudpickle", "joblib"}


def test_no_global_generator_is_read_or_seeded_outside_a_fork():
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        global_numpy = {call for call in calls if call.startswith("np.random.")} - {"np.random.RandomState"}
        assert not global_numpy, path
        assert "random" not in {module for _, module in imports(path)}, path
        if "torch.manual_seed" in calls:
            assert (path.name, "torch.random.fork_rng" in calls) == ("step.py", True)
