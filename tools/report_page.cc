#include "report_page.h"

#include <string_view>

#include "base/check.h"
#include "report_page_text.h"  // made by CMake from report_page.html

namespace sluice::bench {

std::string ReportPage(const std::string& json) {
  constexpr std::string_view kPlace = "%RESULT%";
  const std::string_view text = kReportPageText;
  const size_t at = text.find(kPlace);
  SLUICE_CHECK(at != std::string_view::npos);
  std::string page(text.substr(0, at));
  // Within a script element only `</script` and `<!--` could end or disturb it: no `<` stays as is.
  for (const char c : json) {
    if (c == '<') {
      page += "\\u003c";
    } else {
      page += c;
    }
  }
  page += text.substr(at + kPlace.size());
  return page;
}

}  // namespace sluice::bench
