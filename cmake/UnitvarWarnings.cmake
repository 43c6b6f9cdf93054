# unitvar_warnings(target): the warnings every target of this project is clean under.
function(unitvar_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor)
  if(UNITVAR_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
