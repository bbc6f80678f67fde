# What our own targets are compiled with, and small helpers. Nothing here reaches a user's build.

# Warnings, errors and sanitizers, all private to the target.
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
        target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-fno-sanitize=function>)
    endif()
endfunction()

# A program: as above, and it goes to <build>/bin.
function(fairlead_program target)
    fairlead_own_target(${target})
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
endfunction()

# The public headers of the two libraries. Those of transport/, discovery/ and control/ belong to the full one,
# but for the concepts in transport/transport.hpp, which need the standard library only.
function(fairlead_headers core_out full_out)
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/fairlead/*.hpp")
    set(full ${headers})
    list(FILTER full INCLUDE REGEX "/fairlead/(transport|discovery|control)/")
    list(REMOVE_ITEM full "${PROJECT_SOURCE_DIR}/include/fairlead/transport/transport.hpp")
    set(core ${headers})
    list(REMOVE_ITEM core ${full})
    set(${core_out} ${core} PARENT_SCOPE)
    set(${full_out} ${full} PARENT_SCOPE)
endfunction()

# fairlead_require(NAME PACKAGE [find_package arguments]): one clear sentence when it is not there.
macro(fairlead_require name package)
    find_package(${name} ${ARGN} QUIET)
    if(NOT ${name}_FOUND)
        message(FATAL_ERROR "fairlead needs ${name}, which was not found. On Debian and Ubuntu: "
                            "apt-get install ${package}")
    endif()
endmacro()
