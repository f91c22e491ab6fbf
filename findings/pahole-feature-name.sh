#!/bin/sh
# pahole 1.30: a feature name that --btf_features does not know switches all the others off,
#   silently.
#   One would guess that an unknown name is ignored, as the manual implies, and the rest stays as
#   without the option. But the list replaces the defaults: with "all" (which 1.30 does not know,
#   later versions do), or a misspelt name alone, 64-bit enumerators are cut to 32 bits: 1 << 40
#   is 0.
# Matters: kernel builds hand pahole such lists, made for one version and run with another. The
#   BTF is valid, loads, and has wrong enumerators and no floats; only --btf_features_strict
#   tells.
# Needs: Debian on x86-64 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
# Debian 13's packages beside this system's own, from the archive that it is set up for.
mkdir -p lists/partial cache/archives/partial
# shellcheck disable=SC2016
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' 'Created-By: Packages' |
  head -n 1)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $archive trixie main" >sources
: >status
apt() {
  apt-get -qq -o Dir::Etc::sourcelist="$folder/sources" -o Dir::Etc::sourceparts=- \
    -o Dir::State::lists="$folder/lists" -o Dir::State::status="$folder/status" \
    -o Dir::Cache="$folder/cache" -o APT::Sandbox::User=root "$@"
}
apt update
apt install -y -d --no-install-recommends pahole=1.30-1  >/dev/null
for package in cache/archives/*.deb; do dpkg-deb -x "$package" root; done
run() {
  tool=$1
  shift
  root/usr/lib64/ld-linux-x86-64.so.2 --library-path root/usr/lib/x86_64-linux-gnu \
    "root/usr/$tool" "$@"
}

echo 'enum big { BIG = 1ULL << 40 } e; double d;' >big.c
gcc -g -c big.c
value() {
  cp big.o encoded.o
  run bin/pahole "$@" encoded.o
  run bin/pahole -F btf -C big encoded.o | grep BIG | tr -d '\t ,'
}
plain=$(value -J) unknown=$(value -J --btf_features=all) known=$(value -J --btf_features=enum64)
echo "no list: $plain; all: $unknown; enum64: $known"
[ "$plain" = BIG=1099511627776 ] && [ "$known" = "$plain" ] && [ "$unknown" = BIG=0 ]
