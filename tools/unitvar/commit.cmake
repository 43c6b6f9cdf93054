# Writes a header with the commit of the sources, "unknown" outside of a repository; anew only if it is another one.
#   cmake -DSOURCE=.. -DHEADER=.. -P commit.cmake
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --match=none OUTPUT_VARIABLE commit
                ERROR_QUIET RESULT_VARIABLE result OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT result EQUAL 0)
  set(commit unknown)
endif()
set(text "#pragma once\ninline constexpr const char* kCommit = \"${commit}\";\n")
if(EXISTS ${HEADER})
  file(READ ${HEADER} before)
endif()
if(NOT "${text}" STREQUAL "${before}")
  file(WRITE ${HEADER} "${text}")
endif()
