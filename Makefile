# make demo and make test set everything up by themselves, in .venv, and are quick the second time.
PYTHON ?= python3
BIN := .venv/bin
DEMO := demo
SIZE ?= 2e9
RUNS ?= 5
ROUNDS ?= 200
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')

.PHONY: help setup demo test bench bench-full bench-fetch bench-inplace bench-labels bench-readers bench-report bench-view bench-shards bench-zips bench-parquet bench-tars bench-forms bench-stores bench-engines bench-scaling campaign-detect campaign-fetch campaign-interrupt campaign-shards campaign-peers campaign-slurm campaign-ray readers azurite lint types layers facts clean

help:  ## say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /: /'

setup: .venv/installed  ## make the virtual environment

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[devkit,fetch,fsspec,view]' --group dev
	@touch $@

demo: setup  ## write a miniature ILSVRC 2012, prepare it, check it
	@test -e $(DEMO)/archives/MD5SUMS || $(BIN)/ilsvrc mini $(DEMO)/archives --mean-bytes 20000
	@$(BIN)/ilsvrc prepare $(DEMO)/archives $(DEMO)/imagenet
	@$(BIN)/ilsvrc check --deep $(DEMO)/imagenet
	@echo
	@echo "The archives are in $(DEMO)/archives, made by: ilsvrc mini"
	@echo "The class folders are in $(DEMO)/imagenet, made by: ilsvrc prepare $(DEMO)/archives $(DEMO)/imagenet"
	@echo "The program is $(BIN)/ilsvrc: try $(BIN)/ilsvrc --help"

test: setup  ## run the whole test suite: WORKERS= processes, two for each processor, since tests wait for disks
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

bench: setup  ## measure the performance contract, an hour: SIZE= bytes of the archive, RUNS= of each command
	$(BIN)/python -m bench --size $(SIZE) --runs $(RUNS)
	$(BIN)/python -m bench.labels
	$(BIN)/python -m bench.fetch --runs $(RUNS)
	$(MAKE) bench-inplace
	$(MAKE) bench-engines
	$(MAKE) bench-view

bench-full: setup  ## index and plan a simulated archive of 1,281,167 members
	$(BIN)/python -m bench.full

bench-labels: setup  ## time conversion and detection
	$(BIN)/python -m bench.labels

campaign-detect: setup  ## simulate models under every scheme: how often the right one is named
	$(BIN)/python -m bench.detection

campaign-fetch: setup  ## kill one transfer of 300 MB ten times and count what it costs: some minutes
	$(BIN)/python -m pytest -m slow -s tests/cli/test_fetch.py

campaign-interrupt: setup  ## end two hundred runs by Ctrl-C, SIGTERM, SIGHUP at random moments: ROUNDS= of them
	ILSVRC_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -m slow -s tests/cli/test_interrupt.py

campaign-shards: setup  ## kill shards of every format at random moments and resume them: ROUNDS= times each
	ILSVRC_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -m slow -s tests/sinks/formats/test_contract.py

campaign-peers: setup readers  ## let the benchmarks' writers and readers of every format prove that they do all images
	$(BIN)/python -m pytest -m slow -s tests/bench/test_shards.py

campaign-ray: setup  ## run the tests of Ray: a cluster of this machine, its workers and drivers killed; installs Ray
	$(BIN)/python -m pip install --quiet --group clusters
	$(BIN)/python -m pytest -m slow -s tests/run/engines/test_ray.py tests/docs/test_clusters.py

campaign-slurm: setup  ## submit the job scripts of docs/how-to/slurm.md to a real SLURM of this machine, as root
	$(BIN)/python -m pytest -m slow -s tests/docs/test_slurm.py

readers: .venv-readers/installed  ## install the training libraries that read shards, in an environment of their own

.venv-readers/installed: pyproject.toml
	$(PYTHON) -m venv .venv-readers
	.venv-readers/bin/python -m pip install --quiet --upgrade pip
	.venv-readers/bin/python -m pip install --quiet --group readers
	@touch $@

azurite: .azurite/node_modules/.bin/azurite-blob  ## install a server of Azure's blobs for the tests of az://, 190 MB; needs npm

.azurite/node_modules/.bin/azurite-blob:
	npm install --silent --no-audit --no-fund --prefix .azurite azurite@3

bench-inplace: setup  ## compare reading in place with torchvision; installs torch and torchvision
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-deps torchvision==0.28.0
	$(BIN)/python -m bench.inplace --runs $(RUNS)

bench-shards: setup readers  ## write shards in each format; against cp of the archive, and the format's own writer
	$(BIN)/python -m bench.shards --runs 3

bench-readers: setup readers  ## read an epoch in each format by its own library: images a second; installs torch
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m bench.readers --runs 3

bench-zips: setup  ## index a zip of Kaggle's size, read it at random and at once; against zipfile, unzip, cp
	$(BIN)/python -m bench.zips --runs $(RUNS)

bench-parquet: setup  ## index Parquet files of Hugging Face's size, read them at random; against pyarrow, datasets
	$(BIN)/python -m bench.parquet --runs $(RUNS)

bench-tars: setup  ## index a tar of a tree, sweep and index a tar.gz; against tar, gzip, rapidgzip
	$(BIN)/python -m bench.tars --runs $(RUNS)

bench-forms: setup  ## prepare from a tree, a zip, Parquet, archives; against cp -r: SIZE= bytes of images
	$(BIN)/python -m bench.forms --size $(SIZE) --runs $(RUNS)

bench-stores: setup  ## batches at random and an index of an object store, against the same requests alone; needs radosgw
	$(BIN)/python -m bench.stores --runs $(RUNS)

bench-engines: setup  ## prepare resized shards on Dask, Ray and MPI; against the process pool; installs Ray
	$(BIN)/python -m pip install --quiet --group clusters
	$(BIN)/python -m bench.engines --runs $(RUNS)

bench-scaling: setup  ## measure a unit's time, then simulate 8 to 512 workers; installs matplotlib
	$(BIN)/python -m pip install --quiet --group clusters
	$(BIN)/python -m bench.scaling --runs $(RUNS) --plot docs/reference/scaling.svg

bench-report: setup  ## build the report of a full-size data set with 50,000 faults, open it in chromium
	$(BIN)/python -m bench.report --runs $(RUNS)

bench-view: setup  ## let eight people look at a full-size data set: milliseconds of their requests, memory
	$(BIN)/python -m bench.view

bench-fetch: setup  ## time fetch against plain aria2c on the same server
	$(BIN)/python -m bench.fetch --runs $(RUNS)

lint: setup  ## look for mistakes and for what is not formatted
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## check types, strictly
	$(BIN)/mypy

layers: setup  ## check that imports run downward only
	$(BIN)/lint-imports

facts: setup  ## derive the packaged tables again: make facts DEVKIT=path/to/ILSVRC2012_devkit_t12.tar.gz
	$(BIN)/python tools/derive_facts.py $(DEVKIT)

clean:  ## remove what the other targets made
	rm -rf .venv .venv-readers $(DEMO) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
