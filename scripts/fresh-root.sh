#!/bin/bash
# Proves that the two commands work from nothing: makes a bare Debian 12 (debootstrap) with git and make only, clones
# the committed HEAD into it, and runs `make demo` and `make test` there. Needs root and debootstrap, a few minutes
# and some 3 GB below FRESH_ROOTS (default /tmp); deletes the root afterwards, unless KEEP=1.
#
# FRESH_SUITE=trixie (PostgreSQL 17) or forky (18) takes another release of Debian, and all suites but static, which reads
# the sources by Debian 12's clang. FRESH_COMMANDS="demo test" chooses what to run; FRESH_MIRROR names the package archive
# (default: the machine's own).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
is_root || fail 'fresh-root.sh needs root (debootstrap, chroot)'
command -v debootstrap >/dev/null || fail 'install debootstrap first'

suite=${FRESH_SUITE:-bookworm}
commands="demo test"
[ "$suite" = bookworm ] || commands="demo test-unit test-regress test-isolation test-tap"
# A release that is younger than this debootstrap is made as sid is.
recipe=/usr/share/debootstrap/scripts/$suite
[ -e "$recipe" ] || recipe=/usr/share/debootstrap/scripts/sid
mirror=${FRESH_MIRROR:-$(apt-get indextargets --format '$(SITE)' | grep -v security | sort -u | head -1)}
root=$(mktemp -d "${FRESH_ROOTS:-/tmp}/mirox-fresh.XXXXXX")
chmod 755 "$root" # what will be `/` must let everybody in
log=$root.log
leave_root() {
    local status=$?
    trap - EXIT
    set +e
    # What a failed run may have left there: processes whose root is ours.
    for link in /proc/[0-9]*/root; do
        [ "$(readlink "$link" 2>/dev/null)" = "$root" ] && kill -9 "$(cut -d/ -f3 <<<"$link")" 2>/dev/null
    done
    mountpoint -q "$root/proc" && umount "$root/proc"
    if mountpoint -q "$root/proc"; then
        say "$root/proc is still mounted: the root stays"
    elif [ -n "${KEEP:-}" ]; then
        say "the root stays in $root"
    else
        rm -rf --one-file-system "$root" "$log"
    fi
    exit "$status"
}
trap leave_root EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
unset PG_MAJOR PG_CONFIG TESTS

say "== debootstrap $suite from $mirror"
started=$SECONDS
debootstrap --variant=minbase --include=git,make "$suite" "$root" "$mirror" "$recipe" >"$log" 2>&1 || { tail -20 "$log"; exit 1; }
# A mirror that is a snapshot has an old date; that is not what is tested here.
printf 'Acquire::Check-Valid-Until "false";\n' >"$root/etc/apt/apt.conf.d/99snapshot"
mount -t proc proc "$root/proc"
git clone -q --no-hardlinks "$MIROX_ROOT" "$root/root/mirox_tokens"
say "== $(git -C "$root/root/mirox_tokens" log -1 --format='%h %s'), $((SECONDS - started)) s"
for command in ${FRESH_COMMANDS:-$commands}; do
    started=$SECONDS
    say "== make $command"
    chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
        make -C /root/mirox_tokens "$command"
    say "== make $command: $((SECONDS - started)) s"
done
for link in /proc/[0-9]*/root; do
    if [ "$(readlink "$link" 2>/dev/null)" = "$root" ]; then
        fail "left running: $(tr '\0' ' ' <"${link%/root}/cmdline")"
    fi
done
[ -z "$(ls -d "$root"/etc/postgresql/*/* 2>/dev/null)" ] || fail 'setup has made a cluster'
[ ! -e "$root/usr/sbin/policy-rc.d" ] || fail 'setup has left its guard'
say '== all work from nothing, and nothing is left running'
