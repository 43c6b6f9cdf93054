# Compares the C interface of a library with the stored one. What was added is fine; what was changed or removed is not.
#   cmake -DABIDIFF=.. -DABIDW=.. -DLIBRARY=.. -DBASELINE=.. -DHEADERS=.. -P abi.cmake
# With -DSTORE=ON it stores that of the library instead.
cmake_minimum_required(VERSION 3.25)
if(STORE)
  execute_process(COMMAND ${ABIDW} --no-corpus-path --no-comp-dir-path --no-show-locs --exported-interfaces-only
                          --headers-dir ${HEADERS} --drop-private-types --out-file ${BASELINE} ${LIBRARY}
                  COMMAND_ERROR_IS_FATAL ANY)
  return()
endif()
execute_process(COMMAND ${ABIDIFF} --no-added-syms --exported-interfaces-only ${BASELINE}
                        ${LIBRARY} RESULT_VARIABLE result OUTPUT_VARIABLE report ERROR_VARIABLE report)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "the C interface is not the stored one. If that is meant, raise UNITVAR_ABI_VERSION, and store it "
                      "with -DSTORE=ON:\n${report}")
endif()
