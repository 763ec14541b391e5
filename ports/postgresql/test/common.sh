# What the tests have in common: a server on a disk, and clients of the same build on the host.
bin=$PREFIX/usr/lib/postgresql/15/bin
PATH=$bin:$PATH
export PGHOST=127.0.0.1 PGPORT=$FREE_PORT PGUSER=postgres PGDATABASE=postgres PGCONNECT_TIMEOUT=60

# start [OPTION…]: of `ukcc run`; returns when the server takes connections
start() {
    ukcc run -d --name pg --smp 2 -p "127.0.0.1:$FREE_PORT:5432" --disk disk.img:/var/lib/postgresql,create=2G \
        -v "$RECIPE/test:/test:ro" "$@" "$IMAGES/postgres" -D /var/lib/postgresql/data \
        -c listen_addresses='*' -c unix_socket_directories=/tmp -c hba_file=/test/pg_hba.conf -c max_connections=40
    until ukcc logs pg 2>&1 | tail -1 | grep 'database system is ready to accept connections'; do
        ukcc ps | grep '^pg ' > /dev/null
        sleep 0.5
    done
}

stop() {
    ukcc stop -t 60 pg
    test "$(ukcc wait pg)" = 0
}

sql() { psql -XAtq -v ON_ERROR_STOP=1 "$@"; }

trap 'ukcc logs pg | tail -20 || :; ukcc kill pg || :' EXIT
