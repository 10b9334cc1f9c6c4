# What the scripts share; sourced, not run. Each script works in a temporary folder of its
# own, $work, which is gone at its end with the servers that it started.
#
# PostgreSQL 15 is the one that is installed (Debian's package postgresql-15), or the one
# in the folder that PGBIN names. Go modules are fetched by the Go client.

bin=${PGBIN:-/usr/lib/postgresql/15/bin}
work=$(mktemp -d)
port=5432 # names the socket; a server that listens on TCP as well needs a free one
clusters=()

cleanup() {
    local cluster
    for cluster in "${clusters[@]}"; do
        as_owner "$bin/pg_ctl" -D "$cluster" -m immediate -w stop >/dev/null 2>&1 || true
    done
    rm -rf "$work"
}
trap cleanup EXIT

# fail ends the script: what is seen is not what its comment tells.
fail() {
    printf 'CHANGED: %s\n' "$*" >&2
    exit 1
}

# as_owner runs a command as the servers' owner: PostgreSQL does not run as root. The
# server of the folder $work is the one that libpq's programs reach.
as_owner() {
    local prefix=(env -C "$work" "HOME=$work" "PGHOST=$work" "PGPORT=$port" PGUSER=postgres
        PGDATABASE=postgres LC_ALL=C)
    [ "$(id -u)" != 0 ] || prefix=(setpriv --reuid=postgres --regid=postgres --clear-groups "${prefix[@]}")
    "${prefix[@]}" "$@"
}

# use_major takes the programs of another major than 15: those that are installed, or that the
# tests fetch, from Debian, into a cache folder.
use_major() {
    local found
    found=$("$(dirname "${BASH_SOURCE[0]}")/../walsender/walsendertest/postgres/fetch" "$1")
    bin=${found##* }
}

sql() { as_owner "$bin/psql" -XqAt -c "$1"; }

# start_server makes a cluster in $work/data with the arguments for initdb and the settings
# of standard input, and starts its server.
start_server() {
    if [ ! -x "$bin/initdb" ]; then
        echo "needs PostgreSQL 15 (package postgresql-15), or PGBIN" >&2
        exit 2
    fi
    [ "$(id -u)" != 0 ] || chown postgres "$work"
    as_owner "$bin/initdb" -D data -U postgres -A trust "$@" >/dev/null
    {
        printf "unix_socket_directories = '%s'\nlisten_addresses = ''\nport = %s\nfsync = off\n" "$work" "$port"
        cat
    } >>"$work/data/postgresql.conf"
    clusters+=("$work/data")
    as_owner "$bin/pg_ctl" -D data -l log -w start >/dev/null
    "$bin/postgres" --version
}

# go_build makes $work/program of the source on standard input, with the module versions
# that are the arguments and no other module around it.
go_build() {
    mkdir "$work/go"
    cat >"$work/go/main.go"
    (
        cd "$work/go"
        export GOFLAGS=-mod=mod GOWORK=off
        go mod init example.com/finding 2>/dev/null
        go get "$@" 2>/dev/null
        go build -o ../program .
    )
    chmod a+rx "$work/program"
}

# go_run builds the source on standard input, and runs it as the servers' owner.
go_run() {
    go_build "$@"
    as_owner "$work/program"
}
