# Compiles SOURCE with COMPILER, and passes when that fails as the file's first line says.

file(STRINGS "${SOURCE}" first LIMIT_COUNT 1)
if(NOT first MATCHES "^// expect: (.+)$")
    message(FATAL_ERROR "${SOURCE}: the first line must be `// expect: REGEX`")
endif()
set(expected "${CMAKE_MATCH_1}")
execute_process(
    COMMAND ${COMPILER} -std=c++20 -fsyntax-only -DASIO_STANDALONE -DASIO_HAS_CO_AWAIT=1 -I ${INCLUDE} ${SOURCE}
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(result EQUAL 0)
    message(FATAL_ERROR "${SOURCE} compiled, and must not")
endif()

# The first 40 lines, cut by hand: a compiler's output is no list to CMake.
set(head "")
foreach(_ RANGE 1 40)
    string(FIND "${output}" "\n" end)
    if(end EQUAL -1)
        string(APPEND head "${output}")
        break()
    endif()
    math(EXPR end "${end} + 1")
    string(SUBSTRING "${output}" 0 ${end} line)
    string(SUBSTRING "${output}" ${end} -1 output)
    string(APPEND head "${line}")
endforeach()
if(NOT head MATCHES "${expected}")
    message(FATAL_ERROR "${SOURCE}: `${expected}` is not in the first lines of\n${head}")
endif()
