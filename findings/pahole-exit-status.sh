#!/bin/sh
# pahole 1.30 (not 1.24, not 1.32): printing one structure from DWARF succeeds and exits 1.
#   One would guess that the exit status tells whether the structure was found. With -C, pahole
#   prints it in full, then says "Invalid argument" and exits 1; from BTF, or of a whole file, it
#   exits 0.
# Matters: 1.30 is Debian 13's. A build or triage script that stops at errors stops at the answer;
#   one that ignores the status cannot tell a missing type from a found one.
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

echo 'struct holey { char a; long b; } h; int main(void) { return 0; }' >holey.c
gcc -g -c holey.c
cp holey.o both.o
run bin/pahole -J both.o
status() {
  result=0
  run bin/pahole "$@" >printed 2>&1 || result=$?
  grep -q 'size: 16' printed
  echo "pahole $*: printed the structure, exit status $result"
}
status -F dwarf -C holey holey.o
[ "$result" = 1 ]
grep 'Invalid argument' printed
status -F dwarf holey.o
[ "$result" = 0 ]
status -F btf -C holey both.o
[ "$result" = 0 ]
