# UNITVAR_SANITIZE instruments every target below this folder; a sanitizer seen by half of a program is blind.
if(UNITVAR_SANITIZE)
  add_compile_options(-fsanitize=${UNITVAR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${UNITVAR_SANITIZE})
endif()
