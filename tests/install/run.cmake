# Installs the build into a folder of its own and builds somebody else's program against that folder.
#   cmake -DBUILD=.. -DSOURCE=.. -DWORK=.. -DCXX=.. -DLIBDIR=.. -DFLAGS=.. -DSHARED=.. -DMPI=.. -DHOW=cmake|pkg-config -P run.cmake
set(prefix ${WORK}/prefix)
set(environment ${CMAKE_COMMAND} -E env --unset=CPLUS_INCLUDE_PATH LD_LIBRARY_PATH=${prefix}/${LIBDIR})

function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY COMMAND_ECHO STDOUT)
endfunction()

function(build_with_cmake)
  run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_BUILD_TYPE=Release
      "-DCMAKE_CXX_FLAGS=${FLAGS}" -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF -DWANT_MPI=${MPI})
  run(${CMAKE_COMMAND} --build ${WORK}/build)
  run(${environment} ${WORK}/build/consumer)
  if(MPI)
    run(${environment} OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ${WORK}/build/consumer_mpi)
  endif()
endfunction()

function(build_with_pkg_config)
  if(NOT SHARED)
    set(static --static)
  endif()
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${prefix}/${LIBDIR}/pkgconfig pkg-config ${static} --cflags --libs
            unitvar
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  message(STATUS "pkg-config says: ${found}")
  separate_arguments(found UNIX_COMMAND "${found}")
  separate_arguments(flags UNIX_COMMAND "${FLAGS}")
  run(${CXX} -std=c++20 ${flags} ${SOURCE}/main.cpp ${found} -o ${WORK}/consumer)
  run(${environment} ${WORK}/consumer)
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
if(HOW STREQUAL "cmake")
  build_with_cmake()
else()
  build_with_pkg_config()
endif()
