# make setup   system packages, .venv and the sysroot; quick when they are there
# make demo    builds a real server with uk-gcc, boots it, talks to it
# make test    all tests;  make lint  style and types;  make bench  measurements
# make lock    scripts/python/*.lock: the Python packages of setup and CI, each with its hash
# make test-lowest  the unit tests with the lowest versions of libraries that pyproject.toml allows
# make wheels  build/wheels: ukcc, ukcc-sysroot with the sysroot of this machine, and libraries
# make deb     build/debs: a Debian package of ukcc, without a sysroot
# make install-check  wheels, Debian package and container image, each in an empty Debian 12
# make compat  a table of real programs, built by uk-gcc, tested and booted; make compat-ci  the quick ones
# make ports   applications by recipe: built, booted, put to the test; make ports-ci  the quick ones
# make stress  stress-ng's stressors, booted and as processes;  make soak  an hour of one busy guest
# make conformance  glibc's and the kernel's own tests, as unikernels and as Linux processes
# make fuzz    every parser of a guest's or stranger's bytes, an hour each, in pieces (make fuzz-status); make fuzz-ci  ten minutes for all
# make test-classes  kernels for one program: a class of kernels, and lists of system calls
# make kvm-check  images under KVM, in an emulated machine that has one, or on this host's;  make kvm-check-ci  the quick ones
# make test-boot-qemu  the boot tests with the QEMU of another Debian: SUITE=trixie, SUITE=unstable
# make host-check SUITE=trixie  setup, demo and tests in a root directory of another Debian
# make vmm-check  images booted by the real Firecracker and Cloud Hypervisor that are on PATH
# make test-linux LINUX=7.2  the boot tests, conformance groups and the demo on another kernel, for the night
# make kernel-check  the kernel's patches: style, size, every revision they apply to, no change without CONFIG_UK

.PHONY: setup demo test wheels deb install-check lock test-lowest cli-pages lint bench \
	compat compat-ci compat-packages ports ports-ci \
	stress soak stress-packages \
	conformance conformance-packages kernel-check kvm-check kvm-check-ci kvm-check-packages \
	test-classes test-boot-class test-boot-qemu test-linux vmm-check host-check venv \
	fuzz fuzz-ci fuzz-status fuzz-keep fuzz-input fuzz-minimize fuzz-packages
.DEFAULT_GOAL := setup

PYTHON := .venv/bin/python
# The long tests: packages under tests/.
RIG = PYTHONPATH=tests $(PYTHON) -m

setup:
	@scripts/setup

venv:
	@scripts/setup packages venv

demo: setup
	@.venv/bin/ukcc demo

# PYTEST_ADDOPTS narrows a run, for example PYTEST_ADDOPTS='-k sysroot'.
test: setup
	$(PYTHON) -m pytest $(wildcard tests/unit tests/build tests/boot)

# For `pip install ukcc ukcc-sysroot`: both go to build/wheels, and the libraries that they need.
WHEELS = build/wheels
wheels: setup
	@rm -rf $(WHEELS)
	@$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--wheel-dir $(WHEELS) . </dev/null
	@$(PYTHON) -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
		--require-hashes -r scripts/python/run.lock --dest $(WHEELS) </dev/null
	@scripts/sysroot-wheel $(WHEELS)

# build/debs: a Debian package, by Debian's own tools.
deb: venv
	@scripts/setup deb-packages
	@scripts/deb build/debs

# WAYS narrows it: make install-check WAYS="wheels deb".
install-check: setup
	@scripts/setup install-check-packages
	@$(PYTHON) tests/install_check.py $(WAYS)

# scripts/python/*.lock, from pyproject.toml; ARGS=--update takes the newest versions that fit.
lock: venv
	@$(PYTHON) tests/python_lock.py $(ARGS)

# The unit tests with the lowest versions that pyproject.toml allows.
LOWEST = build/lowest
test-lowest: venv
	@$(PYTHON) -m venv --clear $(LOWEST)
	@$(PYTHON) tests/python_lock.py --lowest >$(LOWEST)/constraints.txt
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint $(LOWEST)/constraints.txt --editable '.[dev,pictures]' </dev/null
	$(LOWEST)/bin/python -m pytest tests/unit

# docs/commands.md and docs/man, from the commands themselves.
cli-pages: venv
	@PYTHONPATH=tests $(PYTHON) tests/cli_pages.py

lint: venv
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# ARGS="--pictures docs/pictures --only small" is the table of kernels alone, with its pictures.
bench: setup
	@$(RIG) bench $(ARGS)

compat-packages: setup
	@scripts/setup compat-packages

# ROWS narrows it: make compat ROWS="zlib xz". ARGS="--markdown" is for docs/compatibility.md.
compat: compat-packages
	@$(RIG) compat $(ARGS) $(ROWS)

# The trees of rows that passed are removed: some have gigabytes of test programs.
compat-ci: compat-packages
	@$(RIG) compat --ci --discard

