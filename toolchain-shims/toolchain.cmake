# CMake toolchain file: -DCMAKE_TOOLCHAIN_FILE="$(ukcc env --cmake)"
#
# The system stays Linux on x86-64 and what is built runs here, so this is no cross build:
# try_run, code generators and `ctest` work. Libraries are found as ever: uk-gcc takes the archive
# that lies beside a shared library, and where that does not do, the program becomes a dynamic one.
set(CMAKE_C_COMPILER uk-gcc)
set(CMAKE_CXX_COMPILER uk-g++)
set(CMAKE_ASM_COMPILER uk-gcc)
set(CMAKE_AR uk-ar CACHE FILEPATH "")
set(CMAKE_RANLIB uk-ranlib CACHE FILEPATH "")
# Those that know of link-time optimisation, which CMake looks for under the compiler's name.
foreach(language C CXX)
  set(CMAKE_${language}_COMPILER_AR uk-gcc-ar CACHE FILEPATH "")
  set(CMAKE_${language}_COMPILER_RANLIB uk-gcc-ranlib CACHE FILEPATH "")
endforeach()
set(CMAKE_NM uk-nm CACHE FILEPATH "")
set(CMAKE_STRIP uk-strip CACHE FILEPATH "")
set(CMAKE_OBJCOPY uk-objcopy CACHE FILEPATH "")
set(CMAKE_OBJDUMP uk-objdump CACHE FILEPATH "")
set(CMAKE_READELF uk-readelf CACHE FILEPATH "")
set(PKG_CONFIG_EXECUTABLE uk-pkg-config CACHE FILEPATH "")

# `cmake --install` stops at a program that has no run path to change, as a static one has none.
set(CMAKE_SKIP_INSTALL_RPATH ON CACHE BOOL "a static program has no run path")
