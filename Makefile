# Everything lives in .venv and build/; a second call does only what is left to do.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
READY := $(VENV)/ready

# Otherwise glibc returns memory after every step, and page faults cost training time.
export MALLOC_ARENA_MAX := 1
export MALLOC_MMAP_MAX_ := 0
export MALLOC_TRIM_THRESHOLD_ := 4294967296
export MINIMAXVIT_DATA ?= $(CURDIR)/data

.PHONY: help setup lessons lab train test mutants bench clean

help:  ## list what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(READY)  ## make the environment in .venv

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "minimaxvit needs Python 3.11 or newer: make PYTHON=/path/to/python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lessons,test]'
	touch $(READY)

lessons: $(READY)  ## train compact for two minutes, execute the lessons, write build/lessons/
	$(RUN)/python notebooks/make_lessons.py

lab: $(READY)  ## open the lessons in JupyterLab
	$(RUN)/jupyter lab notebooks

train: $(READY)  ## train compact, on CIFAR-10 if it is there
	$(RUN)/minimaxvit train

# One thread per worker: two workers with two threads each would mostly wait for one another.
test: export OMP_NUM_THREADS := 1
test: $(READY)  ## check style, run the tests and every notebook, comparing outputs
	$(RUN)/ruff check
	$(RUN)/ruff format --check minimaxvit tests benchmarks notebooks/*.py
	$(RUN)/pytest --numprocesses 2 --dist loadscope
	$(RUN)/pytest --numprocesses 2 --dist loadscope --nbval --nbval-current-env notebooks

mutants: $(READY)  ## plant small faults and count those that the tests notice: an hour or more
	$(RUN)/pip install --quiet --disable-pip-version-check -c constraints.txt mutmut
	$(RUN)/python tests/mutants.py

bench: $(READY)  ## measure, and write benchmarks/results/
	$(RUN)/pip install --quiet --disable-pip-version-check -c constraints.txt vit-pytorch
	$(RUN)/python benchmarks/peers.py

clean:  ## remove what was made, the environment included
	rm -rf $(VENV) build
