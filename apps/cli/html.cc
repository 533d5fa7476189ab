#include "apps/cli/html.h"

#include "apps/cli/term.h"

namespace octet::cli {
namespace {

constexpr const char* kCommonStyle = R"(
:root { --page: #ffffff; --ink: #1b1f24; --quiet: #57606a; --line: #d0d7de; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171b; --ink: #e6e8eb; --quiet: #9aa4af; --line: #3a414a; }
}
body { margin: 1rem auto; max-width: 76rem; padding: 0 1rem; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
p { margin: .3rem 0; color: var(--quiet); max-width: 44rem; }
figure { margin: 1rem 0; }
text { fill: var(--ink); font: 12px system-ui, sans-serif; }
)";

}  // namespace

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : Printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string HtmlHead(const std::string& title, std::string_view style) {
  std::string head =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";
  head += Escaped(title) + "</title>\n<style>" + kCommonStyle;
  head += style;
  return head + "</style>\n</head>\n<body>\n";
}

}  // namespace octet::cli
