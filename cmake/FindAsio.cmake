# Standalone Asio: target asio::asio. Installed with the package, because whoever links fairlead::fairlead needs it.
find_path(ASIO_INCLUDE_DIR asio.hpp)
mark_as_advanced(ASIO_INCLUDE_DIR)
if(ASIO_INCLUDE_DIR)
    set(Asio_FOUND TRUE)
else()
    set(Asio_FOUND FALSE)
    if(Asio_FIND_REQUIRED)
        message(FATAL_ERROR "fairlead needs standalone Asio, which was not found. On Debian and Ubuntu: "
                            "apt-get install libasio-dev")
    endif()
    return()
endif()
if(NOT TARGET asio::asio)
    find_package(Threads REQUIRED)
    add_library(asio::asio INTERFACE IMPORTED)
    target_include_directories(asio::asio INTERFACE "${ASIO_INCLUDE_DIR}")
    target_link_libraries(asio::asio INTERFACE Threads::Threads)
    # Asio 1.22 asks clang for the coroutines of before C++20 and so finds none; it would say this itself for g++.
    target_compile_definitions(asio::asio INTERFACE ASIO_STANDALONE
        $<$<COMPILE_LANG_AND_ID:CXX,Clang,AppleClang>:ASIO_HAS_CO_AWAIT=1>)
endif()
