# Manual pages from what the program says of itself. Variables: help2man, program, version, folder (below the prefix).
set(target $ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/${folder})
file(MAKE_DIRECTORY ${target})
foreach(command "" train bench check)
  set(page unitvar)
  if(command)
    set(page unitvar-${command})
  endif()
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env SOURCE_DATE_EPOCH=$ENV{SOURCE_DATE_EPOCH} ${help2man} --no-info --no-discard-stderr
            --name "normalization layers for neural networks" --version-string ${version}
            --help-option "${command} --help" --output ${target}/${page}.1 ${program}
    COMMAND_ERROR_IS_FATAL ANY)
endforeach()
