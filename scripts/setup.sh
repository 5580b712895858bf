#!/bin/bash
# Installs the Debian packages that building, testing and the demo need, and nothing when all are there. It starts
# no server and makes no cluster: a machine that had no PostgreSQL gets the programs alone.
#
# PG_MAJOR chooses the server's version; the default is the newest installed, else the release's own.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
choose_server

packages() {
    sed 's/#.*//' <<LIST
    # the server: programs, headers for extensions, SQL test functions
    postgresql-$PG_MAJOR
    postgresql-server-dev-$PG_MAJOR
    postgresql-$PG_MAJOR-pgtap
    # compiling
    make
    g++
    libssl-dev              # digests, HMAC, random bytes
    zlib1g-dev              # the checksum in a secret
    libutf8proc-dev         # names in NFC
    libre2-dev              # user agents: patterns
    libyaml-cpp-dev         # user agents: the rules' file
    uap-core                # user agents: the rules
    libmaxminddb-dev        # locations
    libkrb5-dev             # the server's own headers ask for it, as (from 17 on) for the next one
    libicu-dev
    # testing
    libgtest-dev            # unit tests
    libbenchmark-dev        # bench
    clang$RELEASE_CLANG                # fuzzers (with the next one), bitcode
    libclang-rt$RELEASE_CLANG-dev
    clang-format$RELEASE_CLANG         # layout of the source
    libipc-run-perl         # TAP tests
    perl                    # prove
    binutils                # nm, in the check of exported symbols
    python3                 # static checks
    python3-jwt             # an independent reader of the JWTs that we issue
    mmdb-bin                # an independent reader of location files
    pgbouncer               # the pooler in the TAP tests
    procps
LIST
}

# Drivers that docs/drivers.md is tested with. One that a release does not have is left out, and its test says so.
drivers() {
    printf '%s\n' python3-psycopg python3-asyncpg python3-sqlalchemy python3-greenlet libpostgresql-jdbc-java
    command -v javac >/dev/null || echo default-jdk-headless
    command -v node >/dev/null || printf '%s\n' nodejs node-pg
}
has_node_driver() { NODE_PATH=/usr/share/nodejs:$(npm root -g 2>/dev/null || true) node -e 'require("pg")' 2>/dev/null; }

missing=()
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null | sed -n 's/ installed$//p')
for package in $(packages); do
    grep -qxF "$package" <<<"$installed" || missing+=("$package")
done
wanted=()
for package in $(drivers); do
    grep -qxF "$package" <<<"$installed" || wanted+=("$package")
done
if [ ${#missing[@]} = 0 ] && [ ${#wanted[@]} = 0 ] && has_node_driver; then exit 0; fi

say "== installing: ${missing[*]} ${wanted[*]}"
as_root=()
if ! is_root; then
    command -v sudo >/dev/null || fail "Missing packages: ${missing[*]}. Install them as root (no sudo here)."
    as_root=(sudo)
fi

# A first install of PostgreSQL on Debian makes a cluster and starts it, and other packages start their services, or
# restart them when they are brought up to date; not for us. Both guards go when this script does.
cluster_guard=/etc/postgresql-common/createcluster.d/mirox_tokens_setup.conf
service_guard=/usr/sbin/policy-rc.d
guards=()
trap '[ ${#guards[@]} = 0 ] || "${as_root[@]}" rm -f "${guards[@]}"' EXIT
if [ -z "$(newest_server)" ]; then
    "${as_root[@]}" mkdir -p "${cluster_guard%/*}"
    guards+=("$cluster_guard")
    echo 'create_main_cluster = false' | "${as_root[@]}" tee "$cluster_guard" >/dev/null
fi
if [ ! -e "$service_guard" ]; then
    guards+=("$service_guard")
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$service_guard" >/dev/null
    "${as_root[@]}" chmod 755 "$service_guard"
fi

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
        apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"
}
log=$(mktemp)
apt update >"$log" 2>&1 || { cat "$log"; fail 'apt-get update failed'; }
if [ ${#missing[@]} != 0 ] && ! apt install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
    cat "$log"
    fail 'apt-get install failed'
fi
for package in ${wanted[@]+"${wanted[@]}"}; do
    apt install -y --no-install-recommends "$package" >"$log" 2>&1 || say "-- $package cannot be installed here: its driver is not tested"
done
# Where Node.js is not the release's own, its driver comes from its own registry.
if command -v npm >/dev/null && ! has_node_driver; then
    "${as_root[@]}" npm install --global --silent pg >"$log" 2>&1 || true
fi
has_node_driver || say "-- the driver of Node.js cannot be installed here: it is not tested"
rm -f "$log"
