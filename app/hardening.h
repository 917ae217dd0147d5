#pragma once

namespace curfew::app {

// Keeps the process's memory to itself: no core dumps, no debugger of the same user. Beside this,
// every block of heap memory is zeroed when it is freed (zeroing_delete.cc), so that a secret does
// not outlive the object that held it. What fails is ignored: it is protection in depth.
void harden_process();

}  // namespace curfew::app
