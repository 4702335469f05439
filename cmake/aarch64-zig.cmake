# Cross-compile the Python module for 64-bit ARM Linux with the clang of the package ziglang, against glibc 2.28's symbols and a
# static C++ library: a GNU cross compiler asks for the versions of the glibc and libstdc++ that it came with.
# SANDERLING_ZIG is the path of the program.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES SANDERLING_ZIG)
set(CMAKE_CXX_COMPILER ${SANDERLING_ZIG} c++)
set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-gnu.2.28)
foreach(tool ar ranlib strip)
  string(TOUPPER ${tool} name)
  find_program(CMAKE_${name} aarch64-linux-gnu-${tool} REQUIRED)
endforeach()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
# Whole-program optimisation of the bindings takes a minute a Python and gives nothing.
set(CMAKE_INTERPROCEDURAL_OPTIMIZATION OFF)
