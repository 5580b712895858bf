#!/bin/bash
# Plays the life of API tokens on a private server: installs what is missing, builds, starts a server of its own as
# an ordinary user in a temporary folder (a Unix socket there is its only way in), runs scripts/demo.py on it, stops
# and deletes it. KEEP=1 leaves it up and prints how to reach and how to end it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

scripts/setup.sh
choose_server
make_work demo
build
stage_server
socket=$WORK/socket
as_user mkdir -p "$socket"
mkdir -p "$WORK/demo"
cp -r scripts/demo.py docs/examples "$WORK/demo/"
if is_root; then chown -R postgres: "$WORK/demo"; fi

cd "$WORK"
as_user initdb -D "$WORK/data" -A trust -U postgres --encoding=UTF8 --no-locale >"$WORK/initdb.log" 2>&1 ||
    { cat "$WORK/initdb.log"; fail 'initdb failed'; }
as_user tee -a "$WORK/data/postgresql.conf" >/dev/null <<CONF
shared_preload_libraries = 'mirox_tokens'
listen_addresses = ''
unix_socket_directories = '$socket'
log_statement = none
CONF
as_user pg_ctl -s -w -D "$WORK/data" -l "$WORK/server.log" start || { tail -20 "$WORK/server.log"; fail 'no server'; }
as_user createdb -h "$socket" -U postgres mirox
as_user env PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$WORK/demo/demo.py" "$socket" "$WORK/demo/examples" ||
    { tail -20 "$WORK/server.log"; fail 'the demo failed'; }

if [ -n "${KEEP:-}" ]; then
    KEEP_WORK=1
    end="$STAGE_BIN/pg_ctl -D $WORK/data -m fast stop"
    if is_root; then end="runuser -u postgres -- $end"; fi
    printf '%s\n' '' 'The server is still up:' "  psql -h $socket -U postgres mirox" 'End it with:' "  $end; rm -rf $WORK"
fi
