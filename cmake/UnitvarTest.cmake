# unitvar_test(name sources... [INSIDE] [UNOPTIMIZED] [SHARDS n] [LIBRARIES libs...]): a GoogleTest program whose cases
# ctest runs one by one. INSIDE: it also calls what the library hides. UNOPTIMIZED: it has no loops that are worth the
# compiler's time.
# Where UNITVAR_TEST_FILTER is set, a filter of GoogleTest's, ctest runs the cases that pass it in n processes: under
# sanitizers and emulation a process takes long to start.
set(UNITVAR_TEST_FILTER "" CACHE STRING "Run each test program whole, with this --gtest_filter")
include(GoogleTest)
function(unitvar_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "INSIDE;UNOPTIMIZED" "SHARDS" "LIBRARIES")
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE $<IF:$<BOOL:${arg_INSIDE}>,unitvar_inside,unitvar::unitvar> ${arg_LIBRARIES}
                                        OpenMP::OpenMP_CXX GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  unitvar_warnings(${name})
  if(arg_UNOPTIMIZED AND NOT UNITVAR_SANITIZE)
    target_compile_options(${name} PRIVATE -O0)
    target_precompile_headers(${name} REUSE_FROM test_headers_unoptimized)
  else()
    target_precompile_headers(${name} REUSE_FROM test_headers)
  endif()
  # Threads that spin while they wait take the processor from those they wait for: the suite took twice as long.
  set(environment OMP_WAIT_POLICY=passive)
  if(NOT UNITVAR_TEST_FILTER)
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600 ENVIRONMENT ${environment})
    return()
  endif()
  if(NOT arg_SHARDS)
    set(arg_SHARDS 1)
  endif()
  math(EXPR last "${arg_SHARDS} - 1")
  foreach(shard RANGE ${last})
    add_test(NAME ${name}.${shard} COMMAND ${name} --gtest_filter=${UNITVAR_TEST_FILTER} --gtest_brief=1)
    set_tests_properties(${name}.${shard} PROPERTIES TIMEOUT 1200 ENVIRONMENT
      "${environment};GTEST_TOTAL_SHARDS=${arg_SHARDS};GTEST_SHARD_INDEX=${shard}")
  endforeach()
endfunction()
