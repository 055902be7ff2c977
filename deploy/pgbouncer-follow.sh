#!/bin/sh
# For after_command: points PgBouncers at the new master. Each one's ini file includes FILE instead of a section [databases]:
#
#     %include /etc/pgbouncer/master.ini
#
#     pg_keeper.after_command = '/etc/pgkeeper-follow.sh %h %p /etc/pgbouncer/master.ini app1:/etc/pgbouncer/master.ini'
#
# A target is a file here, or [USER@]HOST:FILE, written over ssh (with a key, no questions). Whoever writes must be allowed to write into
# the folder of FILE and to signal PgBouncer: on Debian both run as postgres. PGBOUNCER_PIDFILE: where its pid file is, if elsewhere.
set -u
[ $# -ge 3 ] || { echo "usage: $0 HOST PORT TARGET..." >&2; exit 2; }
host=$1 port=$2
shift 2
pidfile=${PGBOUNCER_PIDFILE:-/var/run/postgresql/pgbouncer.pid}

# Whole or not at all; then PgBouncer reads it.
follow='{ echo "[databases]"; echo "* = host=$1 port=$2"; } >"$3.new" && mv "$3.new" "$3" && kill -HUP "$(cat "$4")"'

quoted() {
  printf "'%s' " "$(printf %s "$1" | sed "s/'/'\\\\''/g")"
}

one() {
  case $1 in
  /*) sh -c "$follow" follow "$host" "$port" "$1" "$pidfile" ;;
  *:/*)
    ssh -o BatchMode=yes -o ConnectTimeout=3 "${1%%:*}" \
      "sh -c $(quoted "$follow")follow $(quoted "$host")$(quoted "$port")$(quoted "${1#*:}")$(quoted "$pidfile")"
    ;;
  *) echo "neither /FILE nor HOST:/FILE" >&2; false ;;
  esac || { echo "$1 does not follow $host:$port" >&2; return 1; }
}

# All at once: one host that is gone must not hold up the others.
pids=
for target; do
  one "$target" &
  pids="$pids $!"
done
failed=0
for pid in $pids; do
  wait "$pid" || failed=1
done
exit $failed
