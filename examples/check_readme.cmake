# The C++ that README.md shows is the block between the [readme] marks of the first example, so that it is compiled and
# run. Compared without white space.   cmake -DREADME=.. -DEXAMPLE=.. -P check_readme.cmake
file(READ ${README} readme)
file(READ ${EXAMPLE} example)

string(REGEX MATCH "```cpp\n#include <unitvar/unitvar.hpp>\n([^`]*)```" found "${readme}")
set(shown "${CMAKE_MATCH_1}")
string(REGEX MATCH "// \\[readme\\]\n(.*)\n[ ]*// \\[readme\\]" found "${example}")
set(compiled "${CMAKE_MATCH_1}")

string(REGEX REPLACE "[ \n]+" "" shown "${shown}")
string(REGEX REPLACE "[ \n]+" "" compiled "${compiled}")
if(shown STREQUAL "" OR NOT shown STREQUAL compiled)
  message(FATAL_ERROR "README.md shows\n${shown}\nbut ${EXAMPLE} compiles\n${compiled}")
endif()
