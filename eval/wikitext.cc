#include "eval/wikitext.h"

#include <utility>

#include "base/utf8.h"

namespace octet {
namespace {

// str.isspace() of Python: White_Space, and four separators of ASCII.
bool IsSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

// Bytes of white space at the beginning.
size_t SpaceBefore(std::string_view text) {
  size_t end = 0;
  while (end < text.size()) {
    const Utf8Char c = ReadUtf8(text, end);
    if (!IsSpace(c.code_point)) break;
    end += c.length;
  }
  return end;
}

std::string_view Strip(std::string_view text) {
  text.remove_prefix(SpaceBefore(text));
  size_t end = 0;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = ReadUtf8(text, i);
    i += c.length;
    if (!IsSpace(c.code_point)) end = i;
  }
  return text.substr(0, end);
}

std::string Replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (size_t found = text.find(from); found != text.npos; found = text.find(from)) {
    out += text.substr(0, found);
    out += to;
    text.remove_prefix(found + from.size());
  }
  return out += text;
}

std::string UniversalNewlines(std::string_view text) {
  return Replaced(Replaced(text, "\r\n", "\n"), "\r", "\n");
}

// Calls line(text without its end, whether it has one) for each; there is none after a last end.
template <class Function>
void ForEachLine(std::string_view text, Function line) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    line(text.substr(0, end), end != text.npos);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
}

bool IsTitle(std::string_view line) {
  const std::string marked = Replaced(Replaced(line, "= = =", "==="), "= =", "==");
  const std::string_view text = Strip(marked);
  return text.starts_with("= ") && text.ends_with(" =");
}

// The pattern /' [0-9]/, slashes included, which was meant to be one without; every match becomes
// the replacement's own text.
std::string ReplaceSlashedDigits(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const std::string_view at = text.substr(i, 5);
    if (at.size() == 5 && at.starts_with("/' ") && at[3] >= '0' && at[3] <= '9' && at[4] == '/') {
      out += "/'[0-9]/";
      i += 5;
    } else {
      out += text[i++];
    }
  }
  return out;
}

// White space goes that follows an `open` and precedes the next `close`.
std::string TrimWithin(std::string_view text, char open, char close) {
  std::string out;
  for (;;) {
    const size_t begin = text.find(open);
    const size_t end = begin == text.npos ? text.npos : text.find(close, begin + 1);
    if (end == text.npos) return out += text;
    out += text.substr(0, begin + 1);
    out += Strip(text.substr(begin + 1, end - begin - 1));
    out += close;
    text.remove_prefix(end + 1);
  }
}

std::string ReplaceAll(std::string text,
                       std::initializer_list<std::pair<std::string_view, std::string_view>> list) {
  for (const auto& [from, to] : list) {
    text = Replaced(text, from, to);
  }
  return text;
}

}  // namespace

std::string JoinWikiRows(std::string_view raw) {
  std::string joined;
  bool first = true;
  ForEachLine(UniversalNewlines(raw), [&](std::string_view line, bool ended) {
    if (!std::exchange(first, false)) joined += "\n\n";
    if (Strip(line).empty()) return;
    joined += line;
    if (ended) joined += '\n';
  });
  return joined;
}

std::vector<std::string> WikiPages(std::string_view raw) {
  std::vector<std::string> pages;
  const std::string text = UniversalNewlines(raw);
  size_t begin = 0, at = 0;  // of the page, of the line
  ForEachLine(text, [&](std::string_view line, bool ended) {
    if (IsTitle(line) && at > begin) {
      const std::string_view page = std::string_view(text).substr(begin, at - 1 - begin);
      if (!Strip(page).empty()) pages.emplace_back(page);
      begin = at;
    }
    at += line.size() + (ended ? 1 : 0);
  });
  if (const auto page = text.substr(begin); !Strip(page).empty()) pages.push_back(page);
  return pages;
}

std::string Detokenized(std::string_view page) {
  std::string text = ReplaceSlashedDigits(Replaced(page, "s '", "s'"));
  text = ReplaceAll(std::move(text), {{" @-@ ", "-"},
                                      {" @,@ ", ","},
                                      {" @.@ ", "."},
                                      {" : ", ": "},
                                      {" ; ", "; "},
                                      {" . ", ". "},
                                      {" ! ", "! "},
                                      {" ? ", "? "},
                                      {" , ", ", "}});
  text = TrimWithin(text, '(', ')');
  text = TrimWithin(text, '[', ']');
  text = TrimWithin(text, '{', '}');
  text = TrimWithin(text, '"', '"');
  text = TrimWithin(text, '\'', '\'');
  return ReplaceAll(std::move(text), {{"= = = =", "===="},
                                      {"= = =", "==="},
                                      {"= =", "=="},
                                      {" \u00b0 ", "\u00b0"},
                                      {" \n", "\n"},
                                      {"\n ", "\n"},
                                      {" N ", " 1 "},
                                      {" 's", "'s"}});
}

int64_t CountWords(std::string_view page) {
  int64_t words = 1;
  while (!page.empty()) {
    if (const size_t space = SpaceBefore(page); space > 0) {
      ++words;
      page.remove_prefix(space);
    } else {
      page.remove_prefix(ReadUtf8(page, 0).length);
    }
  }
  return words;
}

}  // namespace octet
