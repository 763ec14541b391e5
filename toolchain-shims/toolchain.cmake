# CMake toolchain file: -DCMAKE_TOOLCHAIN_FILE="$(ukcc env --cmake)"
#
# The system stays Linux on x86-64 and what is built runs here, so this is no cross build:
# try_run, code generators and `ctest` work.
set(CMAKE_C_COMPILER uk-gcc)
set(CMAKE_CXX_COMPILER uk-g++)
set(CMAKE_ASM_COMPILER uk-gcc)
set(CMAKE_AR uk-ar CACHE FILEPATH "")
set(CMAKE_RANLIB uk-ranlib CACHE FILEPATH "")
set(CMAKE_NM uk-nm CACHE FILEPATH "")
set(CMAKE_STRIP uk-strip CACHE FILEPATH "")
set(CMAKE_OBJCOPY uk-objcopy CACHE FILEPATH "")
set(CMAKE_OBJDUMP uk-objdump CACHE FILEPATH "")
set(CMAKE_READELF uk-readelf CACHE FILEPATH "")
set(PKG_CONFIG_EXECUTABLE uk-pkg-config CACHE FILEPATH "")

# Programs are static: archives before shared libraries, and no run path to write.
set(CMAKE_FIND_LIBRARY_SUFFIXES .a .so)
set(CMAKE_SKIP_RPATH ON)
