# Read by build.sh: settles in the finished libc.a what a static program opens at run time.
#
# glibc opens name-service modules, character sets and libidn2 with dlopen() even in a static
# program. Those of the host bring the host's libc along, a second one beside the program's own:
# libnss_systemd, which is in every default Debian, crashes in it. In the machine they are not there
# at all. So the objects of libc.a that open modules call static_names.c and static_gconv.c instead,
# by another name for the function in their symbol tables; their code is glibc's own.
#
# Uses what build.sh has set, and CHARSETS (the lines of the file `charsets`).

work=$BUILD/static-modules
rm -rf "$work"
mkdir "$work"
cd "$work"

redirect() { # redirect OBJECT OLD=NEW...: an object of libc.a calls NEW where it called OLD
    object=$1
    shift
    ar x "$BUILD/libc.a" "$object"
    for pair do
        nm "$object" | grep -q " U ${pair%=*}\$" || {
            echo "static-modules.sh: $object does not call ${pair%=*}" >&2
            exit 1
        }
        objcopy --redefine-sym "$pair" "$object"
    done
}

redirect nss_module.o __libc_dlopen_mode=uk_nss_open __libc_dlsym=uk_nss_symbol \
    __libc_dlclose=uk_names_close
redirect idna.o __libc_dlopen_mode=uk_idn_open __libc_dlvsym=uk_idn_symbol \
    __libc_dlclose=uk_names_close
redirect gconv_dl.o __libc_dlopen_mode=uk_gconv_open __libc_dlsym=uk_gconv_symbol \
    __libc_dlclose=uk_gconv_close
redirect gconv_cache.o __open_nocancel=uk_cache_open __fstat64=uk_cache_stat \
    __mmap=uk_cache_map __munmap=uk_cache_unmap __close_nocancel=uk_cache_close

# One object for each character set. All of glibc's are called `gconv`.
for module in $(printf '%s\n' "$CHARSETS" | grep -v :); do
    name=uk_gconv_$(printf %s "$module" | tr 'A-Z-' 'a-z_')
    source=$BUILD/iconvdata/$(printf %s "$module" | tr '[:upper:]' '[:lower:]').o
    objcopy --redefine-sym gconv="$name" --redefine-sym gconv_init="${name}_init" \
        --redefine-sym gconv_end="${name}_end" "$source" "$name.o"
    end=NULL
    if nm "$name.o" | grep -q " T ${name}_end\$"; then
        end=${name}_end
        echo "CHARSET_END($end)"
    fi
    echo "CHARSET(\"$module\", $name, ${name}_init, $end)"
done >charsets.h
for file in $(printf '%s\n' "$CHARSETS" | sed -n 's/.*://p'); do
    cp "$BUILD/iconvdata/$file.o" "uk_gconv_table_$file.o"
done

# glibc's own data base of them, in the form of a cache: aliases, and what converts into what.
mkdir modules
printf '%s\n' "$CHARSETS" | grep -v : >wanted
awk 'NR == FNR { wanted[$1]; next } $1 == "alias" || $1 == "module" && $4 in wanted' \
    wanted "$SRC/iconvdata/gconv-modules" "$SRC/iconvdata/gconv-modules-extra.conf" >modules/gconv-modules
PATH=$PATH:/usr/sbin:/sbin iconvconfig --nostdlib --output=gconv-modules.cache modules

compile() {
    gcc -O2 -fPIE -Wall -Werror -fstack-protector-strong -iquote . -iquote "$SRC/nss" -c "$@"
}
compile "$here/static_names.c"
compile "$here/static_gconv.c"
compile "$here/static_charsets.c"

ar rD "$lib/libc.a" nss_module.o idna.o gconv_dl.o gconv_cache.o static_names.o static_gconv.o

# The character sets, for programs that call iconv_open(): an archive of its own, with an iconv_open.o
# that wants them. uk-gcc names it before the compiler's libraries, since libstdc++ refers to
# iconv_open() in every program with iostreams, for message catalogs, and is not to bring them in.
ar x "$BUILD/libc.a" iconv_open.o
printf '%s\n' '.section .rodata.uk_charsets,"a"' '.hidden uk_charsets' '.long uk_charsets - .' \
    '.section .note.GNU-stack,"",@progbits' >wanted.s
as wanted.s -o wanted.o
ld -r iconv_open.o wanted.o -o joined.o
mv joined.o iconv_open.o
rm -f "$lib/libuk_charsets.a"
ar rD "$lib/libuk_charsets.a" iconv_open.o static_charsets.o uk_gconv_*.o

# What still opens modules is for programs that call dlopen() themselves.
openers=$(nm -A "$lib/libc.a" 2>/dev/null | sed -n 's/.*:\(.*\.o\): *U __libc_dlopen_mode$/\1/p')
if [ "$openers" != rtld_static_init.o ]; then
    echo "static-modules.sh: these open modules as well:" $openers >&2
    exit 1
fi
