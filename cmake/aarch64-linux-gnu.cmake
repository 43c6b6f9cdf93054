# Toolchain: 64-bit Arm, cross compiled by Debian's g++-aarch64-linux-gnu. Tests run under qemu's emulation.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
find_program(UNITVAR_QEMU NAMES qemu-aarch64 qemu-aarch64-static REQUIRED)
set(CMAKE_CROSSCOMPILING_EMULATOR ${UNITVAR_QEMU} -L /usr/aarch64-linux-gnu)
