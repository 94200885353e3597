#!/usr/bin/env bash
# Tries what a newcomer does, on a machine that has nothing: a fresh Debian root with git, make, python3, python3-venv and npm, a clone of
# what is committed here, then `make demo` and `make test` in it (or the targets named as arguments).  Nothing of it stays.
#
# Packages come from where this machine takes them: its apt, pip and npm settings are copied in as files, and folders that they point to
# are mounted read-only.  No host of a registry stands here.
set -euo pipefail

repository=$(cd "$(dirname "$0")/.." && pwd)
targets=("$@")
((${#targets[@]})) || targets=(demo test)

die() {
  echo "$1" >&2
  exit 2
}
(($(id -u) == 0)) || die "a fresh root is made by root: sudo $0"
command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"

root=$(mktemp --directory /var/tmp/runink-fresh.XXXXXX)
# What is mounted is mounted in a namespace of its own, which is gone by then.
trap 'rm --recursive --force --one-file-system "$root"' EXIT

# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
# Not piped into head: with pipefail, apt-get's complaint about a closed pipe would end the script.
mirrors=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" "Component: main")
mirror=${mirrors%%$'\n'*}
[[ -n $mirror ]] || die "apt has no index of $suite: apt-get update"
debootstrap --variant=minbase --include=ca-certificates,e2fsprogs,git,iproute2,make,nftables,nodejs,npm,python3,python3-venv,qemu-system-x86 "$suite" "$root" "$mirror" >"$root.log" ||
  { tail --lines=20 "$root.log" >&2 && rm -f "$root.log" && die "debootstrap failed"; }
rm -f "$root.log"

copy_in() { # copies what there is of the paths named, each to its own place
  local path
  for path in "$@"; do
    [[ -e $path ]] || continue
    mkdir --parents "$root$(dirname "$path")"
    # Links in there are absolute and would lead back to this machine's own files.
    rm --recursive --force "${root:?}$path"
    cp --recursive --dereference "$path" "$root$path"
  done
}
copy_in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/keyrings /usr/share/keyrings
copy_in /etc/npmrc /root/.npmrc /etc/pip.conf /etc/uv /root/.config/pip /root/.config/uv /root/.pip
copy_in /etc/resolv.conf /etc/hosts /etc/ssl/certs

# Folders that pip takes packages from, as absolute paths or file: URIs.
folders=$(python3 -m pip config list 2>/dev/null | grep --only-matching --extended-regexp "(file://)?/[^ '\\\\]+" | sed 's#^file://##' || true)

git clone --quiet "file://$repository" "$root/root/runink"

export root folders
export targets_text="${targets[*]}"
# Processes and mounts end with the namespaces, whatever happens inside.
unshare --mount --pid --fork --kill-child bash -euo pipefail -c '
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  for folder in $folders; do
    [[ -d $folder && $folder != / ]] || continue
    mkdir --parents "$root$folder"
    mount --bind --options ro "$folder" "$root$folder"
  done
  exec chroot "$root" env HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    bash -euo pipefail -c "apt-get update --quiet --quiet; cd /root/runink; for target in $targets_text; do make \$target; done"
'
echo "fresh root: ${targets[*]} passed"
