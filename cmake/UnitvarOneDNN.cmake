# Target unitvar_onednn: oneDNN, the rival of `unitvar bench` and bench/digits, where it is found (2.6 or 3.x). Who links it
# sees UNITVAR_ONEDNN, 1 or 0. Header and library are looked for by name: Debian's package configuration demands the
# development files of OpenCL, which its package does not depend on and nothing here uses.
option(UNITVAR_BENCH_ONEDNN "Let the benchmarks compare with oneDNN if it is installed" ON)

add_library(unitvar_onednn INTERFACE)
if(UNITVAR_BENCH_ONEDNN)
  find_path(UNITVAR_ONEDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
  find_library(UNITVAR_ONEDNN_LIBRARY dnnl)
endif()
if(UNITVAR_BENCH_ONEDNN AND UNITVAR_ONEDNN_INCLUDE_DIR AND UNITVAR_ONEDNN_LIBRARY)
  target_compile_definitions(unitvar_onednn INTERFACE UNITVAR_ONEDNN=1)
  target_include_directories(unitvar_onednn SYSTEM INTERFACE ${UNITVAR_ONEDNN_INCLUDE_DIR})
  target_link_libraries(unitvar_onednn INTERFACE ${UNITVAR_ONEDNN_LIBRARY})
else()
  target_compile_definitions(unitvar_onednn INTERFACE UNITVAR_ONEDNN=0)
endif()
