// Tables of the papers, beside which a reader can hold ours.
#ifndef OCTET_APPS_CLI_PUBLISHED_RESULTS_H_
#define OCTET_APPS_CLI_PUBLISHED_RESULTS_H_

namespace octet::cli {

// Markdown.
extern const char* const kPublishedResults;

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_PUBLISHED_RESULTS_H_
