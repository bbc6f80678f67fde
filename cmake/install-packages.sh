#!/usr/bin/env bash
# Installs the distribution's packages that are missing: install-packages.sh build|demo|tests
#   build, demo  what the library, the gateway and the demo need
#   tests        and what the tests need
# Debian and Ubuntu, as root or with sudo. Does nothing, and needs no rights, when all is there.
set -euo pipefail

as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
run_as_root() {
    if [ ${#as_root[@]} -gt 0 ] && ! command -v sudo >/dev/null; then
        echo "Please run as root, or install sudo: $*" >&2
        exit 1
    fi
    ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive "$@"
}

# A fresh machine has no package lists, and what is called how stands in them.
if ! apt-cache show g++ >/dev/null 2>&1; then
    echo "Fetching the package lists"
    run_as_root apt-get update -qq
fi

packages=(g++ cmake ninja-build pkg-config libasio-dev nlohmann-json3-dev libssl-dev)
# llhttp is a package of its own on newer systems; on Debian 12 node-llhttp brings its C sources.
if apt-cache show libllhttp-dev >/dev/null 2>&1; then
    packages+=(libllhttp-dev)
else
    packages+=(node-llhttp)
fi
if [ "${1:-build}" = tests ]; then
    packages+=(clang catch2 libcpp-httplib-dev curl)
    # The sanitizers' runtime is packaged by the compiler's version.
    version=$(apt-cache depends clang | sed -n 's/.*Depends: clang-\([0-9][0-9]*\)$/\1/p' | head -n 1)
    [ -z "$version" ] || packages+=("libclang-rt-$version-dev")
fi

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "Installing: ${missing[*]}"
run_as_root apt-get update -qq
run_as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
