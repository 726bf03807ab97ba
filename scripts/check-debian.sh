#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds and tests the project in a fresh Debian of another release: what a machine that was long worked on cannot show.
# Everything in the chroot runs in namespaces of its own, so that its mounts and processes are gone however this script ends.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
top=$(dirname -- "$here")

usage() {
    cat <<'TEXT'
Usage: check-debian.sh [--mirror URL] SUITE FOLDER [-- TEST-OPTION...]
Installs Debian SUITE (bookworm or trixie) into FOLDER, copies this clone into it, and runs scripts/test.sh there with the
options given (default: --preset release). FOLDER must be new or empty, or from an earlier run of this script; it is kept,
and takes about 2 GB. Needs root and the package debootstrap.

  --mirror URL  where to get Debian (default: where this machine's apt gets it)

Example: scripts/check-debian.sh trixie /var/tmp/trixie
TEXT
}

die() {
    printf 'check-debian.sh: %s\n' "$*" >&2
    exit 1
}

usage_error() {
    printf 'check-debian.sh: %s; see --help.\n' "$*" >&2
    exit 2
}

readonly MARK=.check-debian # in FOLDER, once the base system is whole

# What runs inside the namespaces: mounts below FOLDER, then the tests in the chroot.
if [[ ${1-} == --in-namespace ]]; then
    folder=$2
    shift 2
    mount --bind "$folder" "$folder" # to be the root it has to be a mount
    cd -- "$folder"
    mount -t proc proc "$folder/proc"
    mount -t tmpfs -o mode=755 tmpfs "$folder/dev"
    for device in null zero full random urandom tty; do
        : >"$folder/dev/$device"
        mount --bind "/dev/$device" "$folder/dev/$device"
    done
    mkdir "$folder/dev/shm" "$folder/dev/pts" "$folder/dev/net"
    if [[ -e /dev/net/tun ]]; then # CRIU opens it
        : >"$folder/dev/net/tun"
        mount --bind /dev/net/tun "$folder/dev/net/tun"
    fi
    mount -t tmpfs -o mode=1777 tmpfs "$folder/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$folder/dev/pts"
    ln -s pts/ptmx "$folder/dev/ptmx"
    ln -s /proc/self/fd "$folder/dev/fd"
    for ((i = 0; i < 3; ++i)); do
        names=(stdin stdout stderr)
        ln -s "/proc/self/fd/$i" "$folder/dev/${names[i]}"
    done
    mount -t tmpfs -o mode=1777 tmpfs "$folder/tmp"
    # Not with chroot alone: CRIU dumps no mount namespace of a process whose root is not that of the namespace.
    mkdir -p "$folder/mnt/outside"
    pivot_root . mnt/outside
    exec chroot . /bin/sh -c 'umount -l /mnt/outside && exec "$@"' sh /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 CI=true \
        ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} \
        bash /root/ckpt-seal/scripts/test.sh "$@" </dev/null
fi

mirror="" names=()
while (($#)); do
    case $1 in
        --mirror)
            (($# > 1)) || usage_error "--mirror wants an address"
            mirror=$2
            shift
            ;;
        --help | -h)
            usage
            exit 0
            ;;
        --)
            shift
            break
            ;;
        -*) usage_error "$1 is no option of this script" ;;
        *) names+=("$1") ;;
    esac
    shift
done
((${#names[@]} == 2)) || usage_error "a suite and a folder are expected"
suite=${names[0]} folder=${names[1]}
(($#)) || set -- --preset release
[[ $suite =~ ^[a-z]+$ ]] || usage_error "$suite is no name of a Debian release"
((EUID == 0)) || die "making a Debian system takes root; run this script as root."
command -v debootstrap >/dev/null || die "debootstrap is not installed; install the package debootstrap."
if [[ -z $mirror ]]; then
    # shellcheck disable=SC2016 # apt expands these, not the shell
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Origin: Debian' |
        awk '$1 == "Debian" { print $2; exit }')
    [[ -n $mirror ]] || die "this machine's apt knows no Debian mirror; run apt-get update, or name one with --mirror."
fi

mkdir -p -- "$folder"
folder=$(cd -- "$folder" && pwd -P)
[[ $folder != / ]] || die "the folder must not be this machine's own root."
if [[ ! -f $folder/$MARK ]]; then
    [[ -z $(ls -A -- "$folder") ]] || die "$folder is not empty and not from an earlier run that got so far; name a new folder."
    # Also in a namespace: debootstrap mounts /proc while it works.
    unshare --mount --pid --fork --kill-child --mount-proc \
        debootstrap --variant=minbase --include=ca-certificates "$suite" "$folder" "$mirror" </dev/null
    # No package may start a service in there.
    printf '#!/bin/sh\nexit 101\n' >"$folder/usr/sbin/policy-rc.d"
    chmod 755 "$folder/usr/sbin/policy-rc.d"
    echo "$suite" >"$folder/$MARK"
fi
[[ $(<"$folder/$MARK") == "$suite" ]] || die "$folder holds Debian $(<"$folder/$MARK"), not $suite; name another folder."
cp -L -- /etc/resolv.conf /etc/hosts "$folder/etc/"
# A mirror that stands still is one for this machine's apt as well.
apt-config dump | grep -E '^Acquire::Check-(Valid-Until|Date) ' >"$folder/etc/apt/apt.conf.d/90dates" || true

# What a clone would have and what is not committed yet, without what was built here.
clone=$folder/root/ckpt-seal
rm -rf -- "$clone"
mkdir -- "$clone"
if git -C "$top" rev-parse --git-dir >/dev/null 2>&1; then
    git -C "$top" ls-files -z --cached --others --exclude-standard
else
    (cd -- "$top" && find . -path ./build -prune -o -type f -print0)
fi | tar -C "$top" --null --ignore-failed-read --files-from=- -cf - | tar -C "$clone" -xf -

# unshare takes no SIGTERM while it waits, and what is init in there none either: killing unshare ends all of it.
inside=""
trap '[[ -z $inside ]] || kill -KILL "$inside"; rm -rf -- "$clone"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
unshare --mount --propagation private --pid --fork --kill-child \
    bash "${BASH_SOURCE[0]}" --in-namespace "$folder" "$@" &
inside=$!
status=0
wait "$inside" || status=$?
inside=""
exit "$status"
