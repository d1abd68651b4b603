#!/bin/sh
# Compiles RocksDB for the feature `rocksdb`, once for all profiles, and prints the folder of the
# library. `make` gives it to cargo:
#
#   ROCKSDB_STATIC=1 ROCKSDB_LIB_DIR=$(kv/engine/native/rocksdb.sh) cargo build --features rocksdb ...
#
# Without these variables cargo compiles RocksDB itself, for each profile and file by file. Here
# many files are one translation unit, as in RocksDB's own target `unity_test`: most of the time goes
# into the same headers again and again, and this takes a fifth of it. Sources, definitions and
# optimisation are those of the crate librocksdb-sys (at -O2, RocksDB's default), with CRCs in
# hardware, which the crate leaves out unless Rust is compiled for such a processor too.
set -eu

CXX=${CXX:-c++}
FILES=12 # in one translation unit; one takes up to 1 GiB of memory

# The source folder of a crate, as Cargo.lock has it.
crate() {
    cargo metadata --format-version 1 --locked --features tinykv-engine/rocksdb |
        grep -o "\"manifest_path\":\"[^\"]*/$1-[0-9][^\"/]*/Cargo.toml\"" |
        sed '1!d; s/.*:"//; s|/Cargo.toml"$||'
}

source=$(crate librocksdb-sys)
lz4=$(crate lz4-sys)
[ -n "$source" ] && [ -n "$lz4" ] || { echo "cargo fetch has no librocksdb-sys" >&2; exit 1; }
out=${CARGO_TARGET_DIR:-$PWD/target}/native/$(basename "$source")
if [ -f "$out/librocksdb.a" ]; then
    echo "$out"
    exit
fi

flags="-O2 -fPIC -ffunction-sections -fdata-sections -std=c++20 -include cstdint -w
    -DNDEBUG=1 -DLZ4=1 -DHAVE_ALIGNED_NEW -DHAVE_UINT128_EXTENSION
    -I$source/rocksdb/include -I$source/rocksdb -I$source -I$lz4/liblz4/lib"
case $(uname -s) in
Linux)
    flags="$flags -DOS_LINUX -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX
        -DROCKSDB_SCHED_GETCPU_PRESENT -DROCKSDB_AUXV_GETAUXVAL_PRESENT
        -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT"
    ;;
*)
    echo "only for Linux; elsewhere let cargo compile RocksDB" >&2
    exit 1
    ;;
esac
case $(uname -m) in
x86_64) flags="$flags -msse4.2 -mpclmul" ;;
aarch64) flags="$flags -march=armv8-a+crc+crypto" ;;
esac

rm -rf "$out"
mkdir -p "$out/units"
{
    grep -v -e '^util/build_version.cc' -e '^$' "$source/rocksdb_lib_sources.txt"
    echo build_version.cc
} | sed 's/.*/#include "&"/' | split -l "$FILES" -a 3 --additional-suffix=.cc - "$out/units/unit-"
echo "compiling RocksDB: $(ls "$out/units" | wc -l) units of $FILES files" >&2
# shellcheck disable=SC2086
find "$out/units" -name '*.cc' | sort |
    xargs -P "${CARGO_BUILD_JOBS:-$(nproc)}" -I UNIT "$CXX" $flags -c UNIT -o UNIT.o >&2
ar crs "$out/librocksdb.tmp" "$out"/units/*.o
rm -rf "$out/units"
mv "$out/librocksdb.tmp" "$out/librocksdb.a"
echo "$out"
