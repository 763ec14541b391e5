start --config "$RECIPE/test/first.toml"
sql -c 'create table t(i int)' -c 'insert into t select generate_series(1, 1000)'
psql -XAtq -c 'select pg_backend_pid()' -c 'insert into t values (-1); select pg_sleep(600)' > victim.out 2> victim.err &
victim=$!
until pid=$(sql -c "select pid from pg_stat_activity where query like '%pg_sleep(600)' and pid <> pg_backend_pid()") && test "$pid"; do
    sleep 0.2
done
sql -c 'create table gone(x text)' -c "copy gone from program 'kill -9 $pid; echo done'" || :
status=0; wait $victim || status=$?
test $status = 2 -o $status = 3
cat victim.err
grep -E 'server closed the connection|terminating connection' victim.err
until test "$(sql -c 'select count(*) from t' || :)" = 1000; do
    ukcc ps | grep '^pg ' > /dev/null
    sleep 0.5
done
ukcc logs pg 2>&1 | grep "server process (PID $pid) was terminated by signal 9"
ukcc logs pg 2>&1 | grep 'all server processes terminated; reinitializing'
stop
