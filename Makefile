# From a clean clone, `make run` and `make test` do all the set-up; scripts/bootstrap/targets.py is the table of stages.
.DEFAULT_GOAL := help
.PHONY: help run test test-all device lint clean

help:
	@echo "make run       from a recording to a board-ready bundle, verified (build/demo/report.html)"
	@echo "make test      every test, ARM under emulation included"
	@echo "make test-all  the slow ones too"
	@echo "make device    for boards, from x86: the static runner and wheels for aarch64 (build/device)"
	@echo "make lint      ruff, and mypy on the installed package"
	@echo "make clean     remove build/ (keeps .venv)"

run test test-all device lint:
	@sh scripts/setup.sh $@

clean:
	rm -rf build
