# SPDX-License-Identifier: Apache-2.0
# make setup | make demo [BAG=path] [FX=pixels] [OUT=demo] | make test | make lint | make samples | make weights | make experiment | make test-tensorrt
# PYTHON=python3.12 chooses the interpreter, TORCH="torch==2.13.0" the build of torch that is installed first.

PYTHON ?= python3
VENV ?= .venv
OUT ?= demo
BAG ?=
FX ?=
MODEL ?= bundled

# A sourced ROS brings its own rclpy and messages: the environment then sees the system's packages, and the [ros] wheels stay out.
ifeq ($(strip $(ROS_DISTRO)),)
  EXTRAS := ros,render,train,gdt,dev
  VENV_FLAGS :=
else
  EXTRAS := render,train,gdt,dev
  VENV_FLAGS := --system-site-packages
endif

# Plain "torch" is the CUDA build, several GB; without an NVIDIA driver Python 3.11 takes the release that is tested here.
TORCH ?= $(shell if ! command -v nvidia-smi >/dev/null 2>&1 && $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then echo torch==2.13.0; else echo torch; fi)

BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
# MCAP, sheets and videos need no display; EGL does the rendering, on a software rasteriser if there is no GPU.
APT_PACKAGES := libegl1 libgl1 libgl1-mesa-dri

.PHONY: setup demo test test-tensorrt lint samples weights experiment clean

setup: $(STAMP)

$(STAMP): setup.py constraints.txt Makefile
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v else f"Python {v[0]}.{v[1]} is too old: 3.10 or newer is needed (make PYTHON=python3.11)")'
	@$(MAKE) --no-print-directory apt-packages
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV_FLAGS) $(VENV) || { rm -rf $(VENV); echo "python3 -m venv failed. Fix: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24" "setuptools>=64" wheel
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[$(EXTRAS)]"
	@touch $(STAMP)
	@echo "Ready: $(BIN)/ssd-depth --help"

.PHONY: apt-packages
apt-packages:
	@if ldconfig -p 2>/dev/null | grep -q 'libEGL\.so\.1' && ldconfig -p | grep -q 'libGL\.so\.1' && ls /usr/lib/*/dri/*_dri.so >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(APT_PACKAGES) >/dev/null; \
	elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(APT_PACKAGES) >/dev/null; \
	else echo "Rendering needs EGL. Fix: sudo apt-get install $(APT_PACKAGES)   (everything else works without)"; fi

demo: $(STAMP)
	$(BIN)/python -m ssd_depth_ros.demo --out "$(OUT)" --model "$(MODEL)" $(if $(BAG),--bag "$(BAG)") $(if $(FX),--fx "$(FX)")

test: $(STAMP)
# A process for each room: after about a thousand tests in one process, torch, OpenVINO, ROS and the software rasteriser
# together have crashed it.
	@failed=; for part in $$(ls -d test/*/ test/test_*.py | grep -v __pycache__); do \
	  echo "== $$part"; $(BIN)/python -m pytest $$part || failed="$$failed $$part"; done; \
	test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

# In an environment of its own, since it replaces torch: 6 GB. Without a GPU nothing is built; what would be is reported.
TENSORRT_VENV ?= .venv-tensorrt
TENSORRT_PAIRING ?= tensorrt-rtx

test-tensorrt:
	@test -x $(TENSORRT_VENV)/bin/python || $(PYTHON) -m venv $(TENSORRT_VENV)
	$(TENSORRT_VENV)/bin/python -m pip install --quiet --upgrade "pip>=24" "setuptools>=64" wheel
	$(TENSORRT_VENV)/bin/python -m pip install --quiet -c constraints.txt -e ".[$(TENSORRT_PAIRING),test]"
	PYTHONPATH=. $(TENSORRT_VENV)/bin/python bench/tensorrt_dry_run.py --out $(TENSORRT_VENV)/dry_run.md
	$(TENSORRT_VENV)/bin/python -m pytest test/runtime/test_tensorrt.py test/runtime/test_transfer.py

# The recordings that ship: one street, one drive, three conditions.
samples: $(STAMP)
	for pair in day:day-clear night:night rain:day-rain; do $(BIN)/ssd-depth render --out resource/sample/$${pair%%:*}.mcap --condition $${pair##*:} \
	  --seed 14 --seconds 2.5 --rate 10 --fine --quality 74 --lidar-rate 10 --beams 16 --columns 180 || exit 1; done

# The weights that ship, depth learnt from the rendered world alone, in three stages: about 20 minutes of rendering and 95 of training each, on
# two cores that did other things too. Given again, it goes on where it was stopped.
weights: $(STAMP)
	$(BIN)/ssd-depth train --config training/recipes/supervised_rendered.yaml --out runs/supervised_rendered
	$(BIN)/ssd-depth train --config training/recipes/supervised_rendered_further.yaml --out runs/supervised_rendered_further
	$(BIN)/ssd-depth train --config training/recipes/supervised_rendered_third.yaml --out runs/supervised_rendered_third
	@echo "To ship them: cp runs/supervised_rendered_third/last/* ssd_core/weights/bundled/, and write what they are into ssd_core/weights/README.md"

# The paper's claim in miniature: what is missing of docs/results/experiment is trained, judged and written there, a file a job. Given
# again, it goes on; MINUTES=60 begins no further job after an hour.
EXPERIMENT_RUNS ?= runs/experiment
MINUTES ?=

experiment: $(STAMP)
	$(BIN)/ssd-depth experiment --config training/experiment.yaml --out $(EXPERIMENT_RUNS) --results docs/results/experiment \
	  $(if $(MINUTES),--minutes $(MINUTES))

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(TENSORRT_VENV) build *.egg-info .mypy_cache .ruff_cache
