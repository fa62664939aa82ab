# Every target but help sets up .venv first. Variables go after the target: make eval-tables DATA=mini
# With RUN=python3 that Python runs the target, with the packages it has, and no .venv is made.
# Variables of the environment change nothing: they have other names, or belong to other programs.
NET := alex
VARIANT := lin
DATA := bapps
DATA_ROOT :=
SPLITS := all
METHODS :=
TASK :=
IMAGES :=
COUNT :=
OUT :=
DATASET :=
AGAINST :=
ARGS :=
PYTHON = $(shell command -v python3.11 || command -v python3)

VENV := .venv
RUN := $(VENV)/bin/python

# What the variables of a target set. {NET} stands for the value; if it is empty, the setting is left out.
SETS_data := data={DATA} splits={SPLITS} data.root={DATA_ROOT}
SETS_data-verify := splits={SPLITS}
SETS_data-stats := $(SETS_data)
SETS_train := net={NET} variant={VARIANT} data={DATA} data.root={DATA_ROOT}
SETS_train-all := data={DATA} data.root={DATA_ROOT}
SETS_init-kmeans := images={IMAGES}
SETS_pretrain := task={TASK} images={IMAGES}
SETS_cnn-distortions := count={COUNT} images={IMAGES}
SETS_build-dataset := images={IMAGES} out={OUT}
SETS_simulate := out={OUT}
SETS_collect := dataset={DATASET} out={OUT}
SETS_eval-tables := data={DATA} data.root={DATA_ROOT}
SETS_disagreements := methods={METHODS} $(SETS_data)
# An experiment may choose the dataset, too.
SETS_paper = $(if $(filter DATA,$(GIVEN)),data={DATA}) data.root={DATA_ROOT}
SETS_correlation := name=tables-{DATA}
SETS_report := data={DATA} data.root={DATA_ROOT}
SETS_bench := against={AGAINST}
SETS_gpu-bench := 'net=[{NET}]'
WITHOUT_ARGS := help setup setup-collect lint

VALUES := NET VARIANT DATA DATA_ROOT SPLITS METHODS TASK IMAGES COUNT OUT DATASET AGAINST
VARIABLES := $(VALUES) ARGS PYTHON RUN
# What make and the programs read; anything else stands before make, as in NAME=value make test.
OTHERS := SHELL .SHELLFLAGS MAKE% VENV LPIPS_REPRO_% PYTEST_% PYTHON% TORCH% PYTORCH_% CUDA_% NVIDIA_% NCCL_% OMP_% MKL_%

