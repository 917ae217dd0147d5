#include "app/hardening.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <csignal>

namespace curfew::app {

void harden_process() {
  const rlimit none{0, 0};
  (void)setrlimit(RLIMIT_CORE, &none);
  (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // A client or a target that goes away shows as an error of the write.
  (void)std::signal(SIGPIPE, SIG_IGN);
  // So does a limit on the size of files: the request is refused, the process lives.
  (void)std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace curfew::app
