# Every target sets up .venv first. Variables go after the target: make eval-tables DATA=mini
# With RUN=python3 that Python runs the target, with the packages it has, and no .venv is made.
NET ?= alex
VARIANT ?= lin
DATA ?= bapps
DATA_ROOT ?=
SPLITS ?= all
TASK ?=
IMAGES ?=
AGAINST ?=
ARGS ?=
PYTHON ?= $(shell command -v python3.11 || command -v python3)

VENV := .venv
RUN := $(VENV)/bin/python
TASK_OVERRIDE := $(if $(TASK),task=$(TASK))
IMAGES_OVERRIDE := $(if $(IMAGES),'images="$(IMAGES)"')
AGAINST_OVERRIDE := $(if $(AGAINST),'against="$(AGAINST)"')
ROOT_OVERRIDE := $(if $(DATA_ROOT),'data.root="$(DATA_ROOT)"')

ifneq ($(RUN),$(VENV)/bin/python)
export PYTHONPATH := $(CURDIR):$(PYTHONPATH)
endif

.DEFAULT_GOAL := help
.PHONY: help setup data data-verify data-stats weights init-kmeans pretrain train train-all tensorboard eval-tables correlation sparsity bench gpu-check gpu-bench demo test test-all lint

help: setup  ## This list
	@printf "make TARGET [VARIABLE=value ...]\n\n"
	@printf "RUN=python3 runs a target by that Python, with the packages it has, and sets up nothing.\n\n"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | while IFS='|' read name text; do printf '  %-13s %s\n' "$$name" "$$text"; done

setup: $(if $(filter $(VENV)/%,$(RUN)),$(VENV)/.installed)  ## Install everything into .venv, as pinned in requirements.lock

$(VENV)/.installed: requirements.lock pyproject.toml
	@echo "setting up $(VENV): once, some minutes"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --requirement requirements.lock
	$(RUN) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

data: setup  ## Fetch, check and pack a dataset, BAPPS by default [SPLITS=all|train|val] [DATA=...]
	$(RUN) scripts/data.py data=$(DATA) splits=$(SPLITS) $(ROOT_OVERRIDE) $(ARGS)

data-verify: setup  ## Check what is on disk of BAPPS: counts, digests, archives [SPLITS=all|train|val]
	$(RUN) scripts/data_verify.py splits=$(SPLITS) $(ARGS)

data-stats: setup  ## Counts, votes, observers' agreement and a sheet of examples (PNG) [DATA=...] [SPLITS=...]
	$(RUN) scripts/data_stats.py data=$(DATA) splits=$(SPLITS) $(ROOT_OVERRIDE) $(ARGS)

weights: setup  ## Fetch ImageNet and official lin weights, checked by hash [ARGS="net=[alex]"]
	$(RUN) scripts/weights.py $(ARGS)

train: setup  ## Train NET=alex|vgg|squeeze VARIANT=lin|tune|scratch on DATA; the same command resumes
	$(RUN) scripts/train.py net=$(NET) variant=$(VARIANT) data=$(DATA) $(ROOT_OVERRIDE) $(ARGS)

train-all: setup  ## Train the nine: every NET in every VARIANT [DATA=...] [ARGS="seed=0,1 hydra/launcher=joblib"]
	$(RUN) scripts/train.py --multirun hydra/job_logging=sweep net=alex,squeeze,vgg variant=lin,tune,scratch data=$(DATA) $(ROOT_OVERRIDE) $(ARGS)

init-kmeans: setup  ## AlexNet's weights by stacked k-means, without training [IMAGES=folder, default: those of mini]
	$(RUN) scripts/init_kmeans.py $(IMAGES_OVERRIDE) $(ARGS)

pretrain: setup  ## Learn from photographs alone: TASK=splitbrain|puzzle|bigan [IMAGES=folder, default: those of mini]
	$(RUN) scripts/pretrain.py $(TASK_OVERRIDE) $(IMAGES_OVERRIDE) $(ARGS)

tensorboard: setup  ## Watch all training runs in TensorBoard [ARGS="--port 6007"]
	$(RUN) -m tensorboard.main --logdir experiments $(ARGS)

eval-tables: setup  ## 2AFC and JND tables: DATA=bapps|mini|folder|tid2013 [DATA_ROOT=folder] [ARGS="any override"]
	$(RUN) scripts/evaluate.py data=$(DATA) $(ROOT_OVERRIDE) $(ARGS)

correlation: setup  ## How methods' 2AFC and JND scores go together (paper, Figure 5), from their tables [DATA=...]
	$(RUN) scripts/correlation.py name=tables-$(DATA) $(ARGS)

sparsity: setup  ## Share of lin weights that are zero, by layer (paper, Figure 10): official and trained here
	$(RUN) scripts/sparsity.py $(ARGS)

bench: setup  ## Rates next to the peers' and the machine's own, or to those of AGAINST=COMMIT [ARGS="measure=[lin] net=[alex]"]
	$(RUN) scripts/bench.py $(AGAINST_OVERRIDE) $(ARGS)

gpu-check: setup  ## Check everything on a GPU, in some minutes [RUN=python3] [ARGS="names of groups"]
	$(RUN) scripts/gpu_check.py $(ARGS)

gpu-bench: setup  ## Rates of NET=alex|squeeze|vgg on a GPU; the same command goes on [RUN=python3] [ARGS=... of bench]
	$(RUN) scripts/gpu_bench.py 'net=[$(NET)]' device=cuda $(ARGS)

demo: setup  ## Everything once, offline, on a small dataset with simulated judgments [ARGS=... of the tables]
	$(RUN) scripts/init_kmeans.py
	$(RUN) scripts/train.py data=mini net=alex_gaussian variant=lin download=false
	$(RUN) scripts/train.py data=mini net=alex_kmeans variant=lin download=false
	$(RUN) scripts/evaluate.py experiment=demo $(ARGS)

test: setup  ## All tests but the slow ones [ARGS="-k lpips"]
	$(RUN) -m pytest $(ARGS)

test-all: setup  ## All tests, the slow ones too
	$(RUN) -m pytest -m "slow or not slow" $(ARGS)

lint: setup  ## Style and static checks
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
