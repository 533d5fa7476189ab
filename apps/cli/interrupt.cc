#include "apps/cli/interrupt.h"

#include <csignal>
#include <thread>

#include "apps/cli/term.h"
#include "io/temporary_folder.h"

namespace octet::cli {

void CleanUpOnSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action = {};
    // nohup and shells that start a job in the background have some ignored.
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) {
      sigaddset(&set, signal);
    }
  }
  // Threads inherit the mask: no other one takes the signals away from sigwait.
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::thread([set] {
    int signal = 0;
    if (sigwait(&set, &signal) != 0) return;
    PrintError(signal == SIGINT ? "interrupted" : "terminated");
    EndBySignal(signal);
  }).detach();
}

}  // namespace octet::cli
