# Two commands set everything up on a fresh machine with Python 3.11+ : `make demo` and `make test`.
PYTHON ?= python3
# Where the tools of `make check` are; empty means: on the PATH.
BIN ?= .venv/bin/
PACKAGES := shared device hub tools
export ORT_DISABLE_TELEMETRY := 1

.PHONY: demo test check long bench bench-replay bench-contest bench-attacks bench-answers bench-answers-busy \
	bench-forgetting bench-local deb deb-check bundles docs newcomer screenshots clean help

help:
	@echo "make demo          replay a recorded stream through the agent (no torch)"
	@echo "make test          install everything for development and check it"
	@echo "make check         the checks alone: format, lint, types, imports, sizes, tests"
	@echo "make long          the tests that take minutes"
	@echo "make bench         beside what a user would pick instead; half an hour (BENCH='--rows 2000' for options)"
	@echo "make bench-replay  scores and speed beside other tools, as JSON and a table"
	@echo "make bench-contest the contest: regret, honesty, cost"
	@echo "make bench-attacks wrong, flooding and malicious labels, beside a plain learner"
	@echo "make bench-answers what challengers cost the answers of a live agent; bench-answers-busy at 800 events a second"
	@echo "make bench-forgetting what is left of the old when only the new comes"
	@echo "make bench-local   what a question over the local socket, or over topics, costs"
	@echo "make deb           the Debian package of the agent, in dist/ (ARCH=arm64: cross-built)"
	@echo "make deb-check     build it twice and compare the bytes"
	@echo "make bundles       signed bundles of the base models, in dist/bundles/ (KEYS=folder PASSPHRASE_FILE=file)"
	@echo "make newcomer      the README tried in a clean Debian, with the clock (root, mmdebstrap; LEND=folder of wheels)"
	@echo "make docs          the site of the documentation, in build/site/"
	@echo "make screenshots   the pictures of the documentation, made anew (needs chromium)"
	@echo "make clean         remove what the other targets made"

demo: .venv-demo/.done
	.venv-demo/bin/acclimate demo

test: .venv/.done
	$(MAKE) check BIN=.venv/bin/

check:
	$(BIN)ruff format --check .
	$(BIN)ruff check .
	$(BIN)mypy --strict $(PACKAGES) tests
	PYTHONPATH=shared:device:hub:tools $(BIN)lint-imports
	PYTHONPATH=tools $(BIN)python -m acclimate_tools.sizes $(PACKAGES) tests
	OMP_NUM_THREADS=1 $(BIN)python -m pytest -n auto --dist loadfile

long: .venv/.done
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -m long

bench: .venv/.done
	.venv/bin/python -m acclimate_tools.bench.compare $(BENCH)

bench-replay: .venv/.done
	.venv/bin/python -m acclimate_tools.bench.replay

bench-contest: .venv/.done
	.venv/bin/python -m acclimate_tools.bench.contest

bench-attacks: .venv/.done
	.venv/bin/python -m acclimate_tools.bench.attacks

bench-answers: .venv/.done
	.venv/bin/python -m acclimate_tools.bench.answers

bench-answers-busy: .venv/.done
	.venv/bin/python -m acclimate_tools.bench.answers --period-ms 1.25 --rows 80 --rounds 2500 \
		--out docs/results/answers-busy.json

bench-forgetting: .venv/.done
	.venv/bin/python -m acclimate_tools.bench.forgetting

bench-local: .venv/.done
	.venv/bin/python -m acclimate_tools.bench.local

DEB := .venv/bin/python -m acclimate_tools.packaging.deb $(if $(ARCH),--arch $(ARCH))

deb: .venv/.done
	$(DEB)

deb-check: .venv/.done
	$(DEB) --check

bundles: .venv/.done
	.venv/bin/python -m acclimate_tools.packaging.bundles \
		$(if $(KEYS),--keys $(KEYS) --passphrase-file $(PASSPHRASE_FILE))

newcomer: .venv/.done
	.venv/bin/python -m acclimate_tools.newcomer.run --tests $(if $(LEND),--lend $(LEND))

docs: .venv/.done
	.venv/bin/python -m acclimate_tools.docs.site

screenshots: .venv/.done
	ACCLIMATE_DOC_PICTURES=$(CURDIR)/docs/img .venv/bin/python -m pytest tests/docs/test_pictures.py -k "picture_of or pictures_of"

.venv/.done: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

.venv-demo/.done: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet --disable-pip-version-check -e '.[device]'
	touch $@

clean:
	rm -rf .venv .venv-demo build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
