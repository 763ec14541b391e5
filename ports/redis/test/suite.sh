# suite PORT: Redis's own tests against the server there. Three are left out, in both lives: one asks for the
# server's process, which the suite has not started, and its exception ends all; one has two clients send
# without waiting, and waits for ever when the second is served first; one takes a port of the host and
# expects that the server cannot have it.
suite() {
	cd "$TREE"
	./runtest --host 127.0.0.1 --port "$1" --tags -large-memory --timeout 400 \
		--skiptest 'SRANDMEMBER with a dict containing long chain' \
		--skiptest 'BRPOPLPUSH with multiple blocked clients' \
		--skiptest 'CONFIG SET rollback on apply error'
}
