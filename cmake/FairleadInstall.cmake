# Install, export, find_package and pkg-config.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/fairlead")
install(DIRECTORY include/fairlead DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT core)
install(TARGETS fairlead_core EXPORT fairlead-core-targets COMPONENT core)
install(EXPORT fairlead-core-targets NAMESPACE fairlead:: DESTINATION ${package_dir} COMPONENT core)
if(FAIRLEAD_FULL)
    install(TARGETS fairlead EXPORT fairlead-full-targets COMPONENT fairlead
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(EXPORT fairlead-full-targets NAMESPACE fairlead:: DESTINATION ${package_dir} COMPONENT fairlead)
    install(FILES cmake/FindAsio.cmake DESTINATION ${package_dir} COMPONENT fairlead)
endif()

configure_package_config_file(cmake/fairlead-config.cmake.in fairlead-config.cmake
    INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(fairlead-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/fairlead-config.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/fairlead-config-version.cmake" DESTINATION ${package_dir} COMPONENT core)

foreach(name core fairlead)
    if(name STREQUAL core)
        set(pc fairlead-core)
    else()
        set(pc fairlead)
    endif()
    if(name STREQUAL core OR FAIRLEAD_FULL)
        configure_file(cmake/${pc}.pc.in ${pc}.pc @ONLY)
        install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${pc}.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
            COMPONENT ${name})
    endif()
endforeach()