ports-packages: setup
	@scripts/setup ports-packages

# PORTS narrows it; ARGS="--long" also runs the applications' own suites, ARGS="--kernel own" tests
# with kernels made for the images.
ports: ports-packages
	@.venv/bin/ukcc port test $(ARGS) $(or $(PORTS),--all)

ports-ci: ports-packages
	@.venv/bin/ukcc port test --ci

stress-packages: setup
	@scripts/setup stress-packages

# ARGS narrows it: make stress ARGS="--seconds 2 fork vm".
stress: stress-packages
	@$(RIG) conformance.stress $(ARGS)

soak: stress-packages
	@$(RIG) conformance.soak $(ARGS)

conformance-packages: setup
	@scripts/setup conformance-packages

# SUITES narrows it: make conformance SUITES="glibc-signal". ARGS="--markdown" is for docs/conformance.md.
conformance: conformance-packages
	@$(RIG) conformance $(ARGS) $(SUITES)

# No sysroot is needed.
fuzz-packages: venv
	@scripts/setup fuzz-packages

FUZZ = $(RIG) fuzz

# Until each target has that much, in all runs for its present code; it may be ended at any time, and goes on the next time.
# TARGETS narrows it: make fuzz SECONDS=60 TARGETS="cpio dhcp_answer". ARGS="--json" is for machines.
SECONDS = 3600
fuzz: fuzz-packages
	@$(FUZZ) run --seconds $(SECONDS) $(ARGS) $(TARGETS)

# The same inputs each time, so that what fails is what was changed.
fuzz-ci: fuzz-packages
	@$(FUZZ) run --total 600 --seed 1 $(ARGS) $(TARGETS)

# How long each was fuzzed. ARGS="--markdown" is for docs/testing.md.
fuzz-status: venv
	@$(FUZZ) status $(ARGS) $(TARGETS)

# The hours of this machine's ledger into tests/fuzz/hours.json, to be committed.
fuzz-keep: venv
	@$(FUZZ) keep $(TARGETS)

# A finding once more: make fuzz-input TARGET=cpio INPUT=FILE
fuzz-input: fuzz-packages
	@$(FUZZ) input $(TARGET) $(INPUT)

# What was learned goes into tests/fuzz/corpus.
fuzz-minimize: fuzz-packages
	@$(FUZZ) minimize $(TARGETS)

# A kernel of its own is compiled on first use.
test-classes: setup
	$(PYTHON) -m pytest tests/classes

# The boot tests on a kernel of a class: make test-boot-class FEATURES="net unix disk", or all that there are.
FEATURES = all
test-boot-class: setup
	UKCC_SYSROOT=$$($(PYTHON) tests/classes/sysroot_of.py $(FEATURES)) $(PYTHON) -m pytest tests/boot

# Nothing is installed. TESTS narrows it; ARGS=--update takes the newest that the suite has now.
SUITE = trixie
TESTS = tests/boot
test-boot-qemu: setup
	@qemu=$$($(PYTHON) tests/other_qemu.py $(SUITE) $(ARGS)) && \
	PATH="$$qemu:$$PATH" $(PYTHON) -m pytest $(TESTS)

# Another Debian as the host, in a root directory of its own that the store keeps. STEPS chooses among
# packages, unit, setup, demo, test; setup builds a sysroot there.
STEPS = packages setup demo test
host-check: venv
	@scripts/setup host-check-packages
	@$(PYTHON) tests/host_check.py $(SUITE) $(STEPS)

# status 77 where there is nothing to check: that is no success
vmm-check: venv
	@$(PYTHON) tests/vmm_check.py

# Everything that boots, on another kernel, in some hours: make test-linux LINUX=7.2. The usual kernel is current again
# before the tests begin.
LINUX = 7.2
test-linux: conformance-packages
	UKCC_SYSROOT=$$(.venv/bin/ukcc sysroot build --linux $(LINUX)) && export UKCC_SYSROOT && \
	.venv/bin/ukcc sysroot build -q && \
	$(PYTHON) -m pytest tests/boot && \
	$(RIG) conformance glibc-setjmp glibc-signal kselftest && \
	.venv/bin/ukcc demo

kernel-check: venv
	@$(RIG) kernelcheck $(ARGS)

kvm-check-packages: setup
	@scripts/setup kvm-check-packages

KVM_CHECK = $(RIG) kvmcheck

# ROWS narrows it: make kvm-check ROWS="hello redis"; ARGS=--list has all, ARGS=--last is what the last run said,
# ARGS="--last --markdown" the table of docs/internals/kvm.md, ARGS="--kvm-amd npt=0" shadow page tables.
kvm-check: kvm-check-packages
	@$(KVM_CHECK) $(ARGS) $(ROWS)

kvm-check-ci: kvm-check-packages
	@$(KVM_CHECK) --ci --no-control $(ARGS)
