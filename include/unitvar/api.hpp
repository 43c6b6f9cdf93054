#pragma once

/// UNITVAR_API marks what programs may call: functions, classes, the exception. The library is compiled with hidden
/// visibility, so all else stays inside a shared library that holds it. For compilers of the GNU family, on ELF.
#if defined(__GNUC__)
#define UNITVAR_API __attribute__((visibility("default")))
#else
#define UNITVAR_API
#endif
