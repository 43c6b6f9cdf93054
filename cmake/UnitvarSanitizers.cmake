# UNITVAR_SANITIZE instruments every target below this folder; a sanitizer seen by half of a program is blind.
if(UNITVAR_SANITIZE)
  add_compile_options(-fsanitize=${UNITVAR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  # Without them g++ 12 takes twice as long over the kernels.
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    add_compile_options(-fno-tree-pta -fira-region=one)
  endif()
  add_link_options(-fsanitize=${UNITVAR_SANITIZE})
endif()
