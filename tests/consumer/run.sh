#!/usr/bin/env bash
# Installs the library and uses it as others would: find_package with the core alone and with everything, pkg-config,
# and add_subdirectory; and asks for what is missing. Builds in build/tests-package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
build=$root/build/tests-package
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

said() { tail -n 40 "$work/log"; echo "failed: $*"; exit 1; }
quietly() { "$@" >"$work/log" 2>&1 || said "$@"; }
# refused TEXT COMMAND...: the command fails, and says TEXT.
refused() {
    local text=$1
    shift
    if "$@" >"$work/log" 2>&1; then said "$@" "(which should have been refused)"; fi
    # CMake breaks long lines.
    [[ $(tr -s ' \n' ' ' <"$work/log") == *"$text"* ]] || said "$@" "(which should have said: $text)"
}

launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
make=(cmake -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS=-O0 -DFAIRLEAD_CTL=OFF "${launcher[@]}")
consumer=("${make[@]}" -S "$root/tests/consumer")

quietly "${make[@]}" -S "$root" -B "$build" -DFAIRLEAD_TESTS=OFF -DFAIRLEAD_EXAMPLES=OFF -DCMAKE_INSTALL_LIBDIR=lib
quietly cmake --build "$build" -j "$(nproc)"

# The core alone needs nothing that is not in the standard library.
nothing=(-DCMAKE_DISABLE_FIND_PACKAGE_Asio=ON -DCMAKE_DISABLE_FIND_PACKAGE_OpenSSL=ON
    -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON -DCMAKE_DISABLE_FIND_PACKAGE_llhttp=ON)
quietly cmake --install "$build" --component core --prefix "$work/core"
quietly "${consumer[@]}" -B "$work/with-core" -DCMAKE_PREFIX_PATH="$work/core" -DFAIRLEAD_COMPONENTS=core "${nothing[@]}"
quietly cmake --build "$work/with-core"
quietly "$work/with-core/core"
refused "only the header-only core of fairlead is installed here" \
    "${consumer[@]}" -B "$work/without-full" -DCMAKE_PREFIX_PATH="$work/core" -DFAIRLEAD_COMPONENTS=fairlead

# Everything, in a folder that is then moved.
quietly cmake --install "$build" --prefix "$work/before"
mv "$work/before" "$work/prefix"
quietly "${consumer[@]}" -B "$work/with-full" -DCMAKE_PREFIX_PATH="$work/prefix"
quietly cmake --build "$work/with-full"
quietly "$work/with-full/core"
quietly "$work/with-full/full"
refused "apt-get install libasio-dev" "${consumer[@]}" -B "$work/without-asio" -DCMAKE_PREFIX_PATH="$work/prefix" \
    -DCMAKE_FIND_ROOT_PATH=/nowhere -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY

# pkg-config.
export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig
read -ra flags <<<"$(pkg-config --cflags --libs fairlead-core)"
quietly g++ tests/consumer/core.cpp "${flags[@]}" -o "$work/core-by-pkg-config"
quietly "$work/core-by-pkg-config"
read -ra flags <<<"$(pkg-config --cflags --libs fairlead)"
quietly g++ tests/consumer/full.cpp "${flags[@]}" -o "$work/full-by-pkg-config"
quietly "$work/full-by-pkg-config"

# add_subdirectory, which must leave its parent alone.
quietly "${consumer[@]}" -B "$work/sub" -DFAIRLEAD_SOURCE="$root"
quietly cmake --build "$work/sub" --target core
quietly "$work/sub/core"
quietly "${consumer[@]}" -B "$work/sub-core" -DFAIRLEAD_SOURCE="$root" -DFAIRLEAD_FULL=OFF "${nothing[@]}"

# What is missing is named, with the package that brings it.
while read -r name package; do
    refused "apt-get install $package" "${make[@]}" -S "$root" -B "$work/no-$name" -DCMAKE_DISABLE_FIND_PACKAGE_"$name"=ON
done <<'PACKAGES'
Asio libasio-dev
nlohmann_json nlohmann-json3-dev
OpenSSL libssl-dev
llhttp libllhttp-dev (on Debian 12, which has none: node-llhttp)
Catch2 catch2
PACKAGES
echo "installed and used by find_package, pkg-config and add_subdirectory; what is missing is named"
