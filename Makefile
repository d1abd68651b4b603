# `make` or `make help` lists what can be done. Every target fails when something in it fails.

CARGO ?= cargo
# More arguments for `make run` and `make test`, as in: make run ARGS='--engine memory'
ARGS ?=

# What cargo needs to build with RocksDB: bindgen loads libclang to make the bindings, and the
# library is compiled once, for all profiles (minutes).
WITH_ROCKSDB = { test -n "$$LIBCLANG_PATH" || ldconfig -p | grep -q libclang || \
  { echo 'RocksDB needs libclang: apt-get install libclang-dev'; exit 1; }; } && \
  dir=$$(kv/engine/native/rocksdb.sh) && ROCKSDB_STATIC=1 ROCKSDB_LIB_DIR="$$dir"

.DEFAULT_GOAL := help
.PHONY: help run cluster test bench bench-cost bench-full bench-limit bench-micro bench-pools bench-raft bench-syncs bench-wal sim-raft test-rocksdb check fix fmt-check clippy docs-check tidy

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile
	@$(foreach stage,$(STAGES),printf '  %-16s %s\n' 'project$(stage)' \
	  "$$(sed -n '1s|^//! *||p' $(firstword $(filter %/stage_$(stage).rs,$(STAGE_FILES))))";)
	@$(foreach group,$(GROUPS_HERE),printf '  %-16s %s\n' 'project$(group)' 'stages $(filter-out $(group),$(filter $(group)%,$(STAGES)))';)

run: ## build and start a store in ./data (ENGINE=memory|rocksdb, ARGS='--sync interval' and the like)
ifeq ($(ENGINE),rocksdb)
	$(WITH_ROCKSDB) $(CARGO) run --release --package tinykv-server --features rocksdb -- --path data --engine rocksdb $(ARGS)
else
	$(CARGO) run --release --package tinykv-server -- --path data $(if $(ENGINE),--engine $(ENGINE)) $(ARGS)
endif

cluster: ## build and start a cluster of 3 stores in ./cluster (NODES=5, ARGS='--port 7000' and the like)
	$(CARGO) build --release --package tinykv-server --package tinykv-client
	target/release/tinykv cluster start --nodes $(or $(NODES),3) $(ARGS)

test: ## run all tests (ARGS='-p tinykv-engine' and the like)
	$(CARGO) test $(ARGS)

SEEDS ?= 1000
sim-raft: ## search SEEDS seeds of the raft simulator for a violation (SEEDS=100000)
	$(CARGO) run --release --package tinykv-raft --example sim -- --seeds $(SEEDS)

sim: ## search SEEDS seeds of the simulated cluster for a failure (SEEDS=10000, ARGS='--first 5000')
	$(CARGO) run --release --package tinykv-sim -- --seeds $(SEEDS) $(ARGS)

sim-corpus: ## choose the few seeds that `make test` runs, since they leave all marks (SEEDS=20000)
	$(CARGO) run --release --package tinykv-sim -- --seeds $(SEEDS) --choose-corpus kv/sim/corpus.txt $(ARGS)

sim-mutants: ## switch on each known bug of raft and raftstore, and count the seeds that find it
	$(CARGO) run --release --package tinykv-sim --features mutants -- --mutants --seeds $(SEEDS) $(ARGS)

bench-raft: ## the raft core beside raft-rs, on the same work in one process
	$(CARGO) run --release --manifest-path raft/bench/Cargo.toml --target-dir target/raft-bench $(if $(FEATURES),--features $(FEATURES)) -- $(ARGS)

bench-wal: ## the write-ahead log beside raft-engine on this disk (ARGS='--dir /data' and the like)
	$(CARGO) run --release --manifest-path kv/wal/bench/Cargo.toml --target-dir target/wal-bench -- $(ARGS)

bench: ## compare storage backends, in minutes (ARGS='--backends bitcask,rocksdb' and the like)
	$(WITH_ROCKSDB) $(CARGO) run --release --package tinykv-bench -- run $(ARGS)

bench-full: ## the same with a million keys and five rounds, in hours
	$(WITH_ROCKSDB) $(CARGO) run --release --package tinykv-bench -- run --full $(ARGS)

