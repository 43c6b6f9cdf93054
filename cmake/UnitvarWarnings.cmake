# unitvar_warnings(target): the warnings every target of this project is clean under.
function(unitvar_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor)
  # g++ 12 sees overlapping copies in std::string's operator+ that are not there (GCC bug 105651).
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
  if(UNITVAR_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
