# What a program needs to link headgate::Server: the static libraries of embed and below, the public headers, and a
# CMake package. Protobuf and gRPC are not among it.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/headgate)
set(embed_layers base event net dns tls http routing http1 http2 upstream observe worker)
list(TRANSFORM embed_layers PREPEND headgate_ OUTPUT_VARIABLE embed_targets)

set_target_properties(headgate_embed PROPERTIES EXPORT_NAME server)
target_include_directories(headgate_embed INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/headgate>)
target_compile_features(headgate_embed INTERFACE cxx_std_20)
install(TARGETS headgate_embed ${embed_targets} EXPORT headgate_targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT embed)
install(EXPORT headgate_targets FILE headgateTargets.cmake NAMESPACE headgate:: DESTINATION ${package_dir} COMPONENT embed)

foreach(header embed/server.h embed/request.h embed/response.h embed/responder.h base/result.h base/error.h base/check.h
               base/log.h)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/${header}
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/headgate/dataplane/${folder} COMPONENT embed)
endforeach()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/headgateConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/headgateConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/headgateConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/headgateConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/headgateConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT embed)
