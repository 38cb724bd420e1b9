# cmake --install build [--prefix DIR]: program, commented configuration, unit, key generator, docs.
#
#   /usr and /usr/local   configuration in /etc/sluice, the user from sysusers
#   another prefix        everything below it
#
# What is installed into a running system (no DESTDIR) is also made ready: the user is created and a
# publish key generated. A package (DESTDIR) does that in its own installation, by the same two steps.
include(GNUInstallDirs)

foreach(program sluice sluice-bench)
  if(TARGET ${program})
    set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
    # Optional: scripts/run builds the gateway alone.
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} OPTIONAL)
  endif()
endforeach()
install(PROGRAMS deploy/sluice-generate-key DESTINATION ${CMAKE_INSTALL_LIBEXECDIR})
install(FILES deploy/sluice.toml deploy/nginx/sluice.conf deploy/haproxy/haproxy.cfg
        DESTINATION ${CMAKE_INSTALL_DATADIR}/sluice)
file(GLOB pages CONFIGURE_DEPENDS docs/*.md)
install(FILES README.md LICENSE ${pages} DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The prefix may still change at installation, so what names paths is written then.
install(CODE "set(deploy \"${CMAKE_SOURCE_DIR}/deploy\")
set(bin \"${CMAKE_INSTALL_BINDIR}\")
set(libexec \"${CMAKE_INSTALL_LIBEXECDIR}\")")
install(SCRIPT cmake/install_service.cmake)
