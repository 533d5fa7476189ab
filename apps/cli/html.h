// What the pages that commands write have in common: they need nothing else, no network either, and
// are light or dark as the reader's system is.
#ifndef OCTET_APPS_CLI_HTML_H_
#define OCTET_APPS_CLI_HTML_H_

#include <string>
#include <string_view>

namespace octet::cli {

// Any text as the text of an element or the value of an attribute.
std::string Escaped(const std::string& text);

// "3e-4".
std::string ShortNumber(double value);

// From the doctype to the beginning of the body. `title` is any text; `style` is CSS after the
// common rules, whose colours are --page, --ink, --quiet and --line. Classes: "scroll" for what may
// be wider than the page, "axis" and "tick" for the lines and the numbers of a plot.
std::string HtmlHead(const std::string& title, std::string_view style);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_HTML_H_
