"$TREE/dropbearkey" -t ed25519 -f host | grep '^ssh-ed25519 ' > host.pub
ssh-keygen -q -t ed25519 -N '' -f key
ssh-keygen -q -t ed25519 -N '' -f stranger
cp "$RECIPE/test/uk.toml" .
echo "[127.0.0.1]:$FREE_PORT $(cut -d' ' -f1,2 host.pub)" > known
cat > config <<EOF
Host guest
    HostName 127.0.0.1
    Port $FREE_PORT
    User root
    IdentitiesOnly yes
    UserKnownHostsFile $PWD/known
    StrictHostKeyChecking yes
    BatchMode yes
EOF
ukcc run -d --name ssh --config uk.toml -p "127.0.0.1:$FREE_PORT:22" "$IMAGES/dropbear"
trap 'ukcc kill ssh || :' EXIT
guest() { ssh -F config -i key "$@"; }
for _ in $(seq 60); do
	# no server yet; a refused key is an answer
	if guest guest 'echo up' > said 2>&1 || grep 'Permission denied' said; then break; fi
	sleep 0.5
done
grep -x up said
test "$(guest guest 'echo $((40 + 2)); read line; echo "$line"' <<< 'from the host')" = "42
from the host"
status=0
guest guest 'exit 7' || status=$?
test $status = 7
guest -tt guest 'test -t 0 && test -t 1 && echo a terminal' < /dev/null | grep 'a terminal'
jobs=
for n in 1 2 3 4 5; do
	guest guest "echo \$(($n * $n))" > out$n &
	jobs="$jobs $!"
done
for job in $jobs; do wait "$job"; done
test "$(cat out? | tr '\n' ' ')" = '1 4 9 16 25 '
status=0
ssh -F config -i stranger guest 'echo never' > said || status=$?
test $status = 255
test ! -s said
