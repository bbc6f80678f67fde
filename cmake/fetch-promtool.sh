#!/usr/bin/env bash
# Fetches Prometheus' checker of metrics without its server: Debian's package is unpacked, not installed, since it would
# start a daemon. 19 MB to fetch, 48 MB kept, once.
#
#     cmake/fetch-promtool.sh FOLDER   leaves FOLDER/promtool
#
# Says so, and leaves nothing, where there is no network or no such package; nothing depends on it but one check.
set -euo pipefail
folder=${1:?the folder to leave promtool in}

if [[ -x $folder/promtool ]] || command -v promtool >/dev/null; then exit 0; fi
without() {
    echo "skipped: promtool cannot be had ($1), so metrics are not checked with it"
    exit 0
}
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || without "no apt-get here"
mkdir -p "$folder"
cd "$folder"
apt-get download -qq prometheus >fetch.log 2>&1 || {
    # A fresh machine has no package lists, one that is not fresh has those of packages that are gone.
    as_root=()
    [[ $(id -u) -eq 0 ]] || as_root=(sudo -n)
    "${as_root[@]}" apt-get update -qq >>fetch.log 2>&1 || without "no package lists"
    apt-get download -qq prometheus >>fetch.log 2>&1 || without "apt-get cannot download prometheus"
}
# Complete or not there: an interrupted run must not leave half of it.
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/promtool >promtool.part
chmod +x promtool.part
mv promtool.part promtool
rm -f prometheus_*.deb fetch.log
