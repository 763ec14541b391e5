start --config "$RECIPE/test/first.toml"
sql -c 'select version()' | grep '^PostgreSQL 15\.'
test "$(sql -c 'select 6 * 7')" = 42
# each connection is a process of its own
test "$(for _ in 1 2 3; do sql -c 'select pg_backend_pid()'; done | sort -u | wc -l)" = 3
sql <<'EOF'
create table t(i int primary key, s text);
create function twice(n int) returns int language plpgsql as $$ begin return 2 * n; end $$;
insert into t select n, md5(n::text) from generate_series(1, 50000) n;
analyze t;
EOF
test "$(sql -c 'select twice(21)')" = 42
test "$(sql -c 'set max_parallel_workers_per_gather=2' -c 'set parallel_setup_cost=0' -c 'set min_parallel_table_scan_size=0' \
    -c 'set parallel_tuple_cost=0' -c 'explain (analyze) select count(*) from t where s like $$a%$$' | grep -c 'Workers Launched: [12]')" = 1
sql -c '\copy (select i, s from t order by i) to out.csv csv'
test "$(wc -l < out.csv)" = 50000
test "$(tail -1 out.csv)" = "50000,$(printf 50000 | md5sum | cut -d' ' -f1)"
sql -c 'create table back(i int, s text)' -c '\copy back from out.csv csv'
test "$(sql -c 'select count(*) from back join t using (i, s)')" = 50000
test "$(sql -c "select count(*) from pg_timezone_names where name = 'Europe/Berlin'")" = 1
stop
start
test "$(sql -c 'select sum(twice(i)) from t')" = 2500050000
stop
