// A page about perplexity by position.
#ifndef OCTET_APPS_CLI_CONTEXT_HTML_H_
#define OCTET_APPS_CLI_CONTEXT_HTML_H_

#include <string>

#include "eval/context.h"

namespace octet::cli {

// A complete page (apps/cli/html.h) with an SVG: perplexity over position, and with a reference
// their ratio below it, each with its intervals, then a table of the numbers; positions are
// logarithmic when buckets grow. `model` and `reference` are any text; at least one bucket.
std::string ContextHtml(const ContextReport& report, const std::string& model,
                        const std::string& reference);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_CONTEXT_HTML_H_
