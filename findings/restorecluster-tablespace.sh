#!/usr/bin/env bash
# pg_backupcluster and pg_restorecluster of Debian's postgresql-common 248, with PostgreSQL
# 15.18. The scripts of 278 (Debian 13) and 293 have no other code for it. Needs root: it
# runs where empty file systems lie on the folders that these programs write to.
#
# Expected: pg_restorecluster restores what pg_backupcluster has backed up. Both say nothing
# of tablespaces but that their archives are part of a backup.
# Seen: the archives of tablespaces are written and never unpacked. The restored cluster, by
# tablespace_map, uses the directory of the source: restored on the source's machine under
# another name, it drops the source's tables with its own. Where the directory is gone,
# the cluster is restored and starts without what was in it. Exit statuses are 0, but for
# --start in the second case, where ANALYZE finds no file.
# Matters to: who backs up clusters with tablespaces by these programs. The archives are whole:
# unpack each before the first start, into a new directory, and put its name in tablespace_map.
if [ "$(id -u)" != 0 ]; then
    echo "needs root" >&2
    exit 2
fi
if [ -z "${own_mounts:-}" ]; then
    own_mounts=yes exec unshare --mount --propagation private bash "${BASH_SOURCE[0]}"
fi
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
if ! command -v pg_backupcluster >/dev/null; then
    echo "needs Debian's package postgresql-common" >&2
    exit 2
fi
dpkg-query -W -f '${Package} ${Version}\n' postgresql-common

for directory in /etc/postgresql /var/lib/postgresql /var/log/postgresql /run/postgresql /var/backups; do
    mkdir -p "$directory"
    mount -t tmpfs -o mode=755 none "$directory"
    chown postgres "$directory"
done
# stop_all stops the clusters before their file systems go.
stop_all() {
    for name in source copy later last; do
        pg_ctlcluster 15 "$name" stop -m immediate >/dev/null 2>&1 || true
    done
    cleanup
}
trap stop_all EXIT
in_cluster() { as_owner env -u PGHOST -u PGPORT psql --cluster "15/$1" -XqAt -c "$2"; }

chown postgres "$work"
as_owner mkdir tablespace
pg_createcluster 15 source -o fsync=off -- -A trust >/dev/null
echo "listen_addresses = ''" >/etc/postgresql/15/source/conf.d/local.conf
pg_ctlcluster 15 source start
in_cluster source "CREATE TABLESPACE fast LOCATION '$work/tablespace'"
in_cluster source "CREATE TABLE t TABLESPACE fast AS SELECT generate_series(1, 1000) AS n"
pg_backupcluster 15 source basebackup >/dev/null 2>&1
backup=$(echo /var/backups/postgresql/15-source/*.backup)
echo "backup: $(ls "$backup" | tr '\n' ' ')"

pg_restorecluster --start 15 copy "$backup" >/dev/null 2>&1 || fail "pg_restorecluster fails"
echo "the copy's tablespace is in $(in_cluster copy "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast'" | sed "s,$work,…,"), the source's, too"
in_cluster copy "DROP TABLE t"
in_cluster copy CHECKPOINT
pg_ctlcluster 15 source restart
if said=$(in_cluster source "SELECT count(*) FROM t" 2>&1) && [ "$said" != 0 ]; then
    fail "the source has $said rows after the copy has dropped its table"
fi
echo "the source, after DROP TABLE in the copy: ${said##*ERROR:}"

pg_ctlcluster 15 copy stop -m immediate
pg_ctlcluster 15 source stop -m immediate
rm -r "$work/tablespace"
pg_restorecluster --start 15 later "$backup" >/dev/null 2>&1 || status=$?
echo "where the directory is gone: exit status ${status:-0} with --start"
pg_ctlcluster 15 later stop -m immediate
pg_restorecluster 15 last "$backup" >/dev/null 2>&1 || fail "pg_restorecluster fails"
pg_ctlcluster 15 last start 2>/dev/null || fail "the cluster does not start"
if said=$(in_cluster last "SELECT count(*) FROM t" 2>&1); then
    fail "there are $said rows"
fi
echo "restored and started, exit status 0: ${said##*ERROR:}"
