start --config "$RECIPE/test/first.toml"
pgbench -i -q -s 2
pgbench -n -c 20 -j 2 -t 40 | tee told
grep 'number of transactions actually processed: 800/800' told
grep 'number of failed transactions: 0' told
books=$(sql -c 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)
    and (select sum(tbalance) from pgbench_tellers) = (select sum(bbalance) from pgbench_branches)
    and (select sum(delta) from pgbench_history) = (select sum(bbalance) from pgbench_branches),
    (select count(*) from pgbench_history)')
test "$books" = 't|800'
# a driver that is no code of PostgreSQL's
python3 - <<'EOF'
import os, threading
import pg8000.native

def add(n):
    with pg8000.native.Connection("postgres", host="127.0.0.1", port=int(os.environ["PGPORT"])) as db:
        db.run("begin")
        db.run("insert into told values (:n, :text)", n=n, text=f"line {n}")
        db.run("commit")

with pg8000.native.Connection("postgres", host="127.0.0.1", port=int(os.environ["PGPORT"])) as db:
    db.run("create table told(n int, text text)")
    threads = [threading.Thread(target=add, args=(n,)) for n in range(10)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert db.run("select sum(n), max(text) from told") == [[45, "line 9"]]
    try:
        db.run("select 1 / 0")
    except pg8000.exceptions.DatabaseError as error:
        assert error.args[0]["C"] == "22012", error
    else:
        raise AssertionError("1 / 0 is no error")
EOF
stop
