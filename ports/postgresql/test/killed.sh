start --config "$RECIPE/test/first.toml"
history() { sql -c 'select count(*) from pgbench_history'; }
last() { tail -1 acked.txt 2> /dev/null | grep . || echo 0; }
sql -c 'create table acked(n int primary key)'
pgbench -i -q -s 1
for round in 1 2 3; do
    from=$(($(last) + 1))
    before=$(history)
    pgbench -n -c 8 -T 600 > bench.log 2>&1 &
    bench=$!
    # one line a commit that the server has acknowledged
    (for n in $(seq $from 100000); do echo "insert into acked values ($n) returning n;"; done | sql >> acked.txt 2> acker.err) &
    acker=$!
    # both are at work when it happens
    until test "$(last)" -gt $((from + 20)) && test "$(history)" -gt $((before + 20)); do
        ukcc ps | grep '^pg ' > /dev/null
        sleep 0.2
    done
    ukcc kill pg
    wait $acker $bench || :
    last=$(last)
    start
    test "$(sql -c "select count(*) from acked where n <= $last")" = "$last"
    # the one on its way may be there or not
    sql -c "delete from acked where n > $last"
    test "$(sql -c 'select (select sum(abalance) from pgbench_accounts) = (select coalesce(sum(delta), 0) from pgbench_history)
        and (select sum(tbalance) from pgbench_tellers) = (select sum(bbalance) from pgbench_branches)')" = t
done
test "$(history)" -gt 60
stop
