// The files of web/, embedded at build time (cmake/embed_web.cmake writes the .cc).
//
// Owner: constants of the program.
#pragma once

#include <span>
#include <string_view>

namespace sluice::http {

struct PageAsset {
  std::string_view path;  // "/" for index.html, else "/" and the file's name
  std::string_view content_type;
  std::string_view etag;  // with its quotes
  std::string_view bytes;
};

std::span<const PageAsset> PageAssets();

}  // namespace sluice::http
