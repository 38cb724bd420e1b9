# Embeds the files of web/ into a target: constant bytes with path, content type and ETag, as
# src/http/page.h declares them. Included, it defines sluice_embed_web(target); run with -P, it writes
# the source file, so that a changed file is embedded by the next build without configuring again.
if(CMAKE_SCRIPT_MODE_FILE)
  set(definitions "")
  set(table "")
  set(index 0)
  file(GLOB assets ${WEB_DIR}/*.html ${WEB_DIR}/*.js ${WEB_DIR}/*.css ${WEB_DIR}/*.svg)
  foreach(asset IN LISTS assets)
    get_filename_component(name ${asset} NAME)
    get_filename_component(extension ${asset} LAST_EXT)
    if(name STREQUAL "index.html")
      set(path "/")
    else()
      set(path "/${name}")
    endif()
    if(extension STREQUAL ".html")
      set(type "text/html; charset=utf-8")
    elseif(extension STREQUAL ".js")
      set(type "text/javascript; charset=utf-8")
    elseif(extension STREQUAL ".css")
      set(type "text/css; charset=utf-8")
    else()
      set(type "image/svg+xml")
    endif()
    file(SHA256 ${asset} digest)
    string(SUBSTRING ${digest} 0 16 digest)
    file(READ ${asset} bytes HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
    # The zero at the end is no part of the asset; it lets an empty file be an array.
    string(APPEND definitions "constexpr char kAsset${index}[] = {\n${bytes}'\\0'};\n")
    string(APPEND table "    {\"${path}\", \"${type}\", \"\\\"${digest}\\\"\",\n"
                        "     {kAsset${index}, sizeof(kAsset${index}) - 1}},\n")
    math(EXPR index "${index} + 1")
  endforeach()
  file(WRITE ${OUTPUT}.new "// Written by cmake/embed_web.cmake from the files of web/.\n"
       "#include \"http/page.h\"\n\nnamespace sluice::http {\nnamespace {\n\n${definitions}\n"
       "constexpr PageAsset kAssets[] = {\n${table}};\n\n}  // namespace\n\n"
       "std::span<const PageAsset> PageAssets() { return kAssets; }\n\n}  // namespace sluice::http\n")
  file(RENAME ${OUTPUT}.new ${OUTPUT})
  return()
endif()

function(sluice_embed_web target)
  set(output ${CMAKE_BINARY_DIR}/generated/http/page_assets.cc)
  file(GLOB assets CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/web/*.html ${CMAKE_SOURCE_DIR}/web/*.js
       ${CMAKE_SOURCE_DIR}/web/*.css ${CMAKE_SOURCE_DIR}/web/*.svg)
  if(NOT assets)
    message(FATAL_ERROR "web/ holds no page to embed: it needs index.html at least")
  endif()
  set(script ${CMAKE_SOURCE_DIR}/cmake/embed_web.cmake)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DWEB_DIR=${CMAKE_SOURCE_DIR}/web -DOUTPUT=${output} -P ${script}
    DEPENDS ${assets} ${script} VERBATIM COMMENT "Embedding web/")
  target_sources(${target} PRIVATE ${output})
endfunction()
