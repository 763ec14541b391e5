# suite [SERVER]: memcached's own tests, against another server than the tree's. Left out, in both lives, are
# those that exchange files with the server, or are about sockets of the host's file system.
suite() {
	cp -rs "$TREE" tree
	cd tree
	test -z "${1-}" || ln -sf "$1" memcached-debug
	rm t/daemonize.t t/issue_67.t t/restart.t t/stats-conns.t t/unixsocket.t
	prove -v -j 3 t
}
