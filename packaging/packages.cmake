# Debian packages of what is installed: `cmake --build --preset release --target package` leaves them in
# build/release/packages. One package a component; what each needs is asked of dpkg-shlibdeps.

# Manual pages and examples, which only packages and prefixes have: in the tree they are read where they are.
function(sluice_install_pages COMPONENT)
  foreach(page ${ARGN})
    string(REGEX MATCH "[0-9]$" section ${page})
    install(FILES ${CMAKE_SOURCE_DIR}/docs/man/${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${COMPONENT})
  endforeach()
endfunction()
file(GLOB pages RELATIVE ${CMAKE_SOURCE_DIR}/docs/man CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.[1-9])
foreach(page ${pages})
  if(page MATCHES "\\.3$" OR page STREQUAL "sluice-ring.5")
    sluice_install_pages(development ${page})
  elseif(page STREQUAL "sluice-bench.1")
    sluice_install_pages(bench ${page})
  elseif(NOT page STREQUAL "sluice-plant.1") # the simulated chamber is for the demo and tests
    sluice_install_pages(server ${page})
  endif()
endforeach()
install(DIRECTORY ${CMAKE_SOURCE_DIR}/tools/examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT server)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/examples/ DESTINATION share/doc/libsluice-dev/examples COMPONENT development
        FILES_MATCHING PATTERN "*.c" PATTERN "*.pl")
install(FILES ${CMAKE_SOURCE_DIR}/docs/python.md ${CMAKE_SOURCE_DIR}/docs/live_plot.png DESTINATION share/doc/python3-sluice
        COMPONENT python)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/examples/ DESTINATION share/doc/python3-sluice/examples COMPONENT python
        FILES_MATCHING PATTERN "*.py")

foreach(where server=sluice bench=sluice-bench library=libsluice0 development=libsluice-dev python=python3-sluice)
  string(REPLACE "=" ";" pair ${where})
  list(GET pair 0 component)
  list(GET pair 1 package)
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${package})
  set(CPACK_DEBIAN_${upper}_FILE_NAME DEB-DEFAULT)
  install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION share/doc/${package} RENAME copyright COMPONENT ${component})
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME sluice)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The sluice authors <sluice@localhost>")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL server bench library development python)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS OFF)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_COMPONENT_SERVER_DESCRIPTION "data-acquisition server with a valve interlock on the same rings
 Pinned workers bring sensor samples and packet streams into shared-memory rings; a control process of its own watches
 the same rings and withdraws the permit of the valves. Not certified, for anything.")
set(CPACK_COMPONENT_BENCH_DESCRIPTION "measures sluice beside the machine's floor and its peers
 Throughput, latency, loss and cost of rings, control, sources, recorders and readers, each beside a reference in the
 same run.")
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "reads the rings of a sluice server in place
 The library for programs that read the rings of a running sluice server.")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "headers and manual pages of libsluice
 For C99 and later, and C++; with sluice-ring(5), from which a reader can be written in any language.")
set(CPACK_COMPONENT_PYTHON_DESCRIPTION "reads the rings of a sluice server from Python, in place
 The live stream as NumPy arrays over the memory into which it was received, with statistics that stream over it.")

set(CPACK_DEBIAN_SERVER_PACKAGE_RECOMMENDS "gnuplot-nox")
set(CPACK_DEBIAN_BENCH_PACKAGE_RECOMMENDS "python3-sluice, python3-zmq, fio, gnuplot-nox, iceoryx, valgrind")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/packaging/triggers)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libsluice0 (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "python3 (>= 3.11), python3-numpy")
include(CPack)
