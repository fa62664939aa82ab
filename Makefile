# Every target but help sets up .venv first. Variables go after the target: make eval-tables DATA=mini
# With RUN=python3 that Python runs the target, with its own packages, and no .venv is made.
# Variables of the environment have no effect on targets.
NET := alex
VARIANT := lin
DATA := bapps
DATA_ROOT :=
SPLITS := all
METHODS :=
RUNS :=
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

# The settings from the variables of each target. {NET} is the value; a setting with an empty value is left out.
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
SETS_compare := runs={RUNS}
# An experiment may also choose the dataset.
SETS_paper = $(if $(filter DATA,$(GIVEN)),data={DATA}) data.root={DATA_ROOT}
SETS_correlation := name=tables-{DATA}
SETS_report := data={DATA} data.root={DATA_ROOT}
SETS_bench := against={AGAINST}
SETS_gpu-bench := 'net=[{NET}]'
WITHOUT_ARGS := help setup setup-collect lint docs docs-figures

VALUES := NET VARIANT DATA DATA_ROOT SPLITS METHODS RUNS TASK IMAGES COUNT OUT DATASET AGAINST
VARIABLES := $(VALUES) ARGS PYTHON RUN
# Variables that make and the programs read; others go before make, as in NAME=value make test.
OTHERS := SHELL .SHELLFLAGS MAKE% VENV LPIPS_REPRO_% PYTEST_% PYTHON% TORCH% PYTORCH_% CUDA_% NVIDIA_% NCCL_% OMP_% MKL_%

