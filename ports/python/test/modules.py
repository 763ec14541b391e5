"""What an application expects of its interpreter: libraries, threads, processes."""

import bz2
import ctypes
import decimal
import hashlib
import lzma
import math
import multiprocessing
import sqlite3
import ssl
import subprocess
import sys
import threading
import zlib


def main() -> None:
    data = b"hello from ring 0 " * 1000
    assert all(m.decompress(m.compress(data)) == data for m in (bz2, lzma, zlib))
    print(ssl.OPENSSL_VERSION.split()[0], hashlib.sha256(b"abc").hexdigest()[:16])
    query = "select sum(value) from json_each(?)"
    print(sqlite3.connect(":memory:").execute(query, ("[20,22]",)).fetchone()[0])
    print(ctypes.CDLL(None).abs(-42), decimal.Decimal(2).sqrt())
    with multiprocessing.Pool(2) as pool:
        print(pool.map(math.factorial, range(6)))

    total, lock = 0, threading.Lock()

    def add(n: int) -> None:
        nonlocal total
        with lock:
            total += n

    threads = [threading.Thread(target=add, args=(n,)) for n in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(total)
    child = [sys.executable, "-c", "import sys; print(int(sys.stdin.read()) + 2); sys.exit(7)"]
    done = subprocess.run(child, input=b"40", stdout=subprocess.PIPE)
    print((done.stdout, done.returncode))
    print(multiprocessing.get_start_method())


if __name__ == "__main__":
    main()
