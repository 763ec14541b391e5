# The server reads and writes files of the tests, and loads a library of theirs: it finds them at the
# same place in both lives, one where it may enter.
bin=$PREFIX/usr/lib/postgresql/15/bin
place=$(mktemp -d /tmp/installcheck.XXXXXX)
cp -r "$TREE/src/test/regress/." "$place"
mkdir -p "$place/results"
chmod -R a+rwX "$place"

check() {
    (cd "$place" && ./pg_regress --inputdir=. --outputdir=. --dlpath=. --bindir="$bin" \
        --max-concurrent-tests=20 --max-connections=10 --schedule=parallel_schedule) || :
    # what pg_regress leaves when something has failed
    cp "$place"/regression.* "$WORK" 2>&1 | grep -v 'No such file' || :
}

as_process() {
    # postgres refuses to be root: for it, root is somebody else
    local as=
    test "$(id -u)" != 0 || as="unshare --user --map-user=65534 --map-group=65534"
    $as "$bin/initdb" -D db --auth=trust --locale=C.UTF-8 -E UTF8 -U postgres > initdb.log
    $as "$bin/postgres" -D db -p "$FREE_PORT" -c unix_socket_directories= > server.log 2>&1 &
    server=$!
    trap 'kill -INT $server; wait $server || :; rm -rf "$place"' EXIT
    export PGHOST=127.0.0.1 PGPORT=$FREE_PORT PGUSER=postgres
    until "$bin/pg_isready" -q; do kill -0 $server; sleep 0.2; done
    check
}

as_unikernel() {
    trap 'ukcc logs pg | tail -20 || :; ukcc kill pg || :; rm -rf "$place"' EXIT
    start --config "$RECIPE/test/first.toml" -m 1024 -v "$place:$place"
    check
    stop
}
