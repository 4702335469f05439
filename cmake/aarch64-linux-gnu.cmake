# Cross-compile for 64-bit ARM Linux with a GNU cross compiler on the PATH; executables are static, so that they run under
# qemu-user and on any board whatever its glibc.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# ctest runs the cross-built tests where the user-mode emulator is installed.
find_program(SANDERLING_QEMU_AARCH64 qemu-aarch64-static)
if(SANDERLING_QEMU_AARCH64)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${SANDERLING_QEMU_AARCH64})
endif()
