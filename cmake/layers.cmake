# A layer is a folder of src/ with a static library of the same name. A layer may include its own
# folder and those it links; the order of src/CMakeLists.txt is the order of docs/design.md.
function(sluice_layer name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.h)
  if(sources)
    add_library(sluice_${name} STATIC ${sources} ${headers})
    target_link_libraries(sluice_${name} PUBLIC sluice_options ${ARGN})
  else()
    add_library(sluice_${name} INTERFACE)
    target_link_libraries(sluice_${name} INTERFACE sluice_options ${ARGN})
  endif()
endfunction()
