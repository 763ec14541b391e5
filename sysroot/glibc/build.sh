#!/bin/sh
# Builds the libraries, start files and headers of an unmodified glibc, and installs them.
#
# From the environment:
#   SRC      glibc's source, unpacked (Debian's glibc-source has the distribution's patches applied)
#   BUILD    a directory to build in, made if missing; one left by an interrupted run is resumed
#   DESTDIR  where to install: DESTDIR/usr/include, DESTDIR/usr/lib
#   SHIMS    the directory of our assembler, which makes each `syscall` a site of the gate
#   HEADERS  the kernel's headers (default: the host's)
#   JOBS     how many jobs at once (default: all processors)
#
# Needs make, bison, gawk and python3. Programs, locales, character-set modules, time zones and
# the manual are left out; libraries and headers are complete. The source is compiled as it is;
# what static programs open at run time is settled in the finished libc.a (static-modules.sh).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
: "${SRC:?}" "${BUILD:?}" "${DESTDIR:?}" "${SHIMS:?}"
JOBS=${JOBS:-$(getconf _NPROCESSORS_ONLN)}
mkdir -p "$BUILD" "$DESTDIR"
SRC=$(cd "$SRC" && pwd)
BUILD=$(cd "$BUILD" && pwd)
DESTDIR=$(cd "$DESTDIR" && pwd)
SHIMS=$(cd "$SHIMS" && pwd)
case $SHIMS in
*[[:space:]]*)
    echo "build.sh: the path $SHIMS has a space in it, which glibc's configure cannot take" >&2
    exit 1 ;;
esac

# Translated messages and the locale's order would make builds differ.
export LC_ALL=C
# What a user exports for his own builds is not for this one.
unset CFLAGS CXXFLAGS CPPFLAGS LDFLAGS MAKEFLAGS MAKELEVEL LD_LIBRARY_PATH

lines() {
    sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$1"
}

configure_glibc() {
    # No -g: a distribution ships its libc.a without, and it costs every link time and space.
    set -- CFLAGS=-O2 "CC=gcc -B$SHIMS/" "CXX=g++ -B$SHIMS/" $(lines "$here/configure.args")
    [ -z "${HEADERS:-}" ] || set -- "$@" "--with-headers=$HEADERS"
    (cd "$BUILD" && "$SRC/configure" "$@")
    touch "$BUILD/configured"
}

[ -e "$BUILD/configured" ] || configure_glibc
cd "$BUILD"

# `sysd-sorted` is the list of subdirectories, which the first run of make writes.
make build-programs=no "$BUILD/sysd-sorted"
skipped=" $(lines "$here/skip.subdirs" | tr '\n' ' ')"
subdirs=
for subdir in $(sed -n 's/^sorted-subdirs := //p' sysd-sorted); do
    case $skipped in
    *" $subdir "*) ;;
    *) subdirs="$subdirs $subdir" ;;
    esac
done

# Character-set modules are the host's: programs look for them where the host has them.
gconv=/usr/lib/$(gcc -print-multiarch)/gconv

build() {
    make -j"$JOBS" build-programs=no gconvdir="$gconv" subdirs="$subdirs" install_root="$DESTDIR" "$@"
}

# One after the other: the vector library is linked with libm, and make is not told so.
build lib
build math/others
build mathvec/others
# In a directory each of these goals brings the same dependency files up to date.
build install-headers
build install-lib
build install-others-nosubdir elf/ldso_install
lib=$DESTDIR/usr/lib
build math/install-others "$lib/libc.a" "$lib/libc.so" "$lib/libc.so.6" "$lib/libc_nonshared.a"

mv "$DESTDIR/lib64/ld-linux-x86-64.so.2" "$lib/"
rmdir "$DESTDIR/lib64"
# Linker scripts name their parts by absolute paths, which would be the host's.
for script in "$lib/libc.so" "$lib/libm.so"; do
    sed -i -E 's,(/usr/lib|/lib64)/([^ ]+),-l:\2,g' "$script"
done
# gold does not understand that; and an archive need not be a script.
libm=$(echo "$lib"/libm-*.a)
printf '%s\n' "create $libm.new" "addlib $libm" "addlib $lib/libmvec.a" save end | ar -M
mv "$libm.new" "$lib/libm.a"
rm "$libm"
# A program that nobody asked to be static must not be warned of being so (gcc says nothing).
objcopy --remove-section=.gnu.warning.dlopen --remove-section=.gnu.warning.dlmopen "$lib/libc.a"

# Whatever a static program would open of the host's, it has inside or does without.
charsets=$(lines "$here/charsets")
objects=
for file in $(printf '%s\n' "$charsets" | sed -e 's/.*://' | tr '[:upper:]' '[:lower:]'); do
    objects="$objects $BUILD/iconvdata/$file.o"
done
(cd "$SRC/iconvdata" && make -r -j"$JOBS" subdir=iconvdata ..=../ objdir="$BUILD" $objects)
CHARSETS=$charsets
. "$here/static-modules.sh"