# A variable that the target does not use is an error.
GOALS := $(or $(MAKECMDGOALS),help)
GIVEN := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
USED := $(foreach goal,$(GOALS),$(SETS_$(goal)) $(if $(filter $(goal),$(WITHOUT_ARGS)),,{ARGS}))
UNKNOWN := $(firstword $(filter-out $(VARIABLES) $(OTHERS),$(GIVEN)))
UNUSED := $(strip $(foreach name,$(filter $(VALUES) ARGS,$(GIVEN)),$(if $(findstring {$(name)},$(USED)),,$(name))))
EMPTY := $(strip $(foreach name,$(filter $(VALUES),$(GIVEN)),$(if $(strip $(value $(name))),,$(name))))
ifneq ($(UNKNOWN),)
UPPER := $(filter $(VARIABLES),$(shell printf %s '$(subst ','\'',$(UNKNOWN))' | tr a-z- A-Z_))
$(error $(UNKNOWN)=$(value $(UNKNOWN)): $(if $(UPPER),variables are in upper case: $(UPPER)=$(value $(UNKNOWN)),no such \
  variable: expected one of $(VARIABLES); settings go into ARGS, such as ARGS="seed=1", and variables of other programs before make))
endif
ifneq ($(UNUSED),)
$(error $(foreach name,$(UNUSED),$(name)=$(value $(name))): make $(GOALS) does not use it: leave it out$(if \
  $(findstring {ARGS},$(USED)),; settings go into ARGS))
endif
ifneq ($(EMPTY),)
$(error $(firstword $(EMPTY))=: no value: set it, or leave it out)
endif

# Values stay as they were given: neither make nor a shell expands them.
$(foreach name,$(VALUES) ARGS,$(eval override $(name) := $$(value $(name))))
export $(VALUES)
# Two processes with one thread each share the files of tests; ARGS="-n 0" runs all in one process.
PYTEST = OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist loadfile
# With exec, a SIGTERM that make passes on reaches the program, and not a shell before it.
SCRIPT = exec $(RUN) -m lpips_repro.launch scripts/$(subst -,_,$@).py

ifeq ($(DATA)$(if $(DATA_ROOT),/),mini/)
$(error DATA_ROOT=$(DATA_ROOT): only for a dataset that exists already: DATA=folder, bapps, tid2013, kadid10k or nights: mini is \
  made in data/mini: leave it out, or set ARGS="data.root=FOLDER" to make mini in another folder)
endif

ifneq ($(RUN),$(VENV)/bin/python)
export PYTHONPATH := $(CURDIR):$(PYTHONPATH)
endif

.DEFAULT_GOAL := help
.PHONY: help setup data data-verify data-stats weights init-kmeans pretrain cnn-distortions train train-all tensorboard eval-tables disagreements compare paper correlation sparsity report bench distortion-sheet build-dataset simulate collect setup-collect gpu-check gpu-bench demo test test-all lint docs docs-figures

##@ Start
help:  ## Show this list
	@printf 'make TARGET [VARIABLE=value ...]    New here: make demo\n'
	@grep -hE '^([a-z-]+:.*## |##@ )' $(MAKEFILE_LIST) | sed -E 's/^##@ /|/; s/:.*## /|/' | while IFS='|' read name text; do \
	  if [ "$$name" ]; then printf '  %-16s %s\n' "$$name" "$$text"; else printf '\n%s\n' "$$text"; fi; done
	@printf '\nEach target sets up .venv first. With RUN=python3 it runs with that Python and its packages, and sets up nothing.\n'

demo: setup  ## Run the whole pipeline on a small dataset with simulated judgments, in some minutes [ARGS="settings of the tables"]
	@exec $(RUN) scripts/$@.py $(ARGS)

setup: $(if $(filter $(VENV)/%,$(RUN)),$(VENV)/.installed)  ## Install all packages into .venv, as pinned in requirements.lock

$(VENV)/.installed: requirements.lock pyproject.toml
	@echo "setting up $(VENV): takes some minutes, once"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --requirement requirements.lock
	$(RUN) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

##@ Data
data: setup  ## Download, check and pack a dataset, BAPPS by default [SPLITS=all|train|val] [DATA=...]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

data-verify: setup  ## Check BAPPS on disk: counts, digests, archives [SPLITS=all|train|val]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

data-stats: setup  ## Write counts, votes, observers' agreement and a sheet of examples (PNG) [DATA=...] [SPLITS=...]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

##@ Weights and training
weights: setup  ## Download ImageNet and official lin weights, checked by hash [ARGS="net=[alex]"]
	exec $(RUN) scripts/$@.py $(ARGS)

train: setup  ## Train NET=alex|vgg|squeeze VARIANT=lin|tune|scratch on DATA; the same command resumes
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

train-all: setup  ## Train all nine: each NET in each VARIANT [DATA=...] [ARGS="seed=0,1 hydra/launcher=joblib"]
	@exec $(RUN) -m lpips_repro.launch scripts/train.py --multirun hydra/job_logging=sweep net=alex,squeeze,vgg variant=lin,tune,scratch $(SETS_$@) -- $(ARGS)

init-kmeans: setup  ## Make AlexNet's weights by stacked k-means, without training [IMAGES=folder, default: photographs of mini]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

pretrain: setup  ## Train on photographs without labels: TASK=splitbrain|puzzle|bigan [IMAGES=folder, default: photographs of mini]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

tensorboard: setup  ## Show all training runs in TensorBoard [ARGS="--port 6007"]
	$(RUN) -m tensorboard.main --logdir experiments $(ARGS)

##@ Results
eval-tables: setup  ## Write 2AFC and JND tables: DATA=bapps|mini|folder|tid2013|kadid10k|nights [DATA_ROOT=folder] [ARGS="show=all"]
	exec $(RUN) -m lpips_repro.launch scripts/evaluate.py $(SETS_$@) -- $(ARGS)

disagreements: setup  ## Show triplets on which two methods disagree, as CSV and picture: METHODS=a,b [DATA=...] [SPLITS=cnn,color]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

compare: setup  ## Show training runs next to each other: scores, settings, verdicts that differ: RUNS="a b" [ARGS="shown=20"]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

paper: setup  ## Reproduce all results of the paper and compare them with it; the same command resumes [DATA=...] [ARGS="experiment=paper_mini"]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

correlation: setup  ## Correlate methods' 2AFC and JND scores (paper, Figure 5), from their tables [DATA=...]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

sparsity: setup  ## Write the share of zero lin weights per layer (paper, Figure 10): official weights and own runs
	exec $(RUN) scripts/$@.py $(ARGS)

report: setup  ## Draw figures and write a page of the tables, stored distances, runs and weights that exist [DATA=...]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

##@ Your own dataset
distortion-sheet: setup  ## Draw each traditional distortion at five severities, as one picture [ARGS="image=FILE"]
	exec $(RUN) scripts/distortion_sheet.py $(ARGS)

build-dataset: setup  ## Build triplets and JND pairs from photographs, without judgments: IMAGES=folder OUT=folder
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

simulate: setup  ## Add labeled simulated judgments to a dataset without judgments: OUT=folder
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

collect: setup setup-collect  ## Run a study of human judgments, on this machine only by default: DATASET=folder [ARGS="do=serve|links|simulate|export"]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

setup-collect: setup $(if $(filter $(VENV)/%,$(RUN)),$(VENV)/.installed-collect)  ## Install what only make collect needs, as pinned

$(VENV)/.installed-collect: requirements-collect.lock | $(VENV)/.installed
	$(RUN) -m pip install --quiet --requirement requirements-collect.lock
	@touch $@

cnn-distortions: setup  ## Train distorting autoencoders, and show them [COUNT=96] [IMAGES=folder, default: photographs of mini] [ARGS="hydra/launcher=joblib"]
	@exec $(RUN) -m lpips_repro.launch scripts/cnn_distortions.py --multirun $(SETS_$@) -- $(ARGS)
	@exec $(RUN) -m lpips_repro.launch scripts/cnn_distortions_sheet.py $(SETS_$@) -- $(ARGS)

##@ Speed
bench: setup  ## Measure rates, and compare with other packages and the machine, or with AGAINST=COMMIT [ARGS="measure=[lin] net=[alex]"]
	@$(SCRIPT) $(SETS_$@) -- $(ARGS)

gpu-check: setup  ## Run all checks on a GPU, in some minutes [RUN=python3] [ARGS="names of groups"]
	exec $(RUN) scripts/gpu_check.py $(ARGS)

gpu-bench: setup  ## Measure rates of NET=alex|squeeze|vgg on a GPU; the same command resumes [RUN=python3] [ARGS="settings of bench"]
	@$(SCRIPT) $(SETS_$@) device=cuda -- $(ARGS)

##@ Development
docs-figures: setup  ## Draw the figures of README and the manual again, into docs/figures
	exec $(RUN) scripts/docs_figures.py

test: setup  ## Run all tests except slow ones [ARGS="-k lpips"]
	$(PYTEST) $(ARGS)

test-all: setup  ## Run all tests, also slow ones
	$(PYTEST) -m "slow or not slow" $(ARGS)

lint: setup  ## Check style, spelling and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m codespell_lib
	$(RUN) -m mypy

docs: setup  ## The manual as a site, in site/, with all links checked
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict
