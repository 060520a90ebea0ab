# Two commands do everything on a fresh machine with git, make, Python >= 3.11 and pip:
#   make demo    the shipped promoter model on real human DNA
#   make test    format, lint, types and all tests
# Both create .venv once and reuse it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench clean

# .venv with what the demo needs, and with everything developers need.
$(VENV)/.demo: EXTRAS = dna,plot
$(VENV)/.dev: EXTRAS = dev
$(VENV)/.demo $(VENV)/.dev: pyproject.toml constraints.txt hatch_build.py $(wildcard src/bigbird/attention/native/*.cpp src/bigbird/attention/native/*.h)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "bigbird needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "Python lacks its venv module; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(VENV)/.demo
	@$(BIN)/python examples/demo.py --out demo-output

# A process per core with one thread each: two threads that wait for one another on a busy core take many times as long.
test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run --Werror src/bigbird/attention/native/*.h src/bigbird/attention/native/*.cpp
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/bigbird bench attention --out benchmarks/results/attention_float32.json
	$(BIN)/bigbird bench attention --set dtype=bfloat16 --out benchmarks/results/attention_bfloat16.json
	$(BIN)/bigbird bench layer --out benchmarks/results/layer_float32.json
	$(BIN)/bigbird bench layer --set dtype=bfloat16 --out benchmarks/results/layer_bfloat16.json
	$(BIN)/bigbird bench encoder --set lengths=[4096] --set rounds=3 --out benchmarks/results/encoder_float32.json
	$(BIN)/bigbird bench encoder --set lengths=[4096] --set rounds=3 --set dtype=bfloat16 --out benchmarks/results/encoder_bfloat16.json
	$(BIN)/bigbird bench step --set lengths=[4096] --set rounds=3 --out benchmarks/results/step_float32.json
	for dtype in float32 bfloat16; do $(BIN)/bigbird bench attention --set dtype=$$dtype --set lengths=[4096] \
		--set 'contenders=["native"]' --set memory=false --set rounds=31 \
		--out benchmarks/results/native_alone_$$dtype.json || exit 1; done
	$(BIN)/python benchmarks/scaling.py --out benchmarks/results/scaling.json
	$(BIN)/python benchmarks/pattern_build.py --out benchmarks/results/pattern_build.json
	$(BIN)/python benchmarks/accelerated.py --out benchmarks/results/accelerate.json
	$(BIN)/python benchmarks/kill_resume.py --out benchmarks/results/kill_resume.json
	$(BIN)/python benchmarks/damage.py --out benchmarks/results/damage.json
	$(BIN)/python benchmarks/training_step.py --out benchmarks/results/training_step.json
	$(BIN)/python benchmarks/memory_model.py --out benchmarks/results/memory_model.json
	$(BIN)/python benchmarks/context_volume.py --out benchmarks/results/context_volume.json

clean:
	rm -rf $(VENV) demo-output
