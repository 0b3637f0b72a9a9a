# What can be done here. `make` alone is what has to be green before a change lands.

# The tools have a module of their own, so that Stockflow doesn't depend on what they depend on.
TOOL := go tool -modfile=tools/go.mod

# A program that is to be killed counts what it flushes, so that one sees what the kills have met.
TORTURE := go test -tags torture -count 1 -timeout 0 -v ./torture

FUZZTIME ?= 20s
KILLS    ?= 30
CUTS     ?= 10000
TIMES    ?= 20
MINUTES  ?= 60
SEED     ?= 0
FLAWS    ?= none|sendEarly|storeEarly|markEarly
CLIENTS  ?= 8
BENCH    ?= .
ORDERS   ?= 1000000
INVOICES ?= 0
LEADERS  ?= 10
DOWN     ?= 1m
DATA     ?= ./data
HTTP     ?= 127.0.0.1:8080

.DEFAULT_GOAL := check
.PHONY: help check format lint test test-browser month faults disk sim power race fuzz torture torture-flaws stale soak test-kafka test-clients generate bench growth run

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: format lint test ## format, lint and test: the default

format: ## write all files as gofmt would
	go fmt ./...

lint: ## look for what tests don't find
	go vet ./...
	$(TOOL) golangci-lint run ./...
	$(TOOL) buf lint

test: ## run all tests
	go test ./...

test-browser: ## try /docs in a browser; installs chromium where it is missing
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y --no-install-recommends chromium; }
	STOCKFLOW_REQUIRE=chromium go test -count 1 -run Browser ./api

faults: ## run everything on brokers that fail, and again with flaws that must be found; SEEDS=20 runs, HOLE=8s a black hole
	go test -count 1 -v -timeout 60m -run 'TestBadWeather$$' ./processors -seeds $(or $(SEEDS),20) -hole $(or $(HOLE),8s) -abreast 4
	go test -count 1 -v -tags flaws -run 'TestBadWeatherFindsFlaws$$' ./processors -abreast 4

sim: ## simulate the protocol in memory, SEEDS=2000 runs with every kind of failure; SEED=n repeats one and prints it
	go test -count 1 -v -timeout 30m -run 'TestSimulation$$' ./engine -seeds $(or $(SEEDS),2000) -seed $(SEED)

power: ## cut the power CUTS times under the journal, ENGINE times under the engine, CUTS/100 times under the program; let disks fail
	go test -count 1 -v -timeout 60m -run 'TestPower' ./journal -cuts $(CUTS)
	go test -count 1 -v -timeout 60m -run 'TestPower|TestTrouble$$' ./engine -cuts $(or $(ENGINE),$(CUTS)) -troubles $$(($(CUTS) / 200))
	go test -count 1 -v -timeout 60m -run 'TestPower$$|TestTroubleWithTheDisk$$' ./cli -cuts $$(($(CUTS) / 100))

month: ## play the whole month of real orders, and 10,000 writes each followed by a read; the tests have a part of both
	STOCKFLOW_REQUIRE=data go test -count 1 -v -timeout 30m -run 'TestAMonth|TestAReadAfterAWriteIsNeverStale' ./cli -invoices 0 -writes 10000

disk: ## fill the disk under a Stockflow at work; takes root, to mount one
	STOCKFLOW_REQUIRE=tmpfs go test -count 1 -run 'TestAFullDisk$$' ./torture

race: ## run the tests of what runs side by side, under the race detector
	go test -race $$(.ci/concurrent)

fuzz: ## look for bytes that break something; FUZZTIME=5m looks longer at each
	.ci/fuzz $(FUZZTIME)

torture: ## kill Stockflow under load KILLS times and audit what is left; SEED=n repeats a run, CLIENTS=n load it more
	$(TORTURE) -run 'TestTorture$$' -kills $(KILLS) -seed $(SEED) -clients $(CLIENTS)

torture-flaws: ## the same with programs that lack a part of the protocol each, FLAWS, which the audit has to find
	$(TORTURE) -run 'TestJournalFlaws$$|TestEngineFlaws$$/($(FLAWS))$$|TestStaleOwnersAreFound$$' -times $(TIMES) -seed $(SEED)

stale: ## stop one of two instances for twice its session TIMES times, and audit what is left
	$(TORTURE) -run 'TestStaleOwners$$' -times $(TIMES) -seed $(SEED)

soak: ## run under load for MINUTES with a kill now and then: memory, goroutines, files and disk, and the audit
	$(TORTURE) -run 'TestSoak$$' -minutes $(MINUTES) -seed $(SEED)

test-kafka: ## try it on Apache Kafka, which Maven fetches: INVOICES of the month (0 is all), KILLS, LEADERS killed, all brokers DOWN
	@command -v kcat >/dev/null || { apt-get update -qq && apt-get install -y --no-install-recommends kcat; }
	npm ci --prefix examples/express-producer --no-audit --no-fund
	mvn -q -B -f stockflowtest/kafka process-resources
	STOCKFLOW_REQUIRE=kafka go test -count 1 -v -timeout 10m -run 'Kafka|TestThree|TestWithZooKeeper' ./stockflowtest/kafka ./broker
	STOCKFLOW_REQUIRE=kafka,data,kcat,node go test -count 1 -v -timeout 30m -run 'TestOn(ThreeBrokers|ZooKeeper|ASecuredKafka)' ./cli -invoices $(INVOICES)
	STOCKFLOW_REQUIRE=kafka $(TORTURE) -timeout 20m -run 'TestOnKafka$$' -kills $(KILLS) -leaders $(LEADERS) -down $(DOWN) -seed $(SEED)

test-clients: ## try the Kafka port with kcat, kafkajs, librdkafka and the Java client, which apt, npm, pip and Maven fetch
	@command -v kcat >/dev/null || { apt-get update -qq && apt-get install -y --no-install-recommends kcat; }
	npm ci --prefix kafkaport/testdata/clients/kafkajs --no-audit --no-fund
	mvn -q -B -f kafkaport/testdata/clients/java process-resources
	python3 -m pip install -q --target kafkaport/testdata/clients/python/target -r kafkaport/testdata/clients/python/requirements.txt
	STOCKFLOW_REQUIRE=kcat,kafkajs,java,python go test -count 1 -v -timeout 15m -run 'TestClients|TestKcat|TestJava' ./kafkaport

generate: ## write again what is generated
	go generate ./...

bench: ## measure; BENCH=name picks some
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

growth: ## place ORDERS=1000000 orders: memory, disk, and how long a start takes, after a kill and without stores too
	go test -count 1 -timeout 0 -run '^$$' -bench 'Growth$$' -benchtime 1x ./benchmarks -orders $(ORDERS)

run: ## start Stockflow; HTTP=host:port and DATA=directory change where
	go run . serve --http $(HTTP) --data $(DATA)