# A variable that nothing reads would change nothing, silently.
GOALS := $(or $(MAKECMDGOALS),help)
GIVEN := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
USED := $(foreach goal,$(GOALS),$(SETS_$(goal)) $(if $(filter $(goal),$(WITHOUT_ARGS)),,{ARGS}))
UNKNOWN := $(firstword $(filter-out $(VARIABLES) $(OTHERS),$(GIVEN)))
UNUSED := $(strip $(foreach name,$(filter $(VALUES) ARGS,$(GIVEN)),$(if $(findstring {$(name)},$(USED)),,$(name))))
EMPTY := $(strip $(foreach name,$(filter $(VALUES),$(GIVEN)),$(if $(strip $(value $(name))),,$(name))))
ifneq ($(UNKNOWN),)
UPPER := $(filter $(VARIABLES),$(shell printf %s '$(subst ','\'',$(UNKNOWN))' | tr a-z- A-Z_))
$(error $(UNKNOWN)=$(value $(UNKNOWN)): $(if $(UPPER),variables are in upper case: $(UPPER)=$(value $(UNKNOWN)),no such \
  variable: expected one of $(VARIABLES); settings go into ARGS, as in ARGS="seed=1", and variables of other programs before make))
endif
ifneq ($(UNUSED),)
$(error $(foreach name,$(UNUSED),$(name)=$(value $(name))): make $(GOALS) does not use it: leave it out$(if \
  $(findstring {ARGS},$(USED)),; settings go into ARGS))
endif
ifneq ($(EMPTY),)
$(error $(firstword $(EMPTY))=: no value: give it one, or leave it out)
endif

# As they were given: make expands no $ in them, and no shell reads the values.
$(foreach name,$(VALUES) ARGS,$(eval override $(name) := $$(value $(name))))
export $(VALUES)
# The files of tests go to two processes of one thread each; ARGS="-n 0" runs all in one.
PYTEST = OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist loadfile
SCRIPT = $(RUN) -m lpips_repro.launch scripts/$(subst -,_,$@).py

ifeq ($(DATA)$(if $(DATA_ROOT),/),mini/)
$(error DATA_ROOT=$(DATA_ROOT): the folder of a dataset that is there already: DATA=folder, bapps, tid2013, kadid10k or nights: mini is \
  made in data/mini: leave it out, or set ARGS="data.root=FOLDER" to make mini in a folder of its own)
endif

ifneq ($(RUN),$(VENV)/bin/python)
export PYTHONPATH := $(CURDIR):$(PYTHONPATH)
endif

.DEFAULT_GOAL := help
.PHONY: help setup data data-verify data-stats weights init-kmeans pretrain cnn-distortions train train-all tensorboard eval-tables disagreements paper correlation sparsity report bench distortion-sheet build-dataset simulate collect setup-collect gpu-check gpu-bench demo test test-all lint

##@ Start
help:  ## This list
	@printf 'make TARGET [VARIABLE=value ...]    New here: make demo\n'
	@grep -hE '^([a-z-]+:.*## |##@ )' $(MAKEFILE_LIST) | sed -E 's/^##@ /|/; s/:.*## /|/' | while IFS='|' read name text; do \
	  if [ "$$name" ]; then printf '  %-16s %s\n' "$$name" "$$text"; else printf '\n%s\n' "$$text"; fi; done
	@printf '\nA target sets up .venv first. RUN=python3 runs it by that Python, with the packages it has, and sets up nothing.\n'

demo: setup  ## Everything once, on a small dataset with simulated judgments, in some minutes [ARGS=... of the tables]
	@$(RUN) scripts/$@.py $(ARGS)

setup: $(if $(filter $(VENV)/%,$(RUN)),$(VENV)/.installed)  ## Install everything into .venv, as pinned in requirements.lock

$(VENV)/.installed: requirements.lock pyproject.toml
	@echo "setting up $(VENV): once, some minutes"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --requirement requirements.lock
	$(RUN) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

##@ Data
data: setup  ## Fetch, check and pack a dataset, BAPPS by default [SPLITS=all|train|val] [DATA=...]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

data-verify: setup  ## Check what is on disk of BAPPS: counts, digests, archives [SPLITS=all|train|val]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

data-stats: setup  ## Counts, votes, observers' agreement and a sheet of examples (PNG) [DATA=...] [SPLITS=...]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

##@ Weights and training
weights: setup  ## Fetch ImageNet and official lin weights, checked by hash [ARGS="net=[alex]"]
	$(RUN) scripts/$@.py $(ARGS)

train: setup  ## Train NET=alex|vgg|squeeze VARIANT=lin|tune|scratch on DATA; the same command resumes
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

train-all: setup  ## Train the nine: every NET in every VARIANT [DATA=...] [ARGS="seed=0,1 hydra/launcher=joblib"]
	@$(RUN) -m lpips_repro.launch scripts/train.py --multirun hydra/job_logging=sweep net=alex,squeeze,vgg variant=lin,tune,scratch $(SETS_$@) -- $(ARGS)

init-kmeans: setup  ## AlexNet's weights by stacked k-means, without training [IMAGES=folder, default: those of mini]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

pretrain: setup  ## Learn from photographs alone: TASK=splitbrain|puzzle|bigan [IMAGES=folder, default: those of mini]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

tensorboard: setup  ## Watch all training runs in TensorBoard [ARGS="--port 6007"]
	$(RUN) -m tensorboard.main --logdir experiments $(ARGS)

##@ Results
eval-tables: setup  ## 2AFC and JND tables: DATA=bapps|mini|folder|tid2013|kadid10k|nights [DATA_ROOT=folder] [ARGS="show=all"]
	$(RUN) -m lpips_repro.launch scripts/evaluate.py $(SETS_$@) -- $(ARGS)

disagreements: setup  ## Triplets on which two methods disagree, as CSV and picture: METHODS=a,b [DATA=...] [SPLITS=cnn,color]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

paper: setup  ## Everything that the paper shows, compared with it; resumes [DATA=...] [ARGS="experiment=paper_mini"]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

correlation: setup  ## How methods' 2AFC and JND scores go together (paper, Figure 5), from their tables [DATA=...]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

sparsity: setup  ## Share of lin weights that are zero, by layer (paper, Figure 10): official and trained here
	$(RUN) scripts/$@.py $(ARGS)

report: setup  ## Figures of the tables, stored distances, runs and weights that exist: PNG, SVG, PDF [DATA=...]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

##@ A dataset of your own
distortion-sheet: setup  ## Every traditional distortion at five severities, as one picture [ARGS="image=FILE"]
	$(RUN) scripts/distortion_sheet.py $(ARGS)

build-dataset: setup  ## Triplets and JND pairs with their recipes, without judgments: IMAGES=folder OUT=folder
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

simulate: setup  ## Simulated judgments, labeled so, for a dataset that has none: OUT=folder
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

collect: setup setup-collect  ## A study of human judgments, on this machine alone by default: DATASET=folder [ARGS="do=serve|links|simulate|export"]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

setup-collect: setup $(if $(filter $(VENV)/%,$(RUN)),$(VENV)/.installed-collect)  ## Install what make collect needs and the rest does not, as pinned

$(VENV)/.installed-collect: requirements-collect.lock | $(VENV)/.installed
	$(RUN) -m pip install --quiet --requirement requirements-collect.lock
	@touch $@

cnn-distortions: setup  ## Train autoencoders that distort, and show them [COUNT=96] [IMAGES=folder, default: those of mini] [ARGS="hydra/launcher=joblib"]
	@$(RUN) -m lpips_repro.launch scripts/cnn_distortions.py --multirun $(SETS_$@) -- $(ARGS)
	@$(RUN) -m lpips_repro.launch scripts/cnn_distortions_sheet.py $(SETS_$@) -- $(ARGS)

##@ Speed
bench: setup  ## Rates next to the peers' and the machine's own, or to those of AGAINST=COMMIT [ARGS="measure=[lin] net=[alex]"]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

gpu-check: setup  ## Check everything on a GPU, in some minutes [RUN=python3] [ARGS="names of groups"]
	$(RUN) scripts/gpu_check.py $(ARGS)

gpu-bench: setup  ## Rates of NET=alex|squeeze|vgg on a GPU; the same command goes on [RUN=python3] [ARGS=... of bench]
	@$(SCRIPT) $(SETS_$@) device=cuda -- $(ARGS)

##@ Development
test: setup  ## All tests but the slow ones [ARGS="-k lpips"]
	$(PYTEST) $(ARGS)

test-all: setup  ## All tests, the slow ones too
	$(PYTEST) -m "slow or not slow" $(ARGS)

lint: setup  ## Style, spelling and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m codespell_lib
	$(RUN) -m mypy
