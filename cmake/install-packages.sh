#!/usr/bin/env bash
# Installs the distribution's packages that are missing.
#
#     cmake/install-packages.sh build       what the libraries need
#     cmake/install-packages.sh demo        and what the demo needs
#     cmake/install-packages.sh tests       what the libraries need, and the tests
#     cmake/install-packages.sh coverage    as tests, and what shows which lines they reach
#     cmake/install-packages.sh benchmark   what the libraries need, and the benchmarks: HAProxy and nginx, not started
#
# For Debian and Ubuntu, as root or through sudo. Says what it installs; when all is there it is silent, needs no
# rights and no network. On another system it says what is needed and goes on: the build then finds it, or tells.
set -euo pipefail

what=${1:-}
case $what in
    build | demo | tests | coverage | benchmark) ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "No apt-get here. Needed: a C++20 compiler, CMake 3.23, Ninja, standalone Asio, nlohmann/json, OpenSSL," \
        "CLI11, llhttp; for the tests also clang, Catch2, pkg-config and curl." >&2
    exit 0
fi

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    elif command -v sudo >/dev/null; then
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    else
        echo "Please run this as root, or install sudo: $*" >&2
        exit 1
    fi
}
# No pipe into `grep -q`: it leaves at the first match, and what still writes then dies of it, which pipefail reports.
installed() { [[ $(dpkg-query -W -f='${Status}\n' "$1" 2>/dev/null) == *"install ok installed"* ]]; }
known() { [[ $(apt-cache show "$1" 2>/dev/null) == *"Package: "* ]]; }

packages=(g++ cmake ninja-build libasio-dev nlohmann-json3-dev libssl-dev libcli11-dev)
# With these a few more examples are built, and linking is faster: taken along, but nothing fails without.
welcome=()
case $what in
    demo) packages+=(curl) ;;
    tests | coverage)
        packages+=(clang catch2 pkg-config curl libbenchmark-dev python3 valgrind)
        if [ "$what" = coverage ]; then packages+=(llvm); fi
        welcome=(libcpp-httplib-dev libuv1-dev mold)
        ;;
    benchmark) packages+=(libbenchmark-dev python3 haproxy nginx-light) ;;
esac
missing=()
for package in "${packages[@]}"; do
    installed "$package" || missing+=("$package")
done

# A fresh machine has no package lists, and what is called how stands in them.
need_lists() {
    if ! known g++; then
        echo "Fetching the package lists"
        as_root apt-get update -qq
    fi
}

# llhttp is a package of its own on newer systems; Debian 12's node-llhttp brings its C sources (and no Node).
if ! installed libllhttp-dev && ! installed node-llhttp; then
    need_lists
    if known libllhttp-dev; then missing+=(libllhttp-dev); else missing+=(node-llhttp); fi
fi

# The sanitizers' runtime is a package named by clang's version, which clang only recommends.
if [ "$what" = tests ] || [ "$what" = coverage ]; then
    if installed clang; then
        version=$(dpkg-query -W -f='${Depends}' clang)
    else
        need_lists
        version=$(apt-cache depends clang)
    fi
    if [[ $version =~ clang-([0-9]+) ]]; then version=${BASH_REMATCH[1]}; else version=; fi
    runtime=libclang-rt-$version-dev
    if ! installed "$runtime" && known "$runtime"; then missing+=("$runtime"); fi
fi

if [ ${#missing[@]} -gt 0 ] || [ "$(id -u)" -eq 0 ]; then
    for package in "${welcome[@]}"; do
        if ! installed "$package" && known "$package"; then missing+=("$package"); fi
    done
fi
[ ${#missing[@]} -gt 0 ] || exit 0
echo "Installing with apt-get: ${missing[*]}"
as_root apt-get update -qq
# Debian starts a daemon that is installed, unless its policy says no (101). Who has a policy keeps it.
policy=/usr/sbin/policy-rc.d
if [ "$what" = benchmark ] && [ ! -e $policy ]; then
    trap 'as_root rm -f $policy' EXIT
    as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
fi
as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
