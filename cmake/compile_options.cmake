# Warnings are errors in our code only; llhttp's generated C is compiled as it comes. Under the
# sanitizers GCC 12 warns of what its own instrumentation adds: there they stay warnings.
add_library(sluice_options INTERFACE)
target_compile_options(sluice_options INTERFACE -Wall -Wextra -Wshadow -Wconversion
                       -Wno-sign-conversion -Wnon-virtual-dtor)
if(NOT SLUICE_SANITIZE)
  target_compile_options(sluice_options INTERFACE -Werror)
endif()
# GCC 12 sees overlapping copies in `"text" + std::string` at -O2 (its bug 105651, mended in 13).
target_compile_options(sluice_options INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>)
target_compile_definitions(sluice_options INTERFACE _GNU_SOURCE)
target_include_directories(sluice_options INTERFACE ${CMAKE_SOURCE_DIR}/include
                           ${CMAKE_SOURCE_DIR}/src)
if(SLUICE_SANITIZE)
  add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=${SLUICE_SANITIZE})
  if(SLUICE_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  set(SLUICE_MIMALLOC OFF)
endif()
if(SLUICE_FUZZ)
  # Coverage in all our code; the fuzz programs alone link libFuzzer's main (tests/fuzz).
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
find_program(SLUICE_CCACHE ccache)
if(SLUICE_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${SLUICE_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${SLUICE_CCACHE})
endif()
target_compile_definitions(sluice_options INTERFACE SLUICE_VERSION="${PROJECT_VERSION}"
  SLUICE_COMPILER="${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
