# PYTHON=/path/to/python3 chooses the Python (3.11 or newer) that .venv is made with.
export PYTHON
# An empty environment has no PATH at all.
export PATH := $(or $(PATH),/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)

.PHONY: help demo test lint test-boot test-boot-again test-xen test-programs rollbuild-roll bench clean setup-demo setup-test

help:
	@echo 'make demo       compile and check the shipped appliances for el8, el9 and el10, build the rolls, fill a database'
	@echo 'make test       lint, then every test that needs no real machine'
	@echo 'make lint       formatting, lint, types, shell scripts'
	@echo 'make test-boot  the tests that boot machines, and those that take long'
	@echo 'make test-xen   virtual machines on a real Xen, emulated: ten to fifteen minutes'
	@echo 'make test-programs  install the programs that some tests need (root)'
	@echo 'make rollbuild-roll  build the roll that brings rollbuild to a front end (rpmbuild, and a package index in reach)'
	@echo 'make bench      time compiling'
	@echo 'make clean      remove .venv, build/ and caches'
	@echo 'Each of them sets up .venv first. PYTHON=... chooses the Python (3.11 or newer).'

demo: setup-demo
	@sh tools/demo.sh

test: lint
	.venv/bin/python -m pytest -q -n auto

lint: setup-test
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m ruff check .
	.venv/bin/python -m mypy
	.venv/bin/shellcheck tools/*.sh .ci/run

# At most two machines at once: more starve each other on two cores.
test-boot: setup-test
	.venv/bin/python -m pytest -q -n 2 --dist loadgroup -m "(boot or long) and not xen"

# Those that failed before, one at a time: two machines at once can starve each other.
test-boot-again: setup-test
	.venv/bin/python -m pytest -q --last-failed --last-failed-no-failures none -m "boot or long"

# The article's commands on a real Xen, with nothing beside it.
test-xen: setup-test
	.venv/bin/python -m pytest -q -m xen

test-programs:
	@sh tools/test-programs.sh

rollbuild-roll: setup-demo
	.venv/bin/python tools/rollbuild_roll.py build/rollbuild-roll/rollbuild
	.venv/bin/rollbuild roll build build/rollbuild-roll/rollbuild -o build/rolls

bench: setup-test
	.venv/bin/python -m pytest -q tests/bench --benchmark-enable --benchmark-columns=min,median,stddev,rounds

clean:
	rm -rf .venv build dist .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find rollbuild tests -name __pycache__ -type d -prune -exec rm -rf {} +

setup-demo:
	@sh tools/setup.sh demo

setup-test:
	@sh tools/setup.sh test
