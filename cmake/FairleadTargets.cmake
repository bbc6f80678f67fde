# What our own targets are compiled with. Nothing here reaches a user's build.

function(fairlead_own_target target)
    target_compile_features(${target} PRIVATE cxx_std_20)
    set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:
        -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
        -Wnon-virtual-dtor -Woverloaded-virtual -Wnull-dereference>)
    if(FAIRLEAD_WERROR)
        target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
    endif()
    if(FAIRLEAD_SANITIZE)
        target_compile_options(${target} PRIVATE -fsanitize=${FAIRLEAD_SANITIZE} -fno-omit-frame-pointer
            -fno-sanitize-recover=all)
        target_link_options(${target} PRIVATE -fsanitize=${FAIRLEAD_SANITIZE})
        # clang 14 cannot emit this check into coroutines.
        if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
            target_compile_options(${target} PRIVATE -fno-sanitize=function)
        endif()
    endif()
endfunction()

# Programs go to <build>/bin.
function(fairlead_program target)
    fairlead_own_target(${target})
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
endfunction()
