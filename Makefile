# A short menu over scripts/. `make demo` shows it running, `make test` proves it.

.PHONY: help demo test chaos docker-test lint bench services setup

help:
	@echo "make demo        install what is missing, build, film drawn herds at 60x and count them, print the page's address"
	@echo "make test        install what is missing, build, run the tests"
	@echo "make chaos       torment a site on real servers for MINUTES=10, check every window afterwards"
	@echo "make docker-test bring docker/compose.yaml up, torment it, check every frame afterwards"
	@echo "make lint        formatting, clippy and documentation, warnings denied"
	@echo "make bench       build optimised, print each figure as a ratio to its reference"
	@echo "make services    run Kafka, MariaDB and a stand-in for MongoDB until Ctrl-C, print their addresses"
	@echo "make setup       only install what is missing"

demo:
	@scripts/demo

test:
	@scripts/test

chaos:
	@MINUTES=$(MINUTES) SEED=$(SEED) FAULTS=$(FAULTS) scripts/chaos

docker-test:
	@scripts/docker-test

lint:
	@scripts/lint

bench:
	@scripts/bench

services:
	@scripts/setup services
	@scripts/services/run

setup:
	@scripts/setup build test services