bench-limit: ## what each backend does when its keys no longer fit in memory (ARGS='--memory-mib 512' and the like)
	$(WITH_ROCKSDB) $(CARGO) run --release --package tinykv-bench -- limit $(ARGS)

bench-micro: ## single calls, as criterion measures them (ARGS="-- 'get hit'" and the like)
	$(WITH_ROCKSDB) $(CARGO) bench --package tinykv-engine --bench engine --package tinykv-bench --bench backends $(ARGS)

bench-syncs: ## count what each backend syncs while it writes, by strace
	$(WITH_ROCKSDB) $(CARGO) run --release --package tinykv-bench -- syncs $(ARGS)

bench-pools: ## one server thread against several, and the pools of threads for reads (RUNS=9 SIZE=1024 and the like)
	$(CARGO) build --release --package tinykv-server --package tinykv-client
	kv/server/bench/pools.sh

# All suites of the server that need no other programs; one build for all crates.
SERVER_SUITES := $(patsubst kv/server/tests/%.rs,--test %,$(filter-out %/interop_differential.rs %/interop_programs.rs %/full_disk_mounted.rs,$(wildcard kv/server/tests/*.rs)))

test-rocksdb: ## the suites of engines and of the server on RocksDB, and those of the bench
	$(WITH_ROCKSDB) TEST_ENGINE=rocksdb $(CARGO) test --features tinykv-engine/rocksdb,tinykv-server/rocksdb \
	  --package tinykv-engine --package tinykv-server --package tinykv-bench \
	  --test rocksdb --test conformance --test run $(SERVER_SUITES) $(ARGS)

check: fmt-check clippy docs-check tidy test ## all that a change must pass; writes nothing but the build folder

fix: ## format, and apply what the linter can mend
	$(CARGO) clippy --fix --allow-dirty --allow-staged --all-targets
	$(CARGO) fmt

fmt-check:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --all-targets -- -D warnings

docs-check:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps --document-private-items

tidy: ## check the source tree: allowed arrows, file rules, links
	$(CARGO) course arrows
	$(CARGO) course tidy

# The stages of the course: one file tests/stage_<name>.rs in each crate that has a part in it.
STAGE_FILES := $(wildcard raft/tests/stage_*.rs scheduler/tests/stage_*.rs kv/*/tests/stage_*.rs)
STAGES := $(sort $(patsubst stage_%,%,$(basename $(notdir $(STAGE_FILES)))))

define newline


endef

# The package of a stage file: kv/engine/tests/stage_1a.rs -> tinykv-engine
package = tinykv-$(notdir $(patsubst %/tests/,%,$(dir $(1))))

define stage_rule
.PHONY: project$(1)
project$(1):
	$(foreach file,$(filter %/stage_$(1).rs,$(STAGE_FILES)),$(CARGO) test --package $(call package,$(file)) --test stage_$(1) $$(ARGS)$(newline)	)
endef
$(foreach stage,$(STAGES),$(eval $(call stage_rule,$(stage))))

# project2 runs the stages 2aa, 2ab, ... 2c; project2a those that begin with 2a.
define group_rule
.PHONY: project$(1)
project$(1): $(addprefix project,$(filter-out $(1),$(filter $(1)%,$(STAGES))))
endef
GROUPS := $(foreach n,1 2 3 4 5,$(n) $(n)a $(n)b $(n)c)
GROUPS_HERE := $(foreach group,$(GROUPS),$(if $(filter-out $(group),$(filter $(group)%,$(STAGES))),$(group)))
$(foreach group,$(GROUPS_HERE),$(eval $(call group_rule,$(group))))

# What needs programs that this repository does not bring along.
.PHONY: test-interop
INTEROP_NODE := target/interop/node_modules

test-interop: $(INTEROP_NODE)/redis ## compare with redis, and run its clients (SEED=7 or SEEDS=500 chooses what is sent)
	@command -v redis-server redis-cli redis-benchmark > /dev/null || { echo 'install redis 7: apt install redis-server'; exit 1; }
	@python3 -c 'import redis' || { echo 'install redis-py: python3 -m pip install redis'; exit 1; }
	NODE_MODULES=$(abspath $(INTEROP_NODE)) $(CARGO) test --package tinykv-server --features interop --test interop_differential --test interop_programs $(ARGS)

$(INTEROP_NODE)/redis:
	@command -v npm > /dev/null || { echo 'install node and npm: apt install nodejs npm'; exit 1; }
	npm install --no-fund --no-audit --prefix target/interop redis@6.3.1

.PHONY: test-full-disk
test-full-disk: ## fill the disk of one store of a cluster, and make room again (mounts a small one; needs util-linux)
	unshare --map-root-user --mount $(CARGO) test --package tinykv-server --features mounts --test full_disk_mounted $(ARGS)

# What takes long. CI runs short forms.
.PHONY: mutants mutants-rocksdb book course-docs fuzz

KILLS ?= 100

kill-test: ## kill -9 a loaded server again and again, and look for what was acknowledged (KILLS=100)
	KILLS=$(KILLS) $(CARGO) test --package tinykv-server --test kill $(ARGS) -- --nocapture

ROUNDS ?= 20

failover: ## kill -9 the leader of a cluster again and again, and measure how long nobody can write (ROUNDS=20)
	ROUNDS=$(ROUNDS) $(CARGO) test --release --package tinykv-server --test failover $(ARGS) -- --nocapture

MINUTES ?= 10
SEED ?= 1

faults: ## kill, stop and cut off the stores of a cluster for MINUTES, and judge what clients saw (MINUTES=10 SEED=1)
	MINUTES=$(MINUTES) SEED=$(SEED) $(CARGO) test --release --package tinykv-server --test faults $(ARGS) -- --nocapture

MIB ?= 1024

recovery: ## how long a store with MIB of data takes to come back, and what clients notice (MIB=1024)
	MIB=$(MIB) $(CARGO) test --release --package tinykv-server --test recovery $(ARGS) -- --nocapture

bench-redis: ## compare with redis-server under redis-benchmark (RUNS=9 SYNCS=always PIPELINES=1 and the like)
	$(CARGO) build --release --package tinykv-server
	kv/server/bench/redis.sh

FUZZ_SECONDS ?= 60
fuzz: ## run each fuzz target for FUZZ_SECONDS (needs: rustup toolchain install nightly; cargo install --locked cargo-fuzz)
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { echo 'cargo-fuzz is missing: cargo install --locked cargo-fuzz'; exit 1; }
	@for folder in proto kv/wal; do for target in $$(cd $$folder && $(CARGO) +nightly fuzz list); do \
	  (cd $$folder && mkdir -p fuzz/corpus/$$target && $(CARGO) +nightly fuzz run $$target fuzz/corpus/$$target \
	    $$(ls -d fuzz/seeds/$$target 2>/dev/null) -- -max_total_time=$(FUZZ_SECONDS)) || exit 1; done; done

bench-cost: ## CPU and memory by stores and regions, idle and loaded (NODES='1 3 5' REGIONS='1 100 1000' IDLE=10 ACTIVE=10 RATE=2000)
	$(CARGO) build --release --package tinykv-server --package tinykv-client
	kv/server/bench/cost.sh

bench-cluster: ## compare a cluster of three with etcd (RUNS=5 CLIENTS='1 64 256' SECONDS_EACH=5 and the like)
	$(CARGO) build --release --package tinykv-server --package tinykv-client
	$(CARGO) build --release --manifest-path kv/server/bench/cluster/Cargo.toml --target-dir target/cluster-bench
	kv/server/bench/etcd.sh

mutants-rocksdb: ## the same for the code that needs RocksDB, and for the bench
	$(WITH_ROCKSDB) TEST_ENGINE=rocksdb $(CARGO) course mutants --with rocksdb $(ARGS)

mutants: ## switch on each known bug, and demand that a test fails (ARGS='-p tinykv-engine' and the like)
	$(CARGO) course mutants $(ARGS)

book: ## build the book into docs/book/book (needs mdbook: cargo install --locked mdbook)
	mdbook build docs/book

course-docs: ## run the commands in the README and the book, and compare what they print
	$(CARGO) course docs
