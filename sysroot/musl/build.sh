#!/bin/sh
# Builds the static library, start files and headers of musl: the C library of init, and of nothing else.
#
# From the environment:
#   SRC      musl's source, unpacked; it is built where it lies
#   DESTDIR  where to install: DESTDIR/usr/include, DESTDIR/usr/lib
#   JOBS     how many jobs at once (default: all processors)
set -eu

: "${SRC:?}" "${DESTDIR:?}"
JOBS=${JOBS:-$(getconf _NPROCESSORS_ONLN)}

export LC_ALL=C
# What a user exports for his own builds is not for this one.
unset CFLAGS CPPFLAGS LDFLAGS MAKEFLAGS MAKELEVEL

here=$(cd "$(dirname "$0")" && pwd)
cd "$SRC"
for patch in "$here"/*.patch; do
    patch -p1 -F0 --batch --forward --quiet -i "$patch"
done
# Small, and each function in a section of its own, so that a link takes no other. Unwinding tables say where functions
# end and what they save: by them `ukcc needs` tells the system calls of init. (`--enable-debug` has them made for
# musl's assembly as well; -g0 leaves out the rest.)
./configure --prefix=/usr --libdir=/usr/lib --includedir=/usr/include --disable-shared --enable-debug \
    CFLAGS="-Os -g0 -fasynchronous-unwind-tables -ffunction-sections -fdata-sections -fno-stack-protector -fcf-protection=none"
make -j"$JOBS" lib/libc.a lib/crt1.o lib/crti.o lib/crtn.o
make install-headers DESTDIR="$DESTDIR"
mkdir -p "$DESTDIR/usr/lib"
cp lib/libc.a lib/crt1.o lib/crti.o lib/crtn.o "$DESTDIR/usr/lib"
