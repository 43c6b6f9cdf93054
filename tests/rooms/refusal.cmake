# Runs a command that has to fail, and to say why.
#   cmake "-DCOMMAND=program;argument;.." -DWANTED=text -P refusal.cmake
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${COMMAND} RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
string(FIND "${said}" "${WANTED}" place)
if(status EQUAL 0 OR place EQUAL -1)
  message(FATAL_ERROR "status is ${status}, want another than 0; output is:\n${said}want it to have:\n${WANTED}")
endif()
