#!/usr/bin/env bash
# Installs the library into an empty prefix and uses it in the four ways that the README names: find_package with
# the core alone, with everything, pkg-config, and add_subdirectory.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quiet() { "$@" >"$work/log" 2>&1 || { tail -n 40 "$work/log"; echo "failed: $*"; exit 1; }; }

launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
quiet cmake -S . -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS=-O0 "${launcher[@]}" \
    -DFAIRLEAD_TESTS=OFF -DFAIRLEAD_EXAMPLES=OFF -DFAIRLEAD_INSTALL=ON -DCMAKE_INSTALL_PREFIX="$work/prefix" \
    -DCMAKE_INSTALL_LIBDIR=lib
quiet cmake --build "$work/build" -j "$(nproc)"
quiet cmake --install "$work/build"

quiet cmake -S tests/consumer -B "$work/found" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix"
quiet cmake --build "$work/found"
"$work/found/core" && "$work/found/full"

quiet cmake -S tests/consumer -B "$work/sub" -G Ninja -DFAIRLEAD_SOURCE="$root"
quiet cmake --build "$work/sub" --target core
"$work/sub/core"

export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig
# shellcheck disable=SC2046
quiet g++ tests/consumer/core.cpp $(pkg-config --cflags --libs fairlead-core) -o "$work/by-pkg-config"
"$work/by-pkg-config"
# shellcheck disable=SC2046
quiet g++ -std=c++20 tests/consumer/full.cpp $(pkg-config --cflags --libs fairlead) -o "$work/full-by-pkg-config"
"$work/full-by-pkg-config"
echo "The package is found by find_package, pkg-config and add_subdirectory."
