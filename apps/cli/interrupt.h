// Ctrl-C and its like.
#ifndef OCTET_APPS_CLI_INTERRUPT_H_
#define OCTET_APPS_CLI_INTERRUPT_H_

namespace octet::cli {

// From here on SIGINT, SIGTERM and SIGHUP, those that are not ignored, end the program by way of
// EndBySignal, after a message. Call it before the first other thread starts.
void CleanUpOnSignals();

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_INTERRUPT_H_
