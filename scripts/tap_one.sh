#!/bin/bash
# prove's way to one TAP file: runs it, keeps all that it says and its exit status in FOLDER/logs, hands its
# standard output on. One that hangs fails after TAP_TIMEOUT seconds.   tap_one.sh FOLDER FILE
mkdir -p "$1/logs"
name=$(basename "$2" .pl)
exec 3>&1
{ timeout --kill-after=20 "${TAP_TIMEOUT:-600}" perl "$2" 2>&1 >&4 | tee "$1/logs/$name.err" >&2; exit "${PIPESTATUS[0]}"; } 4>&1 | tee "$1/logs/$name.log" >&3
status=${PIPESTATUS[0]}
cat "$1/logs/$name.err" >>"$1/logs/$name.log"
rm -f "$1/logs/$name.err"
echo "$status" >"$1/logs/$name.status"
exit "$status"
