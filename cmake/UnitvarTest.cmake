# unitvar_test(name sources... [INSIDE] [LIBRARIES libs...]): a GoogleTest program whose cases ctest runs one by one.
# INSIDE: it also calls what the library hides.
include(GoogleTest)
function(unitvar_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "INSIDE" "" "LIBRARIES")
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE $<IF:$<BOOL:${arg_INSIDE}>,unitvar_inside,unitvar::unitvar> ${arg_LIBRARIES}
                                        OpenMP::OpenMP_CXX GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  unitvar_warnings(${name})
  target_precompile_headers(${name} REUSE_FROM test_headers)
  # Threads that spin while they wait take the processor from those they wait for: the suite took twice as long.
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600 ENVIRONMENT OMP_WAIT_POLICY=passive)
endfunction()
