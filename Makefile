# Each target sets up what it needs in a virtual environment of its own; a bare Python >= 3.11 is enough.
PYTHON ?= python3
# One BLAS thread a test worker: two workers with two threads each would get in each other's way.
PYTEST = OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MPLBACKEND=Agg

# What is compiled: the environments are brought up to date when it changes
KERNELS = setup.py $(wildcard skdnn/kernels/*.pyx skdnn/kernels/src/*.[ch])
# Tests of numbers, that run again on the NumPy reference
NUMERIC = $(addprefix tests/test_,activations.py dropout.py kernels.py reference.py rowspace.py schedules.py solvers.py streamed.py threads.py weights.py)

.PHONY: demo test test-fast test-min test-sdist lint bench quality robustness docs clean

.venv/%: pyproject.toml $(KERNELS)
	@echo "Installing skdnn[$*] and what it needs into .venv: a minute or more, once"
	@test -d .venv || $(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@

.venv-min/test: pyproject.toml requirements-min.txt $(KERNELS)
	@echo "Installing the lowest supported versions into .venv-min: a minute or more, once"
	@test -d .venv-min || $(PYTHON) -m venv .venv-min
	@.venv-min/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements-min.txt --editable ".[test]"
	@touch $@

demo: .venv/plot
	MPLBACKEND=Agg .venv/bin/python examples/first_steps/plot_image_classifier.py $(ARGS)

test: .venv/test
	$(PYTEST) .venv/bin/python -m pytest --numprocesses 2 $(ARGS)
	SKDNN_KERNELS=numpy $(PYTEST) .venv/bin/python -m pytest --numprocesses 2 $(NUMERIC)

# Under a minute: the network, its training and its interface; no clusters, files and processes
FAST = activations classifier dropout initializers reference solvers validation
test-fast: .venv/test
	$(PYTEST) .venv/bin/python -m pytest --numprocesses 2 $(wildcard $(FAST:%=tests/test_%.py)) $(ARGS)

# A source distribution, installed as a stranger would, runs the tests that it carries
test-sdist:
	rm -rf .venv-sdist dist/*.tar.gz dist/unpacked
	$(PYTHON) -m venv .venv-sdist
	@echo "Building the source distribution and installing it into .venv-sdist"
	.venv-sdist/bin/python -m pip install --quiet --disable-pip-version-check build
	.venv-sdist/bin/python -m build --sdist --outdir dist .
	mkdir dist/unpacked && tar --extract --gzip --strip-components 1 --directory dist/unpacked --file dist/skdnn-*.tar.gz
	.venv-sdist/bin/python -m pip install --quiet --disable-pip-version-check "$$(ls dist/skdnn-*.tar.gz)[test]"
	cd dist/unpacked && rm -rf skdnn && $(PYTEST) ../../.venv-sdist/bin/python -m pytest --numprocesses 2 $(or $(ARGS),tests)

test-min: .venv-min/test
	$(PYTEST) .venv-min/bin/python -m pytest --numprocesses 2 $(ARGS)

lint: .venv/dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/codespell

bench: .venv/bench
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE .venv/bin/python -m benchmarks $(ARGS)

robustness: .venv/test
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 .venv/bin/python -m robustness $(ARGS)

# SKDNN_TABLES names the folder of tables; what results/quality.jsonl has is not run again
quality: .venv/quality
	$(PYTEST) .venv/bin/python -m benchmarks.quality $(ARGS)

# Warnings are errors, a link to nothing is a warning
docs: .venv/docs
	rm -rf docs/generated
	$(PYTEST) .venv/bin/python -m sphinx -W --keep-going --quiet -b html docs docs/_build/html $(ARGS)

clean:
	rm -rf docs/_build docs/gallery docs/generated docs/sg_execution_times.rst .venv .venv-min .venv-sdist build dist *.egg-info
