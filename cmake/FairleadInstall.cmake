# Install, export, find_package and pkg-config. Components: core, fairlead, tools (the programs).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/fairlead")
install(TARGETS fairlead_core EXPORT fairlead-core-targets
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT core)
install(EXPORT fairlead-core-targets NAMESPACE fairlead:: DESTINATION ${package_dir} COMPONENT core)
configure_package_config_file(cmake/fairlead-config.cmake.in fairlead-config.cmake
    INSTALL_DESTINATION ${package_dir})
# Before 1.0 the minor version is the one that may break.
write_basic_package_version_file(fairlead-config-version.cmake COMPATIBILITY SameMinorVersion)
# From pkgconfig/ up to the prefix, so that an installed tree can be moved.
file(RELATIVE_PATH fairlead_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" /)
configure_file(cmake/fairlead-core.pc.in fairlead-core.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/fairlead-config.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/fairlead-config-version.cmake" DESTINATION ${package_dir} COMPONENT core)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/fairlead-core.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
    COMPONENT core)

if(FAIRLEAD_FULL)
    install(TARGETS fairlead EXPORT fairlead-full-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT fairlead
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT fairlead
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT fairlead)
    install(EXPORT fairlead-full-targets NAMESPACE fairlead:: DESTINATION ${package_dir} COMPONENT fairlead)
    # A user's CMake needs the same search for Asio.
    install(FILES cmake/FindAsio.cmake DESTINATION ${package_dir} COMPONENT fairlead)
    configure_file(cmake/fairlead.pc.in fairlead.pc @ONLY)
    install(FILES "${CMAKE_CURRENT_BINARY_DIR}/fairlead.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT fairlead)
endif()
